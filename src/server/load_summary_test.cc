#include "server/load_summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/log.h"

namespace weir {
namespace {

using ::testing::HasSubstr;

TEST(LoadSummary, OneLineASecondWhileStepsRunAndOnlyForDebug) {
  LoadGauges load;
  LoadSummary summary(&load);
  const auto look_for = [&](int tenths) {
    ::testing::internal::CaptureStderr();
    static Micros now = 1;
    for (int i = 0; i < tenths; ++i) summary.observe(now += 100'000);
    return ::testing::internal::GetCapturedStderr();
  };
  load.steps = 7;
  EXPECT_EQ(look_for(30), "");
  set_log_level(LogLevel::kDebug);
  EXPECT_EQ(look_for(30), "") << "no step ran";
  load.steps = 11;
  load.step_us_total = 8'000;
  load.output_tokens = 5;
  load.waiting = 3;
  const std::string log = look_for(30);
  EXPECT_THAT(
      log,
      HasSubstr("DEBUG engine: 4 steps in 1.0 s, 2.00 ms each: 0 prompt tokens, 5 output tokens; 0 run, 3 wait\n"));
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 1);
  set_log_level(LogLevel::kInfo);
}

}  // namespace
}  // namespace weir
