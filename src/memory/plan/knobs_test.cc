// The search over the caller's own settings, and limits that come from a machine made of files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/units.h"
#include "memory/monitor/host_facts.h"
#include "memory/plan/plan.h"

namespace weir {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;

// A tiny model behind a big door: 10 MiB of weights, 16 KiB a connection, 8 bytes a byte of the largest body.
std::vector<PlanLine> lines_of(int64_t session, int batch, std::span<const int64_t> knobs) {
  return {{"weights", 10 * kMiB, ""},
          {"workspace", static_cast<uint64_t>(batch) * 64 * kKiB + static_cast<uint64_t>(session) * kKiB, ""},
          {"connections", static_cast<uint64_t>(knobs[0]) * 16 * kKiB, ""},
          {"parsing", static_cast<uint64_t>(knobs[1]) * 8, ""}};
}

PlanInput tiny(uint64_t limit) {
  PlanInput input;
  const std::vector<int64_t> knobs = {4096, 8 << 20};
  input.fixed_lines = lines_of(1024, 16, knobs);
  input.kv_block_bytes = 16 * kKiB;
  input.block_tokens = 64;
  input.cache = {.kind = CacheShare::Kind::kRatio, .ratio = 1};
  input.limit_bytes = limit;
  input.limit_source = "--memory-limit";
  input.session_tokens = 1024;
  input.max_batch = 16;
  input.fixed_lines_at = [knobs](int64_t session, int batch) { return lines_of(session, batch, knobs); };
  input.knobs = {{.flag = "--max-connections", .value = 4096, .floor = 64},
                 {.flag = "--max-body-bytes", .value = 8 << 20, .floor = 64 * 1024, .in_bytes = true}};
  input.knob_lines_at = lines_of;
  return input;
}

auto flags(const char* text) { return Field(&Alternative::flags, text); }

// 140.25 MiB as given: 10 + 2 + 64 + 64 and a session of 16 blocks.
TEST(Knobs, EachAloneIsHalvedUntilItFits) {
  EXPECT_TRUE(plan_as_given(tiny(140 * kMiB + 256 * kKiB)).ok());
  EXPECT_THAT(find_alternatives(tiny(100 * kMiB)),
              ElementsAre(flags("--max-connections 1024"), flags("--max-body-bytes 2MiB")));
  EXPECT_THAT(make_plan(tiny(100 * kMiB)).status().message(),
              AllOf(HasSubstr("fits with --max-connections 1024 ("), HasSubstr("or --max-body-bytes 2MiB (")));
  EXPECT_THAT(find_alternatives(tiny(109 * kMiB)),
              ElementsAre(flags("--max-connections 2048"), flags("--max-body-bytes 4MiB")))
      << "the first halving is enough, and no further one is taken";
}

TEST(Knobs, AllTogetherWhereNoneAloneIsEnough) {
  EXPECT_THAT(find_alternatives(tiny(46 * kMiB)), ElementsAre(flags("--max-connections 1024 --max-body-bytes 2MiB")));
  EXPECT_THAT(find_alternatives(tiny(17 * kMiB)), ElementsAre(flags("--max-connections 128 --max-body-bytes 256KiB")));
}

TEST(Knobs, EverythingTogetherAsTheLastWay) {
  // The knobs at their floors leave 13.75 MiB and a quarter for the session; less than that takes all settings.
  const std::vector<Alternative> found = find_alternatives(tiny(12 * kMiB + 256 * kKiB));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].flags, "--session-len 64 --max-batch-size 1 --max-connections 64 --max-body-bytes 128KiB");
  EXPECT_LE(found[0].total_bytes, 12 * kMiB + 256 * kKiB);
  EXPECT_THAT(make_plan(tiny(10 * kMiB)).status().message(), HasSubstr("nothing smaller fits either"));
}

TEST(Knobs, AValueBelowItsFloorStaysAndOddSizesAreWrittenInBytes) {
  PlanInput input = tiny(20 * kMiB);
  input.knobs[0].value = 10;
  input.knobs[1].value = (8 << 20) + 16;
  const std::vector<int64_t> values = {10, (8 << 20) + 16};
  input.fixed_lines = lines_of(1024, 16, values);
  input.fixed_lines_at = nullptr;
  EXPECT_THAT(find_alternatives(input), ElementsAre(flags("--max-body-bytes 524289")));
  input.knob_lines_at = nullptr;
  EXPECT_THAT(find_alternatives(input), testing::IsEmpty()) << "knobs without a function are not guessed at";
}

// A limit read from the files of a container: smaller than the weights is a refusal that names the file.
TEST(Limits, ACgroupLimitBelowTheWeightsIsARefusalThatNamesIt) {
  std::string root = (std::filesystem::temp_directory_path() / "weir-limit-XXXXXX").string();
  ASSERT_NE(mkdtemp(root.data()), nullptr);
  const auto file = [&](const std::string& name, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root + name).parent_path());
    std::ofstream(root + name) << text;
  };
  file("/proc/meminfo", "MemTotal:       16777216 kB\nMemAvailable:    8388608 kB\n");
  file("/proc/self/mountinfo", "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw\n");
  file("/proc/self/cgroup", "0::/pod/weir\n");
  file("/sys/fs/cgroup/pod/memory.max", "8388608\n");
  file("/sys/fs/cgroup/pod/weir/memory.max", "max\n");
  const MemoryLimit limit = effective_limit(read_host_facts(root), {}).value();
  std::filesystem::remove_all(root);
  ASSERT_EQ(limit.bytes, 8 * kMiB);
  PlanInput input = tiny(limit.bytes);
  input.limit_source = limit.source;
  const Status status = make_plan(input).status();
  EXPECT_EQ(status.code(), Code::kFailedPrecondition);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("the limit is 8.00 MiB (8,388,608 bytes), set by "
                                                "/sys/fs/cgroup/pod/memory.max"),
                                      HasSubstr("nothing smaller fits either")));
}

TEST(Limits, APoolOfOneBlockServesASessionOfOneBlockAndNoLonger) {
  PlanInput input = tiny(200 * kMiB);
  input.session_tokens = 64;
  input.cache = {.kind = CacheShare::Kind::kBytes, .amount = 16 * kKiB};
  const MemoryPlan plan = plan_as_given(input).value();
  EXPECT_EQ(plan.kv_blocks, 1u);
  EXPECT_EQ(plan.capacity.back().sequences, 1);
  input.session_tokens = 65;
  EXPECT_THAT(plan_as_given(input).status().message(),
              HasSubstr("one sequence of --session-len 65 needs 2 KV blocks of 16.00 KiB, and the cache has 1: it could "
                        "hold 64 tokens"));
}

TEST(Limits, RatiosAndSizesThatMakeNoSense) {
  for (const char* bad : {"0", "0.0", "-0.5", "-1", "1.0001", "2.5", "1.5", "8Gi B", "8XiB", "8 GBs", "GiB", "-8GiB",
                          "0.8GiB0", "1e9", "nanGiB", "0KiB"}) {
    const Status status = parse_cache_share(bad).status();
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << bad;
    EXPECT_THAT(status.message(), AllOf(HasSubstr(bad), HasSubstr("(0.8)"), HasSubstr("(128)"), HasSubstr("(8GiB)")));
  }
}

}  // namespace
}  // namespace weir
