// The scalar backend against plain double-precision mathematics, with bounds derived from the formats: u = 2^-24 is
// the unit roundoff of f32. Each failure prints the worst element. Other instruction sets equal the scalar bits.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "kernels/test_rig.h"
#include "tensor/convert.h"

namespace weir {
namespace {

constexpr double kU = 0x1p-24;

// |got - want| <= bound, element by element; reports the element that uses most of its bound.
void expect_within(const std::vector<float>& got, const std::vector<double>& want, const std::vector<double>& bound,
                   const std::string& what) {
  ASSERT_EQ(got.size(), want.size());
  size_t worst = 0;
  double worst_ratio = -1;
  for (size_t i = 0; i < got.size(); ++i) {
    const double error = std::fabs(got[i] - want[i]);
    const double ratio = error <= bound[i] && bound[i] == 0 ? 0 : error / bound[i];
    if (!(ratio <= worst_ratio)) worst = i, worst_ratio = ratio;
  }
  EXPECT_LE(worst_ratio, 1.0) << what << ": worst element " << worst << ": got " << got[worst] << ", want "
                              << want[worst] << ", bound " << bound[worst];
}

OpsRig scalar_rig(uint64_t seed) { return OpsRig({.threads = 1, .isa = "scalar"}, seed); }

double stored(WeightFormat format, float w) {
  return format == WeightFormat::kBF16  ? f32_from_bf16(bf16_from_f32(w))
         : format == WeightFormat::kF16 ? f32_from_f16(f16_from_f32(w))
                                        : w;
}

// Float formats: k roundings of partial sums, each at most u * sum|x w|: bound (k + 2) u sum|x w| (+ bias).
TEST(OpsReference, LinearFloat) {
  auto rig = scalar_rig(3);
  constexpr int64_t kN = 40, kK = 129, kRows = 5;
  auto source = rig.random(kN, kK, 0.1f), x = rig.random(kRows, kK), bias = rig.random(1, kN);
  for (WeightFormat format : {WeightFormat::kF32, WeightFormat::kF16, WeightFormat::kBF16}) {
    const auto weight = rig.pack(format, source);
    std::vector<double> want, bound;
    for (int64_t r = 0; r < kRows; ++r) {
      for (int64_t c = 0; c < kN; ++c) {
        double sum = bias.data()[c], size = std::fabs(sum);
        for (int64_t k = 0; k < kK; ++k) {
          const double term = x.data()[r * kK + k] * stored(format, source.data()[c * kK + k]);
          sum += term;
          size += std::fabs(term);
        }
        want.push_back(sum);
        bound.push_back((kK + 2) * kU * size);
      }
    }
    expect_within(rig.linear(weight, x.mat(), &bias), want, bound, std::string(weight_format_name(format)));
  }
}

// Int8: x is off by at most amax_x/254 and w by at most half its stored scale, itself within 2^-11 of amax_w/127
// (or 2^-25 where f16 is subnormal); the clamp at 127 can add 127 * that. The bound sums the three products.
TEST(OpsReference, LinearInt8) {
  auto rig = scalar_rig(4);
  constexpr int64_t kN = 33, kK = 150, kRows = 4;
  auto source = rig.random(kN, kK, 0.05f), x = rig.random(kRows, kK);
  const auto weight = rig.pack(WeightFormat::kInt8G32, source);
  std::vector<double> want, bound;
  for (int64_t r = 0; r < kRows; ++r) {
    for (int64_t c = 0; c < kN; ++c) {
      double sum = 0, allowed = 0, size = 0;
      for (int64_t g = 0; g < kK; g += 32) {
        const int64_t end = std::min(g + 32, kK);
        double xmax = 0, wmax = 0;
        for (int64_t k = g; k < end; ++k) {
          xmax = std::max(xmax, std::fabs(double{x.data()[r * kK + k]}));
          wmax = std::max(wmax, std::fabs(double{source.data()[c * kK + k]}));
        }
        const double ex = xmax / 254 * 1.0001;
        const double ew = wmax / 254 * 1.001 + std::max(wmax * 0x1p-11, 127 * 0x1p-25);
        for (int64_t k = g; k < end; ++k) {
          const double a = x.data()[r * kK + k], b = source.data()[c * kK + k];
          sum += a * b;
          size += std::fabs(a * b);
          allowed += std::fabs(a) * ew + std::fabs(b) * ex + ex * ew;
        }
      }
      want.push_back(sum);
      bound.push_back(allowed + 20 * kU * size);
    }
  }
  expect_within(rig.linear(weight, x.mat()), want, bound, "int8");
}

TEST(OpsReference, LinearAccumulatesIntoTheResidual) {
  auto rig = scalar_rig(5);
  auto source = rig.random(20, 30), x = rig.random(3, 30), out = rig.random(3, 20, 100.0f);
  const auto weight = rig.pack(WeightFormat::kF32, source);
  const auto before = out.copy(), product = rig.linear(weight, x.mat());
  Region scratch = rig.workspace(3, 30);
  rig.ops().linear(rig.stream(), {.x = x.mat(),
                                  .weight = &weight.packed,
                                  .out = out.mat(),
                                  .end = LinearEnd::kAccumulate,
                                  .workspace = scratch.span()});
  for (size_t i = 0; i < before.size(); ++i) ASSERT_EQ(out.data()[i], before[i] + product[i]);
}

// The sum of squares: n/16 + 5 roundings, halved by the root; r, two products: 5 more. Bound (n/16 + 10) u |want|.
// Seen through weights that pick one input for each output, which is exact.
TEST(OpsReference, TheNormBeforeALinear) {
  auto rig = scalar_rig(6);
  constexpr int64_t kN = 100;
  auto x = rig.random(3, kN, 3.0f), norm = rig.random(1, kN), picks = rig.make<float>(kN, kN);
  for (int64_t i = 0; i < kN; ++i) picks.data()[i * kN + i] = 1.0f;
  const auto weight = rig.pack(WeightFormat::kF32, picks);
  std::vector<double> want, bound;
  for (int64_t row = 0; row < 3; ++row) {
    double sum = 0;
    for (int64_t i = 0; i < kN; ++i) sum += double{x.data()[row * kN + i]} * x.data()[row * kN + i];
    const double r = 1 / std::sqrt(sum / kN + double{1e-5f});
    for (int64_t i = 0; i < kN; ++i) {
      want.push_back(x.data()[row * kN + i] * r * norm.data()[i]);
      bound.push_back((kN / 16.0 + 10) * kU * std::fabs(want.back()));
    }
  }
  expect_within(rig.linear_of_norm(weight, x.mat(), norm), want, bound, "norm");
}

// exp is within 2 u of itself plus u * |x| / 2^7 for the reduction (n ln2 in two parts), then a sum, a quotient and
// a product: 8 u relative while nothing leaves the normal range.
TEST(OpsReference, SwigluOverItsWholeRange) {
  auto rig = scalar_rig(7);
  constexpr int64_t kN = 4001;  // gates and ups are the weights themselves: one input, and it is 1
  auto gate = rig.make<float>(kN, 1), up = rig.random(kN, 1), out = rig.make<float>(1, kN), one = rig.make<float>(1, 1);
  one.data()[0] = 1.0f;
  const auto swiglu = [&] {
    const auto weight = rig.pack_gate_up(WeightFormat::kF32, gate, up);
    Region scratch = rig.workspace(1, 1);
    rig.ops().linear(rig.stream(), {.x = one.mat(),
                                    .weight = &weight.packed,
                                    .out = out.mat(),
                                    .end = LinearEnd::kSwiglu,
                                    .workspace = scratch.span()});
  };
  std::vector<double> want, bound;
  for (int64_t i = 0; i < kN; ++i) {
    const float g = static_cast<float>(i - 2000) * 0.0429f;
    gate.data()[i] = g;
    want.push_back(g / (1 + std::exp(-double{g})) * up.data()[i]);
    bound.push_back(8 * kU * std::fabs(want.back()) + (1 + std::fabs(up.data()[i])) * 0x1p-149);  // subnormals
  }
  swiglu();
  expect_within(out.copy(), want, bound, "swiglu");
  const float extremes[] = {-89.0f, -1e4f, -1e38f, 1e4f, 0.0f};
  for (float g : extremes) {
    gate.data()[0] = g;
    up.data()[0] = 1.0f;
    swiglu();
    EXPECT_EQ(out.data()[0], g > 0 ? g : 0.0f) << g;
  }
}

// Norm, rotation and write of qkv_finish. The norm's error is (n/16 + 8) u relative (TheNormBeforeALinear), and both terms
// of a rotation carry it.
TEST(OpsReference, QkvFinishNormsRotatesHalvesLeavesTheRestAndStores) {
  constexpr int64_t kHeadDim = 10, kHalf = 4, kTokens = 6;
  for (const bool with_norm : {false, true}) {
    auto rig = scalar_rig(8);
    auto q = rig.random(kTokens, 3 * kHeadDim), k = rig.random(kTokens, kHeadDim),
         v = rig.random(kTokens, kHeadDim);
    auto weight = rig.random(1, kHeadDim);
    auto cos = rig.make<float>(20, kHalf), sin = rig.make<float>(20, kHalf);
    for (int64_t p = 0; p < 20; ++p) {
      for (int64_t i = 0; i < kHalf; ++i) {
        cos.data()[p * kHalf + i] = std::cos(static_cast<float>(p) / static_cast<float>(i + 1));
        sin.data()[p * kHalf + i] = std::sin(static_cast<float>(p) / static_cast<float>(i + 1));
      }
    }
    auto positions = rig.ints({0, 19, 3, 3, 7, 11}), slots = rig.ints({5, 4, 31, 0, 9, 2});
    const auto expect_of = [&](Held<float>& x, std::vector<double>* want, std::vector<double>* bound) {
      for (int64_t t = 0; t < kTokens; ++t) {
        for (int64_t head = 0; head < x.cols / kHeadDim; ++head) {
          const float* in = x.data() + t * x.cols + head * kHeadDim;
          double head_x[kHeadDim], squares = 0;
          for (int64_t d = 0; d < kHeadDim; ++d) squares += double{in[d]} * in[d];
          const double r = with_norm ? 1 / std::sqrt(squares / kHeadDim + 1e-5) : 1;
          for (int64_t d = 0; d < kHeadDim; ++d) head_x[d] = in[d] * r * (with_norm ? double{weight.data()[d]} : 1);
          for (int64_t d = 0; d < kHeadDim; ++d) {
            const int64_t i = d % kHalf, entry = positions.data()[t] * kHalf + i;
            const double c = cos.data()[entry], s = sin.data()[entry];
            want->push_back(d >= 2 * kHalf ? head_x[d]
                            : d < kHalf    ? head_x[d] * c - head_x[d + kHalf] * s
                                           : head_x[d] * c + head_x[d - kHalf] * s);
            const double size =
                d >= 2 * kHalf ? std::fabs(head_x[d]) : std::fabs(head_x[i]) + std::fabs(head_x[i + kHalf]);
            bound->push_back((with_norm ? 12 : 3) * kU * size);
          }
        }
      }
    };
    std::vector<double> want_q, bound_q, want_k, bound_k;
    expect_of(q, &want_q, &bound_q);
    expect_of(k, &want_k, &bound_k);
    const KvGeometry geometry{KvFormat::kF32, 1, 1, kHeadDim, 16};
    Region pool = std::move(rig.backend().device().reserve(2 * geometry.block_bytes())).value();
    const VecView<const float> norm = with_norm ? weight.vec() : VecView<float>{};
    rig.ops().qkv_finish(rig.stream(), {.q = q.mat(),
                                        .k = k.mat(),
                                        .v = v.mat(),
                                        .q_norm = norm,
                                        .k_norm = norm,
                                        .eps = 1e-5f,
                                        .positions = positions.vec(),
                                        .cos = cos.mat(),
                                        .sin = sin.mat(),
                                        .slots = slots.vec(),
                                        .cache = geometry.layer(pool.span(), 2, 0)});
    expect_within(q.copy(), want_q, bound_q, "q");
    expect_within(k.copy(), want_k, bound_k, "k");
    for (int64_t t = 0; t < kTokens; ++t) {  // f32 KV: what was stored is k and v themselves
      const int64_t slot = slots.data()[t];
      const auto* block =
          host_ptr<float>(pool.span().data) + slot / 16 * static_cast<int64_t>(geometry.block_bytes() / 4);
      for (int64_t d = 0; d < kHeadDim; ++d) {
        ASSERT_EQ(block[d * 16 + slot % 16], k.data()[t * kHeadDim + d]);
        ASSERT_EQ(block[kHeadDim * 16 + slot % 16 * 16 + d], v.data()[t * kHeadDim + d]);
      }
    }
  }
}

// Scores carry (d + 3) u |q||k| scale, which exp turns into a relative error of the same size in p; sums over t
// positions add (t + 8) u; so |o - want| <= 2 (score error + (t + 12) u) max|v|.
TEST(OpsReference, AttentionIsSoftmaxOfAllEarlierPositions) {
  auto rig = scalar_rig(9);
  constexpr int64_t kTokens = 100, kHeads = 4, kDim = 24, kBlock = 32;
  const KvGeometry geometry{KvFormat::kF32, 1, 2, kDim, kBlock};
  auto q = rig.random(kTokens, kHeads * kDim), k = rig.random(kTokens, 2 * kDim), v = rig.random(kTokens, 2 * kDim);
  auto out = rig.make<float>(kTokens, kHeads * kDim);
  Region pool = std::move(rig.backend().device().reserve(4 * geometry.block_bytes())).value();
  std::vector<int32_t> position(kTokens), sequence(kTokens, 0), slot(kTokens);
  std::iota(position.begin(), position.end(), 0);
  const int32_t blocks[] = {2, 0, 3, 1};
  for (int32_t t = 0; t < kTokens; ++t) slot[static_cast<size_t>(t)] = blocks[t / kBlock] * kBlock + t % kBlock;
  auto positions = rig.ints(position), sequences = rig.ints(sequence), slots = rig.ints(slot);
  auto tables = rig.ints({2, 0, 3, 1});
  const KvLayer layer = geometry.layer(pool.span(), 4, 0);
  rig.write_kv(k.mat(), v.mat(), slots.vec(), layer);
  rig.attention({q.mat(), layer, tables.mat(), sequences.vec(), positions.vec(), kHeads, 0.3f, out.mat(), {}});
  std::vector<double> want, bound;
  for (int64_t t = 0; t < kTokens; ++t) {
    for (int64_t h = 0; h < kHeads; ++h) {
      std::vector<double> p;
      double sum = 0, score_size = 0;
      for (int64_t j = 0; j <= t; ++j) {
        double dot = 0, size = 0;
        for (int64_t d = 0; d < kDim; ++d) {
          const double term = double{q.data()[t * q.cols + h * kDim + d]} * k.data()[j * k.cols + h / 2 * kDim + d];
          dot += term;
          size += std::fabs(term);
        }
        p.push_back(std::exp(dot * double{0.3f}));
        sum += p.back();
        score_size = std::max(score_size, size * 0.3);
      }
      for (int64_t d = 0; d < kDim; ++d) {
        double o = 0, vmax = 0;
        for (int64_t j = 0; j <= t; ++j) {
          o += p[static_cast<size_t>(j)] / sum * v.data()[j * v.cols + h / 2 * kDim + d];
          vmax = std::max(vmax, std::fabs(double{v.data()[j * v.cols + h / 2 * kDim + d]}));
        }
        want.push_back(o);
        bound.push_back(2 * kU * ((kDim + 3) * score_size + static_cast<double>(t) + 12) * vmax);
      }
    }
  }
  expect_within(out.copy(), want, bound, "attention");
}

// Tied embeddings: rows come out of the packed lm_head as out of the row-major table.
TEST(OpsReference, EmbedFromPackedAndFromRows) {
  auto rig = scalar_rig(10);
  constexpr int64_t kVocab = 50, kHidden = 70;
  auto source = rig.random(kVocab, kHidden, 0.1f), out = rig.make<float>(4, kHidden),
       rows_out = rig.make<float>(4, kHidden);
  auto ids = rig.ints({0, 49, 17, 17});
  for (WeightFormat format : kAllFormats) {
    const auto weight = rig.pack(format, source);
    rig.ops().embed(rig.stream(), {ids.vec(), {.packed = &weight.packed}, out.mat()});
    for (int64_t t = 0; t < 4; ++t) {
      for (int64_t c = 0; c < kHidden; ++c) {
        const float w = source.data()[ids.data()[t] * kHidden + c];
        if (weight_is_quantised(format)) {  // half a step of 4 sigma, or more where int4 clamps the largest
          ASSERT_NEAR(out.data()[t * kHidden + c], w, format == WeightFormat::kInt8G32 ? 0.5 / 254 + 0.001 : 0.06);
        } else {
          ASSERT_EQ(out.data()[t * kHidden + c], stored(format, w));
        }
      }
    }
  }
  rig.ops().embed(
      rig.stream(),
      {ids.vec(), {.rows = source.region.span().data, .vocab = kVocab, .hidden = kHidden}, rows_out.mat()});
  for (int64_t c = 0; c < kHidden; ++c) ASSERT_EQ(rows_out.data()[kHidden + c], source.data()[49 * kHidden + c]);
  auto bad = rig.ints({0, 1, 2, 50});
  EXPECT_DEATH(
      rig.ops().embed(
          rig.stream(),
          {bad.vec(), {.rows = source.region.span().data, .vocab = kVocab, .hidden = kHidden}, rows_out.mat()}),
      "vocab");
}

// Every format sees the same normalised inputs, bit for bit.
TEST(OpsReference, TheNormIsTheSameBeforeEveryFormat) {
  auto rig = scalar_rig(13);
  auto picks = rig.make<float>(200, 200);
  for (int64_t i = 0; i < 200; ++i) picks.data()[i * 200 + i] = 1.0f;
  const auto picking = rig.pack(WeightFormat::kF32, picks);
  for (const WeightFormat format : kAllFormats) {
    auto source = rig.random(20, 200), x = rig.random(3, 200, 5.0f), norm = rig.random(1, 200),
         normed = rig.make<float>(3, 200);
    const auto inputs = rig.linear_of_norm(picking, x.mat(), norm);
    std::copy(inputs.begin(), inputs.end(), normed.data());
    const auto weight = rig.pack(format, source);
    EXPECT_EQ(rig.linear_of_norm(weight, x.mat(), norm), rig.linear(weight, normed.mat())) << weight_format_name(format);
  }
}

// Int4 against double precision: x is off by at most amax_x / 254; of w the stored number is taken, read back through
// embed(), so that what is left is the arithmetic: the activations' rounding and one per group.
TEST(OpsReference, LinearInt4) {
  auto rig = scalar_rig(14);
  constexpr int64_t kN = 33, kK = 150, kRows = 4;
  for (const WeightFormat format :
       {WeightFormat::kInt4G32, WeightFormat::kInt4G64, WeightFormat::kInt4ZG32, WeightFormat::kInt4ZG64}) {
    const int64_t group = format == WeightFormat::kInt4G32 || format == WeightFormat::kInt4ZG32 ? 32 : 64;
    auto source = rig.random(kN, kK, 0.05f), x = rig.random(kRows, kK), stored_rows = rig.make<float>(kN, kK);
    for (int64_t i = 0; i < kN * kK; ++i) source.data()[i] += i / kK % 2 == 0 ? 0.0f : 0.04f;  // some groups lean
    const auto weight = rig.pack(format, source);
    std::vector<int32_t> every(kN);
    std::iota(every.begin(), every.end(), 0);
    auto ids = rig.ints(every);
    rig.ops().embed(rig.stream(), {ids.vec(), {.packed = &weight.packed}, stored_rows.mat()});
    std::vector<double> want, bound;
    for (int64_t r = 0; r < kRows; ++r) {
      for (int64_t c = 0; c < kN; ++c) {
        double sum = 0, allowed = 0;
        for (int64_t g = 0; g < kK; g += group) {
          const int64_t end = std::min(g + group, kK);
          double xmax = 0;
          for (int64_t k = g; k < end; ++k) xmax = std::max(xmax, std::fabs(double{x.data()[r * kK + k]}));
          for (int64_t k = g; k < end; ++k) {
            const double a = x.data()[r * kK + k], b = stored_rows.data()[c * kK + k];
            sum += a * b;
            allowed += std::fabs(b) * xmax / 254 * 1.0001 + 20 * kU * std::fabs(a * b);
          }
        }
        want.push_back(sum);
        bound.push_back(allowed);
      }
    }
    expect_within(rig.linear(weight, x.mat()), want, bound, std::string(weight_format_name(format)));
  }
}

TEST(OpsReference, GatherRows) {
  auto rig = scalar_rig(12);
  auto x = rig.random(5, 33), out = rig.make<float>(3, 33);
  auto indices = rig.ints({4, 0, 4});
  rig.ops().gather_rows(rig.stream(), {x.mat(), indices.vec(), out.mat()});
  for (int64_t c = 0; c < 33; ++c) {
    ASSERT_EQ(out.data()[c], x.data()[4 * 33 + c]);
    ASSERT_EQ(out.data()[33 + c], x.data()[c]);
  }
}

TEST(Backend, OptionsAreCheckedWithWordsThatHelp) {
  EXPECT_NE(make_backend("tpu", {}).status().message().find("cpu"), std::string::npos);
  EXPECT_EQ(make_backend("cpu", {.threads = -1}).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(make_backend("cpu", {.threads = 100000}).status().code(), Code::kInvalidArgument);
  if (std::getenv("WEIR_ISA") == nullptr) {
    EXPECT_NE(make_backend("cpu", {.isa = "mmx"}).status().message().find("scalar"), std::string::npos);
    EXPECT_NE(OpsRig({.threads = 1, .isa = "scalar"}).backend().description().find("scalar"), std::string::npos);
  }
  EXPECT_EQ(backend_names(), "cpu");
}

}  // namespace
}  // namespace weir
