// Whose job is next in the text pool, and what heavy jobs may take. Nothing here is timed: jobs wait at gates.
#include <gmock/gmock.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <new>
#include <string>

#include "api/text_pool.h"

namespace weir::api {
namespace {

using ::testing::ElementsAre;

// Jobs wait here until it is opened.
class Gate {
 public:
  void wait() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    wake_.notify_all();
    wake_.wait(lock, [&] { return open_; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    wake_.notify_all();
  }
  // RETURNS: whether so many jobs came within ten seconds.
  bool holds(int jobs) {
    std::unique_lock lock(mutex_);
    return wake_.wait_for(lock, std::chrono::seconds(10), [&] { return waiting_ >= jobs; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  int waiting_ = 0;
  bool open_ = false;
};

std::atomic<uint64_t> dropped{0};

class Log {
 public:
  http::Callback entry(std::string name) {
    return [this, name = std::move(name)] {
      const std::lock_guard lock(mutex_);
      names_.push_back(name);
      wake_.notify_all();
    };
  }
  bool has(size_t entries) {
    std::unique_lock lock(mutex_);
    return wake_.wait_for(lock, std::chrono::seconds(10), [&] { return names_.size() >= entries; });
  }
  std::vector<std::string> names() {
    const std::lock_guard lock(mutex_);
    return names_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::string> names_;
};

TEST(Faults, a_tenants_texts_cannot_hold_the_pool) {
  Gate gate;
  Log log;
  TextPool pool("text", 1, 0, &dropped);
  ASSERT_TRUE(pool.start().ok());
  ASSERT_TRUE(pool.try_run([&] { gate.wait(); }, 1));
  ASSERT_TRUE(gate.holds(1));
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(pool.try_run(log.entry("one"), 1));
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(pool.try_run(log.entry("two"), 2));
  ASSERT_TRUE(pool.try_run(log.entry("three"), 3));
  gate.open();
  pool.stop();
  EXPECT_THAT(log.names(), ElementsAre("two", "three", "one", "two", "one", "one", "one"));
}

TEST(TextTurns, AFreeThreadGoesToTheTenantWithTheFewestUnderWay) {
  Gate first, second;
  Log log;
  TextPool pool("text", 2, 0, &dropped);
  ASSERT_TRUE(pool.start().ok());
  ASSERT_TRUE(pool.try_run([&] { first.wait(); }, 1));
  ASSERT_TRUE(first.holds(1));
  ASSERT_TRUE(pool.try_run([&] { second.wait(); }, 2));
  ASSERT_TRUE(second.holds(1));
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(pool.try_run(log.entry("one"), 1));
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(pool.try_run(log.entry("two"), 2));
  second.open();  // one thread is free, and tenant 1 still has the other
  ASSERT_TRUE(log.has(4));
  EXPECT_THAT(log.names(), ElementsAre("two", "two", "one", "one"));
  first.open();
}

TEST(TextTurns, OneTenantsJobsRunInTheOrderTheyCameWhateverTheirSize) {
  Gate gate;
  Log log;
  TextPool pool("text", 1, 0, &dropped, {.light = 10, .heavy = 100});
  ASSERT_TRUE(pool.start().ok());
  ASSERT_TRUE(pool.try_run([&] { gate.wait(); }));
  ASSERT_TRUE(gate.holds(1));
  ASSERT_TRUE(pool.try_run(log.entry("heavy"), 0, 90));
  ASSERT_TRUE(pool.try_run(log.entry("light"), 0, 1));
  ASSERT_TRUE(pool.try_run(log.entry("heavier than all"), 0, 1000));
  gate.open();
  pool.stop();
  EXPECT_THAT(log.names(), ElementsAre("heavy", "light", "heavier than all"));
}

TEST(TextTurns, HeavyJobsLeaveAThreadToLightOnes) {
  Gate gate;
  Log log;
  TextPool pool("text", 2, 0, &dropped, {.light = 10, .heavy = 100});
  ASSERT_TRUE(pool.start().ok());
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(pool.try_run([&] { gate.wait(); }, 0, 20));
  ASSERT_TRUE(gate.holds(1));
  ASSERT_TRUE(pool.try_run(log.entry("light"), 0, 10));
  EXPECT_TRUE(log.has(1)) << "a thread is there for it";
  gate.open();
}

TEST(TextTurns, HeavyJobsWaitForTheirBytesAndAreNotOvertaken) {
  Gate gate;
  Log log;
  TextPool pool("text", 4, 0, &dropped, {.light = 10, .heavy = 100});
  ASSERT_TRUE(pool.start().ok());
  ASSERT_TRUE(pool.try_run([&] { gate.wait(); }, 0, 60));
  ASSERT_TRUE(gate.holds(1));
  ASSERT_TRUE(pool.try_run(log.entry("needs 70"), 0, 70));
  ASSERT_TRUE(pool.try_run(log.entry("needs 20"), 0, 20));
  ASSERT_TRUE(pool.try_run(log.entry("light"), 0, 10));
  ASSERT_TRUE(log.has(1));
  EXPECT_THAT(log.names(), ElementsAre("light"));
  gate.open();
  ASSERT_TRUE(log.has(3));
}

TEST(TextTurns, HeavyJobsNeverHoldMoreThanTheirShare) {
  std::atomic<uint64_t> held{0}, most{0};
  std::atomic<int> ran{0};
  {
    TextPool pool("text", 4, 400, &dropped, {.light = 10, .heavy = 100});
    ASSERT_TRUE(pool.start().ok());
    for (uint64_t i = 0; i < 400; ++i) {
      const uint64_t bytes = 11 + i * 37 % 89;
      ASSERT_TRUE(pool.try_run(
          [&, bytes] {
            const uint64_t now = held.fetch_add(bytes) + bytes;
            uint64_t seen = most.load();
            while (now > seen && !most.compare_exchange_weak(seen, now)) {
            }
            std::this_thread::yield();
            held.fetch_sub(bytes);
            ++ran;
          },
          static_cast<int32_t>(i % 3), bytes));
    }
  }
  EXPECT_EQ(ran.load(), 400);
  EXPECT_LE(most.load(), 100u);
}

TEST(TextTurns, AJobThatThrowsGivesItsBytesBack) {
  Log log;
  const uint64_t before = dropped.load();
  TextPool pool("text", 1, 0, &dropped, {.light = 10, .heavy = 100});
  ASSERT_TRUE(pool.start().ok());
  ASSERT_TRUE(pool.try_run([] { throw std::bad_alloc(); }, 1, 100));
  ASSERT_TRUE(pool.try_run(log.entry("next"), 1, 100));
  pool.stop();
  EXPECT_THAT(log.names(), ElementsAre("next"));
  EXPECT_EQ(dropped.load(), before + 1);
}

TEST(TextTurns, WhatAJobHeldGoesBeforeTheNextBegins) {
  const auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = held;
  std::atomic<bool> gone{false};
  TextPool pool("text", 1, 0, &dropped, {.light = 10, .heavy = 100});
  ASSERT_TRUE(pool.start().ok());
  Gate gate;
  ASSERT_TRUE(pool.try_run([&gate, held] { gate.wait(); }, 0, 100));
  ASSERT_TRUE(pool.try_run([&] { gone = watch.use_count() <= 1; }, 0, 100));
  gate.open();
  pool.stop();
  EXPECT_TRUE(gone.load());
}

}  // namespace
}  // namespace weir::api
