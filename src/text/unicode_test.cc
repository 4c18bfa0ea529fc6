#include "text/unicode.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

std::string lossy(std::string_view bytes, size_t step) {
  std::string pending, out;
  for (size_t at = 0; at < bytes.size(); at += step) utf8_lossy_append(bytes.substr(at, step), &pending, &out);
  utf8_lossy_finish(&pending, &out);
  return out;
}

TEST(Unicode, ValidPrefixStopsAtTheFirstBadByte) {
  EXPECT_TRUE(utf8_valid(""));
  EXPECT_TRUE(utf8_valid("plain ASCII, longer than eight bytes"));
  EXPECT_TRUE(utf8_valid("\xC2\x80\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xF0\x90\x80\x80\xF4\x8F\xBF\xBF"));
  EXPECT_EQ(utf8_valid_prefix("ab\xC0\x80"), 2u);                   // overlong
  EXPECT_EQ(utf8_valid_prefix("12345678\xED\xA0\x80"), 8u);         // surrogate
  EXPECT_EQ(utf8_valid_prefix("\xF4\x90\x80\x80"), 0u);             // above U+10FFFF
  EXPECT_EQ(utf8_valid_prefix("a\xE2\x82"), 1u);                    // cut short
  EXPECT_EQ(utf8_valid_prefix("\x80"), 0u);
}

TEST(Unicode, EncodeAndDecodeAreInverse) {
  for (char32_t cp = 1; cp < 0x110000; cp += cp < 0x3000 ? 1 : 97) {
    if (cp >= 0xD800 && cp < 0xE000) continue;
    std::string text = "x";
    utf8_append(cp, &text);
    EXPECT_EQ(utf8_decode(text.data() + 1).value, cp);
    EXPECT_EQ(utf8_last(text).value, cp);
    EXPECT_EQ(utf8_length(text[1]), text.size() - 1);
  }
}

TEST(Unicode, LossyReplacesEachMaximalSubpart) {
  const std::string_view bytes = "a\xF0\x9F\x98z\xC0\xAF\xE2\x82\xED\xA0\x80\xF0\x9F\x98\x80\x80\xE2\x82";
  const std::string want = "a\uFFFDz\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\U0001F600\uFFFD\uFFFD";
  for (size_t step = 1; step <= bytes.size(); ++step) EXPECT_EQ(lossy(bytes, step), want) << "step " << step;
}

TEST(Unicode, ClassesOfCharactersThatDifferBetweenVersionsAndEngines) {
  EXPECT_TRUE(unicode_class(U'a') & kUnicodeLetter);
  EXPECT_TRUE(unicode_class(0x31350) & kUnicodeLetter);    // new in Unicode 15
  EXPECT_TRUE(unicode_class(0xBD) & kUnicodeNumber);       // one half
  EXPECT_TRUE(unicode_class(0x85) & kUnicodeSpace);        // next line
  EXPECT_FALSE(unicode_class(0x180E) & kUnicodeSpace);     // Mongolian vowel separator: no longer White_Space
  EXPECT_FALSE(unicode_class(0x200B) & kUnicodeSpace);     // zero width space is none
  EXPECT_TRUE(unicode_class(0x200D) & kUnicodeWord);       // joiner
  EXPECT_TRUE(unicode_class(0x301) & kUnicodeMark);
  EXPECT_TRUE(unicode_class(0x903) & kUnicodeMark);         // spacing marks too
  EXPECT_FALSE(unicode_class(0x301) & kUnicodeNfcInert);
  EXPECT_TRUE(unicode_class(0xE9) & kUnicodeNfcInert);
  EXPECT_FALSE(unicode_class(0x1161) & kUnicodeNfcInert);  // Hangul vowel, joins the consonant before it
  EXPECT_EQ(unicode_class(0x10FFFF) & ~kUnicodeNfcInert, 0);
}

}  // namespace
}  // namespace weir
