#include "checkpoint/safetensors_header.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "checkpoint/test_files.h"

namespace weir {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Result<std::vector<TensorEntry>> parse_bytes_of(const std::string& file) {
  return parse_header(std::as_bytes(std::span(file)), file.size());
}

Result<std::vector<TensorEntry>> parse(const std::string& header, size_t data_bytes) {
  return parse_bytes_of(safetensors_bytes(header, data_bytes));
}

TEST(SafetensorsHeader, ReadsWhatTheFormatAllows) {
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2,1],"data_offsets":[6,14]},)"
      R"("a":{"shape":[3],"data_offsets":[0,6],"dtype":"BF16"},)"
      R"("none":{"dtype":"F64","shape":[0,7],"data_offsets":[6,6]},)"
      R"("scalar":{"dtype":"U8","shape":[],"data_offsets":[14,15]}}   )";
  const std::vector<TensorEntry> entries = parse(header, 15).value();
  ASSERT_EQ(entries.size(), 4u);
  EXPECT_EQ(entries[0].name, "a");
  EXPECT_EQ(entries[0].dtype, StoredDType::kBF16);
  EXPECT_EQ(entries[0].begin, 8 + header.size());
  EXPECT_EQ(entries[1].name, "none");
  EXPECT_THAT(entries[2].shape, ElementsAre(2, 1));
  EXPECT_EQ(entries[2].end, 8 + header.size() + 14);
  EXPECT_THAT(entries[3].shape, IsEmpty());
  EXPECT_TRUE(parse("{}", 0).ok());
  EXPECT_TRUE(parse(R"({"__metadata__":null})", 0).ok());
}

TEST(SafetensorsHeader, SubByteTypesMustFillWholeBytes) {
  EXPECT_TRUE(parse(R"({"a":{"dtype":"F4","shape":[4],"data_offsets":[0,2]}})", 2).ok());
  EXPECT_FALSE(parse(R"({"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}})", 2).ok());
}

struct Lie {
  std::string header;
  size_t data_bytes;
  std::string says;
};

TEST(SafetensorsHeader, EveryLieIsNamed) {
  const auto one = [](const std::string& dtype, const std::string& shape, const std::string& range) {
    return R"({"a":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + range + "}}";
  };
  const std::string two = R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)";
  const std::vector<Lie> lies = {
      {one("\"F32\"", "[2]", "[0,8]"), 4, "the file is truncated"},
      {one("\"F32\"", "[2]", "[0,8]"), 12, "4 bytes after the last tensor"},
      {one("\"F32\"", "[2]", "[4,12]"), 12, "a hole of 4 bytes"},
      {one("\"F32\"", "[2]", "[8,0]"), 8, "ends before it begins"},
      {one("\"F32\"", "[3]", "[0,8]"), 8, "need 96 bits and its range has 8 bytes"},
      {one("\"F32\"", "[4294967296,4294967296]", "[0,8]"), 8, "overflows"},
      {one("\"F32\"", "[9223372036854775807,4]", "[0,8]"), 8, "overflows"},
      {one("\"U8\"", "[0,9223372036854775807]", "[0,0]"), 0, ""},
      {one("\"F32\"", "[-2]", "[0,8]"), 8, "a negative number"},
      {one("\"F32\"", "[2.0]", "[0,8]"), 8, "not whole"},
      {one("\"F32\"", "[\"2\"]", "[0,8]"), 8, "a string where none belongs"},
      {one("\"F32\"", "[1e999]", "[0,8]"), 8, "not whole"},
      {one("\"F32\"", "[18446744073709551615]", "[0,8]"), 8, "too large"},
      {one("\"F32\"", "[1,1,1,1,1,1,1,1,2]", "[0,8]"), 8, "more than 8 dimensions"},
      {one("\"F32\"", "2", "[0,8]"), 8, "a number where none belongs"},
      {one("\"F32\"", "[[2]]", "[0,8]"), 8, "a list where none belongs"},
      {one("\"F32\"", "[2]", "[0,8,8]"), 8, "must be two numbers"},
      {one("\"F32\"", "[2]", "[0]"), 8, "must be two numbers"},
      {one("\"F31\"", "[2]", "[0,8]"), 8, "unknown dtype 'F31'"},
      {one("null", "[2]", "[0,8]"), 8, "null where none belongs"},
      {one("true", "[2]", "[0,8]"), 8, "true or false"},
      {two + R"("b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})", 6, "tensor 'b': overlaps"},
      {two + R"("b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", 4, "overlaps"},
      {two + R"("a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})", 8, "tensor 'a' is there twice"},
      {R"({"a":{"dtype":"U8","dtype":"U8","shape":[4],"data_offsets":[0,4]}})", 4, "'dtype' is there twice"},
      {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4],"x":1}})", 4, "unknown key 'x'"},
      {R"({"a":{"dtype":"U8","shape":[4]}})", 4, "needs dtype, shape and data_offsets"},
      {R"({"a":[1]})", 4, "a list where none belongs"},
      {R"({"a":null})", 4, "null where none belongs"},
      {R"({"a":7})", 4, "a number where none belongs"},
      {R"({"__metadata__":{"a":"1","a":"2"}})", 0, "has a key twice"},
      {R"({"__metadata__":{"a":1}})", 0, "a number where none belongs"},
      {R"({"__metadata__":{},"__metadata__":{}})", 0, "there twice"},
      {R"({"a":)", 0, "no valid JSON"},
      {"{}{}", 0, "text after its object"},
      {" {}", 0, "does not begin with"},
      {"", 0, "does not begin with"},
  };
  for (const Lie& lie : lies) {
    const auto entries = parse(lie.header, lie.data_bytes);
    EXPECT_EQ(entries.ok(), lie.says.empty()) << lie.header;
    EXPECT_THAT(entries.status().message(), HasSubstr(lie.says)) << lie.header;
  }
}

TEST(SafetensorsHeader, HostileNamesStayOneShortLine) {
  const auto status = parse("{\"" + std::string(900, 'n') + R"(\n":{}})", 0).status();
  EXPECT_LT(status.message().size(), 300u);
  EXPECT_EQ(status.message().find('\n'), std::string::npos);
  EXPECT_FALSE(
      parse("{\"" + std::string(5000, 'n') + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})", 0).ok());
}

TEST(SafetensorsHeader, EveryPrefixOfAGoodFileIsRefused) {
  const std::string file = safetensors_bytes(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8);
  ASSERT_TRUE(parse_bytes_of(file).ok());
  for (size_t bytes = 0; bytes < file.size(); ++bytes) {
    EXPECT_THAT(parse_bytes_of(file.substr(0, bytes)).status().message(), HasSubstr("truncated")) << bytes;
  }
}

TEST(SafetensorsHeader, HugeHeaderLengthIsRefusedBeforeItIsUsed) {
  std::string file(16, '\0');
  for (int i = 0; i < 8; ++i) file[static_cast<size_t>(i)] = '\xff';
  EXPECT_THAT(parse_bytes_of(file).status().message(), HasSubstr("more than the 100000000 allowed"));
}

TEST(SafetensorsHeader, NamesAreUnescapedBeforeTheyAreCompared) {
  const std::string header = R"({"ab":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                             R"("a\u0062":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})";
  EXPECT_THAT(parse(header, 2).status().message(), HasSubstr("'ab' is there twice"));
}

}  // namespace
}  // namespace weir
