// Flags about the machine: which CPUs, which folder.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/parse.h"

namespace weir {
namespace {

using ::testing::HasSubstr;

Result<Settings> parse(std::vector<std::string> words, const Environment& environment = {}) {
  words.insert(words.begin(), "/");  // any directory does
  std::vector<std::string> warnings;
  return parse_settings(words, environment, &warnings);
}

TEST(MachineOptions, CpuSetIsAListOfCpus) {
  EXPECT_EQ(parse({"--cpu-set", "0-3,8"})->cpu_set, "0-3,8");
  EXPECT_EQ(parse({}, {{"WEIR_CPU_SET", "1"}})->cpu_set, "1");
  for (const char* bad : {"0-", "3-1", "a", "0,,1", "65536", "all"}) {
    EXPECT_THAT(parse({"--cpu-set", bad}).status().message(), HasSubstr("--cpu-set")) << bad;
    EXPECT_THAT(parse({"--cpu-set", bad}).status().message(), HasSubstr("such as 0-3,8")) << bad;
  }
}

TEST(MachineOptions, TheWeightCacheIsOffUnlessAFolderIsGiven) {
  EXPECT_EQ(parse({})->weight_cache, "");
  EXPECT_EQ(parse({"--weight-cache", "/var/cache/weir"})->weight_cache, "/var/cache/weir");
  EXPECT_EQ(parse({}, {{"WEIR_WEIGHT_CACHE", "/c"}})->weight_cache, "/c");
}

TEST(MachineOptions, PrefillStretchAndSpeculation) {
  EXPECT_EQ(parse({})->prefill_stretch, 2);
  EXPECT_EQ(parse({"--prefill-stretch", "0"})->prefill_stretch, 0);
  EXPECT_THAT(parse({"--prefill-stretch", "-1"}).status().message(), HasSubstr("--prefill-stretch"));
  EXPECT_EQ(parse({"--speculative", "ngram"})->speculative, "ngram");
  EXPECT_THAT(parse({"--speculative", "draft"}).status().message(), HasSubstr("off, ngram"));
}

}  // namespace
}  // namespace weir
