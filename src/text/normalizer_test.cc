#include "text/normalizer.h"

#include <gtest/gtest.h>
#include <utf8proc.h>

#include <cstdlib>
#include <random>

#include "base/thread_time.h"
#include "text/unicode.h"

namespace weir {
namespace {

using Kind = NormalizerSpec::Kind;

std::string apply(std::vector<NormalizerSpec> steps, std::string text) {
  const Status status = Normalizer(std::move(steps)).apply(&text);
  EXPECT_TRUE(status.ok()) << status.message();
  return text;
}

NormalizerSpec replace(std::string_view pattern, std::string with) {
  NormalizerSpec spec{Kind::kReplace};
  spec.regex = Regex::compile(pattern).value();
  spec.text = std::move(with);
  return spec;
}

std::string utf8proc(std::string_view text, int options) {
  utf8proc_uint8_t* out = nullptr;
  const auto size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                 static_cast<utf8proc_ssize_t>(text.size()), &out,
                                 static_cast<utf8proc_option_t>(options | UTF8PROC_STABLE));
  EXPECT_GE(size, 0);
  std::string result(reinterpret_cast<char*>(out), static_cast<size_t>(size));
  std::free(out);
  return result;
}

TEST(Normalizer, FormsEqualTheLibrarysOnRandomText) {
  const std::u32string alphabet =
      U"aeo \u00E9\u0301\u0323\u0308\u0315\u0958\u212B\u1100\u1161\u11A8\uAC00\u2ADC\u0DDC\u0DCF\uFDFA\uFB01\u00BD"
      U"\u4E2D\u3099\u304B\U0001D15E\U0001109B\u0F73\u200D\u0041";
  std::mt19937 rng(3);
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    for (unsigned n = rng() % 12; n > 0; --n) utf8_append(alphabet[rng() % alphabet.size()], &text);
    ASSERT_EQ(normalize_unicode(NormalForm::kNfc, text), utf8proc(text, UTF8PROC_COMPOSE)) << round << " " << text;
    ASSERT_EQ(normalize_unicode(NormalForm::kNfd, text), utf8proc(text, UTF8PROC_DECOMPOSE)) << round;
    ASSERT_EQ(normalize_unicode(NormalForm::kNfkc, text), utf8proc(text, UTF8PROC_COMPOSE | UTF8PROC_COMPAT)) << round;
    ASSERT_EQ(normalize_unicode(NormalForm::kNfkd, text), utf8proc(text, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT))
        << round;
  }
}

TEST(Normalizer, AMegabyteOfCombiningMarksIsNotQuadratic) {
  std::string text = "a";
  for (int i = 0; i < 250000; ++i) text += i % 2 ? "\u0301" : "\u0323";
  const Micros begin = thread_cpu_us();  // not the wall: others may have the processor
  const std::string out = normalize_unicode(NormalForm::kNfc, text);
  EXPECT_LT(thread_cpu_us() - begin, 5'000'000);
  EXPECT_TRUE(out.starts_with("\u1EA1\u0323\u0323")) << out.substr(0, 12);
}

TEST(Normalizer, Steps) {
  NormalizerSpec prepend{Kind::kPrepend, "▁"};
  EXPECT_EQ(apply({prepend, replace(" ", "▁")}, "a b"), "▁a▁b");
  EXPECT_EQ(apply({prepend}, ""), "");
  EXPECT_EQ(apply({replace(" {2,}", " ")}, "a    b"), "a b");
  EXPECT_EQ(apply({{Kind::kLowercase}}, "ÀΣİẞ"), "àσi\u0307ß");
  EXPECT_EQ(apply({{Kind::kStrip}}, "\u3000 é \n"), "é");
  NormalizerSpec right{Kind::kStrip};
  right.left = false;
  EXPECT_EQ(apply({right}, " é "), " é");
  EXPECT_EQ(apply({{Kind::kNfd}, {Kind::kStripAccents}}, "élan"), "elan");
  EXPECT_EQ(apply({{Kind::kByteLevel}}, "é "), "Ã©Ġ");
}

TEST(Normalizer, GrowthIsBounded) {
  std::string text(200000, ' ');
  const Status status = Normalizer({replace(" ", std::string(1000, 'x'))}).apply(&text);
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace weir
