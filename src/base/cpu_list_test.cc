#include "base/cpu_list.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(CpuList, ReadsNumbersAndRanges) {
  EXPECT_EQ(*parse_cpu_list("0"), (std::vector<int>{0}));
  EXPECT_EQ(*parse_cpu_list("0-3,8"), (std::vector<int>{0, 1, 2, 3, 8}));
  EXPECT_EQ(*parse_cpu_list(" 8,0-1,1-2\n"), (std::vector<int>{0, 1, 2, 8})) << "ascending, each once";
  EXPECT_EQ(parse_cpu_list("0-65535")->size(), 65536u);
}

TEST(CpuList, RefusesEverythingElseInOneLine) {
  for (const char* text : {"", " ", ",", "0,", ",1", "1-", "-1", "3-1", "0-3:1/2", "a", "0 1", "+1", "65536", "0--1",
                           "99999999999999999999", "0x1", "1\n2"}) {
    const auto list = parse_cpu_list(text);
    ASSERT_FALSE(list.ok()) << text;
    EXPECT_EQ(list.status().code(), Code::kInvalidArgument);
    EXPECT_EQ(list.status().message().find('\n'), std::string::npos) << text;
  }
  EXPECT_LT(parse_cpu_list(std::string(100'000, '1')).status().message().size(), 200u);
}

TEST(CpuList, WritesWhatItReads) {
  for (const char* text : {"0", "0-3,8", "1,3,5-6", "7-65535"}) EXPECT_EQ(format_cpu_list(*parse_cpu_list(text)), text);
  EXPECT_EQ(format_cpu_list({}), "");
}

}  // namespace
}  // namespace weir
