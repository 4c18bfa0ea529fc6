#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cmath>
#include <limits>
#include <random>

#include "api/json_in.h"
#include "api/json_out.h"

namespace weir::api {
namespace {

std::string as_json(std::string_view text) {
  std::string out;
  append_json_string(text, &out);
  return out;
}

std::string number(double value) {
  std::string out;
  append_number(value, &out);
  return out;
}

TEST(JsonOut, EscapesWhatJsonAndCarelessReadersNeed) {
  EXPECT_EQ(as_json("a\"b\\c\n\t\x01\x7f"), "\"a\\\"b\\\\c\\n\\t\\u0001\x7f\"");
  EXPECT_EQ(as_json("\xE2\x80\xA8|\xE2\x80\xA9|\xE2\x82\xAC"), "\"\\u2028|\\u2029|\xE2\x82\xAC\"");
  EXPECT_EQ(as_json(std::string_view("\0", 1)), "\"\\u0000\"");
}

TEST(JsonOut, BadBytesBecomeReplacements) {
  EXPECT_EQ(as_json("\xC3"), "\"\xEF\xBF\xBD\"");
  EXPECT_EQ(as_json("\xED\xA0\x80"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"") << "a surrogate";
  EXPECT_EQ(as_json("\xC0\xAF"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\"") << "overlong";
  EXPECT_EQ(as_json("\xF4\x90\x80\x80x"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDx\"") << "above U+10FFFF";
}

TEST(JsonOut, AnyBytesGiveJsonThatReadsBack) {
  std::mt19937 random(7);
  for (int round = 0; round < 20000; ++round) {
    std::string bytes;
    for (size_t n = random() % 12; n > 0; --n) {
      bytes.push_back(static_cast<char>(random() % 3 ? 0x78 + random() % 0x88 : random() % 256));
    }
    boost::json::error_code error;
    const auto value = boost::json::parse(as_json(bytes), error);
    ASSERT_FALSE(error) << as_json(bytes);
    if (valid_utf8(bytes)) {
      ASSERT_EQ(value.as_string(), bytes);
    }
  }
}

TEST(JsonOut, NumbersAreJson) {
  EXPECT_EQ(number(0.7), "0.7");
  EXPECT_EQ(number(std::numeric_limits<double>::infinity()), "null");
  EXPECT_EQ(number(std::nan("")), "null");
  std::string out;
  append_logprob(-std::numeric_limits<float>::infinity(), &out);
  EXPECT_EQ(out, "-9999");
  for (const double value : {1e-7, 5e-324, 1.7976931348623157e308, -0.0, 123456789.125}) {
    EXPECT_EQ(boost::json::parse(number(value)).to_number<double>(), value);
  }
}

TEST(JsonIn, RefusesWhatIsNotOneObject) {
  for (const char* text : {"", "  ", "[]", "1", "\"a\"", "{", "{}x", "{} {}", "{\"a\":NaN}", "{\"a\":01}", "{\"a\":1,}",
                           "{'a':1}", "{\"a\":\"\\ud800\"}", "{\"a\":\"\\udc00\\ud800\"}", "{\"a\":\"\xff\"}",
                           "{\"a\":\"\xed\xa0\x80\"}", "{\"a\":\"\n\"}", "{\"\xc3\":1}"}) {
    auto body = JsonBody::parse(text);
    ASSERT_FALSE(body.ok()) << text;
    EXPECT_EQ(body.status().code(), Code::kInvalidArgument) << text;
  }
  EXPECT_TRUE(JsonBody::parse(" {\"a\" : \"\\ud83d\\ude00\"} \n").ok());
}

TEST(JsonIn, DepthAndBytesAreBounded) {
  const auto nested = [](size_t depth) {
    return "{\"a\":" + std::string(depth, '[') + std::string(depth, ']') + "}";
  };
  EXPECT_TRUE(JsonBody::parse(nested(kJsonDepthMax - 1)).ok());
  EXPECT_EQ(JsonBody::parse(nested(kJsonDepthMax)).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(JsonBody::parse(nested(1'000'000)).status().code(), Code::kInvalidArgument);
  std::string bomb = "{\"a\":[";  // 8 MiB that would take far more as a tree
  while (bomb.size() < (8u << 20)) bomb.append("[],{},");
  bomb.append("0]}");
  EXPECT_EQ(JsonBody::parse(bomb).status().code(), Code::kTooLarge);
}

// The plan counts json_bytes_max() of the largest body, so a smaller --max-body-bytes is a smaller line; and what real
// requests send passes at every size.
TEST(JsonIn, ASmallBodyMayTakeLessAndNothingIsRefusedForIt) {
  EXPECT_EQ(json_bytes_max(8u << 20), kJsonBytesMax);
  EXPECT_EQ(json_bytes_max(~size_t{0}), kJsonBytesMax);
  EXPECT_LT(json_bytes_max(1u << 20), kJsonBytesMax);
  for (size_t last = 0, bytes = 0; bytes <= (4u << 20); bytes += 4096) {
    EXPECT_GE(json_bytes_max(bytes), last);
    last = json_bytes_max(bytes);
  }
  // The texts that grow most when parsed: none needs what it is not given, at sizes on both sides of each doubling.
  for (const char* piece : {"7,", "[],", "{},", "[0],", "[[0]],", "{\"\":0},", "{\"a\":[]},", "\"\",", "\"x\",", "1.5,"}) {
    for (const size_t bytes : {20u, 1'000u, 4'500u, 10'000u, 33'000u, 100'000u, 140'000u, 1'000'000u, 1'500'000u}) {
      std::string text = "{\"prompt\":[";
      while (text.size() < bytes) text.append(piece);
      text.append("7]}");
      EXPECT_TRUE(JsonBody::parse(text).ok()) << piece << " up to " << bytes;
    }
  }
}

TEST(JsonIn, TheLastOfDuplicateKeysCounts) {
  auto body = JsonBody::parse(R"({"a":1,"b":2,"a":3})");
  ASSERT_TRUE(body.ok());
  EXPECT_EQ(body->object().at("a").as_int64(), 3);
}

TEST(JsonIn, ValuesAreWrittenBackAsTheyWere) {
  const std::string text = R"({"a":[1,-2,18446744073709551615,0.5,1.0,1e-09,true,null,"\"\u2028"],"b":{},"c":[]})";
  auto body = JsonBody::parse(text);
  ASSERT_TRUE(body.ok());
  std::string out;
  ASSERT_TRUE(append_json_value(body->object(), &out));
  EXPECT_EQ(out, text);
  auto huge = JsonBody::parse(R"({"a":1e400})");
  ASSERT_TRUE(huge.ok()) << "boost reads it as infinity";
  EXPECT_FALSE(append_json_value(huge->object(), &out));
}

}  // namespace
}  // namespace weir::api
