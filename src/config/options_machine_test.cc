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

TEST(MachineOptions, AUnixSocketToListenOn) {
  std::vector<std::string> warnings;
  const auto settings = parse_settings({"/", "--server-name", "unix:/run/weir.sock"}, {}, &warnings);
  ASSERT_TRUE(settings.ok()) << settings.status().message();
  EXPECT_EQ(settings->server_name, "unix:/run/weir.sock");
  EXPECT_TRUE(warnings.empty()) << "who may connect is who may write to the file";
  for (const std::string& bad : {std::string("unix:"), std::string("unix:weir.sock"),
                                 "unix:/" + std::string(107, 'a'), std::string("unix:/a\nb")}) {
    EXPECT_THAT(parse({"--server-name", bad}).status().message(),
                HasSubstr("absolute path of at most 107 characters"))
        << bad;
  }
}

}  // namespace
}  // namespace weir
