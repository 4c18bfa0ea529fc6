// A whole start where the system gives n threads and no more, for every n from none to enough: each is an error
// line or a server that runs, and what was built before the missing thread goes down in order.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/thread.h"
#include "config/parse.h"
#include "server/app.h"

namespace weir {
namespace {

using testing::HasSubstr;

struct NoLimitAfterwards {
  ~NoLimitAfterwards() { limit_thread_starts_for_test(-1); }
};

Status start_with(const Settings& settings, int threads) {
  const NoLimitAfterwards afterwards;
  limit_thread_starts_for_test(threads);
  WEIR_ASSIGN_OR_RETURN(const std::unique_ptr<App> app, App::create(settings, nullptr));
  WEIR_RETURN_IF_ERROR(app->start());
  return app->drain_and_stop();
}

TEST(Faults, no_thread_to_be_had_in_a_start) {
  Settings settings;
  settings.model = "models/weir-demo";
  settings.threads = 3;
  settings.io_threads = 2;
  settings.server_port = 0;
  settings.pin_threads = false;
  std::vector<std::string> warnings;
  ASSERT_TRUE(resolve_settings(&settings, &warnings).ok());
  testing::internal::CaptureStderr();
  constexpr int kMost = 40;
  int threads = 0;
  for (; threads < kMost; ++threads) {
    const Status status = start_with(settings, threads);
    if (status.ok()) break;
    EXPECT_EQ(status.code(), Code::kResourceExhausted) << threads << ": " << status.message();
    EXPECT_THAT(status.message(), HasSubstr("cannot start the thread '")) << threads;
  }
  (void)testing::internal::GetCapturedStderr();
  EXPECT_GE(threads, 9) << "2 workers, 2 of io, text, admin, engine, monitor, watchdog";
  EXPECT_LT(threads, kMost);
}

}  // namespace
}  // namespace weir
