// Whole runs of the simulator: thousands of seeds, exact replay, and that broken parts are found.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/soak.h"

namespace weir::sim {
namespace {

using ::testing::HasSubstr;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int64_t kSeeds = 200;
#else
constexpr int64_t kSeeds = 3000;
#endif

std::string told(const SoakResult& result) {
  if (!result.violation) return "";
  return replay_command(result.failed_seed, 40, true) + ": " + result.violation->text();
}

TEST(Soak, ThousandsOfSeedsBreakNothing) {
  const SoakResult result = run_soak({.first_seed = 1, .seeds = kSeeds, .requests = 40}, {});
  EXPECT_EQ(told(result), "");
  EXPECT_EQ(result.seeds, kSeeds);
  EXPECT_EQ(result.requests, kSeeds * 40);
  // It met what it is there for.
  for (const FinishReason reason : {FinishReason::kStop, FinishReason::kLength, FinishReason::kCancelled,
                                    FinishReason::kQueueTimeout, FinishReason::kShutdown, FinishReason::kError,
                                    FinishReason::kMemoryPressure}) {
    EXPECT_GT(result.finishes[static_cast<size_t>(reason)], 0u) << finish_reason_name(reason);
  }
  EXPECT_GT(result.preemptions, 0u);
  EXPECT_GT(result.refusals, 0u);
}

}  // namespace
}  // namespace weir::sim
