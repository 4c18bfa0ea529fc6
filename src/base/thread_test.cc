#include "base/thread.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>

namespace weir {
namespace {

using testing::HasSubstr;

TEST(Thread, RunsItsBodyUnderItsName) {
  char name[16] = {};
  std::atomic<bool> named{false};
  std::thread thread = start_thread("a name that is too long", [&] {
                         while (!named.load()) std::this_thread::yield();
                         pthread_getname_np(pthread_self(), name, sizeof name);
                       }).value();
  named = true;
  thread.join();
  EXPECT_STREQ(name, "a name that is ");
}

TEST(Thread, WhereNoneCanBeHadTheErrorSaysWhatToDo) {
  limit_thread_starts_for_test(1);
  Result<std::thread> first = start_thread("first", [] {});
  const Result<std::thread> second = start_thread("second", [] { FAIL() << "it has no thread"; });
  limit_thread_starts_for_test(-1);
  ASSERT_TRUE(first.ok());
  first->join();
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), Code::kResourceExhausted);
  EXPECT_THAT(second.status().message(), HasSubstr("'second'"));
  EXPECT_THAT(second.status().message(), HasSubstr("pids.max"));
  EXPECT_EQ(second.status().message().find('\n'), std::string::npos);
  start_thread("third", [] {}).value().join();
}

}  // namespace
}  // namespace weir
