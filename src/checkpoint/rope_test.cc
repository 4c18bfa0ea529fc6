#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "checkpoint/model_spec.h"

namespace weir {
namespace {

// f32 through one powf, a division and at most five more roundings: 8 units in the last place.
constexpr double kRelative = 8 * 1.2e-7;

void expect_close(const std::vector<float>& got, const std::vector<double>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got[i], want[i], kRelative * want[i]) << "at " << i;
}

TEST(Rope, PlainAndLinearFollowTheFormula) {
  ModelSpec spec;
  spec.head_dim = 16;
  std::vector<double> plain;
  std::vector<double> linear;
  for (int i = 0; i < 8; ++i) {
    plain.push_back(std::pow(10000.0, -i / 8.0));
    linear.push_back(plain.back() / 4);
  }
  expect_close(rope_inverse_frequencies(spec), plain);
  spec.rope.scaling = RopeScaling::kLinear;
  spec.rope.factor = 4;
  expect_close(rope_inverse_frequencies(spec), linear);
}

// Printed by transformers 4.57.6, ROPE_INIT_FUNCTIONS["llama3"], with torch 2.15 on a CPU, for the values of
// Llama-3.2-1B: head_dim 64, theta 5e5, factor 32, low 1, high 4, original 8192.
TEST(Rope, Llama3MatchesTransformers) {
  ModelSpec spec;
  spec.head_dim = 64;
  spec.rope = {.theta = 500000,
               .scaling = RopeScaling::kLlama3,
               .factor = 32,
               .low_freq_factor = 1,
               .high_freq_factor = 4,
               .original_max_position = 8192};
  expect_close(rope_inverse_frequencies(spec), {1,
                                                0.663601279,
                                                0.440366626,
                                                0.292227834,
                                                0.193922758,
                                                0.128687382,
                                                0.0853971019,
                                                0.0566696189,
                                                0.0376060307,
                                                0.0249554086,
                                                0.0165604409,
                                                0.0109895291,
                                                0.00729266508,
                                                0.00483942125,
                                                0.00321144611,
                                                0.00129054801,
                                                0.000429556705,
                                                9.70828623e-05,
                                                1.94616387e-05,
                                                1.29147675e-05,
                                                8.57025589e-06,
                                                5.68723226e-06,
                                                3.77405445e-06,
                                                2.50446715e-06,
                                                1.66196742e-06,
                                                1.10288363e-06,
                                                7.31874934e-07,
                                                4.85673127e-07,
                                                3.22293289e-07,
                                                2.1387423e-07,
                                                1.41927202e-07,
                                                9.41830649e-08});
}

}  // namespace
}  // namespace weir
