#include "base/python_json.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

std::string plain(std::string_view text) {
  std::string buffer;
  return std::string(plain_json(text, &buffer));
}

TEST(PythonJson, NumbersThatAreNotFinite) {
  EXPECT_EQ(plain(R"({"a": NaN, "b": [Infinity,-Infinity], "c": 1})"),
            R"({"a": 1e999, "b": [1e999,-1e999], "c": 1})");
  EXPECT_EQ(plain("NaN"), "1e999");
}

TEST(PythonJson, WhatStandsInAStringStays) {
  const char* text = R"({"NaN": "Infinity \" NaN", "x\\": "-Infinity"})";
  EXPECT_EQ(plain(text), text);
}

TEST(PythonJson, OtherWordsStayErrorsForTheParser) {
  for (const char* text :
       {"NaNs", "nan", "INFINITY", "Infinity1", "_NaN", "N", "I", "Infinit", "\"open NaN", "\"\\"}) {
    EXPECT_EQ(plain(text), text);
  }
}

TEST(PythonJson, AByteOrderMarkIsNoPartOfTheText) {
  EXPECT_EQ(plain("\xef\xbb\xbf{}"), "{}");
  EXPECT_EQ(plain("\xef\xbb\xbf[NaN]"), "[1e999]");
  EXPECT_EQ(plain("\xef\xbb"), "\xef\xbb");
}

TEST(PythonJson, NothingIsCopiedWhereNothingIsReplaced) {
  const std::string text = R"({"a": 1})";
  std::string buffer;
  EXPECT_EQ(plain_json(text, &buffer).data(), text.data());
}

}  // namespace
}  // namespace weir
