#include "kernels/cpu/worker_pool.h"
#include "base/thread.h"
#include "device/host/cpu_topology.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <set>

namespace weir::cpu {
namespace {

double process_cpu_seconds() {
  timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Waits until the process uses next to no processor time. A worker that lost its processor goes on spinning when it
// has it again, so how long that takes is for the machine to say. RETURNS: false where it never ends.
bool falls_asleep() {
  const timespec pause{0, 20'000'000};
  for (int look = 0; look < 1'000; ++look) {
    const double before = process_cpu_seconds();
    nanosleep(&pause, nullptr);
    if (process_cpu_seconds() - before < 0.0005) return true;
  }
  return false;
}

TEST(WorkerPool, EveryItemExactlyOnceForManyShapes) {
  for (int threads : {1, 2, 3, 8}) {
    const std::unique_ptr<WorkerPool> made = WorkerPool::create({.threads = threads, .pin = false}).value();
    WorkerPool& pool = *made;
    ASSERT_EQ(pool.threads(), threads);
    for (int64_t count : {0, 1, 2, 7, 64, 1000}) {
      for (int64_t chunk : {1, 3, 64, 5000}) {
        std::vector<std::atomic<int>> hits(static_cast<size_t>(count));
        pool.parallel_for(count, chunk, [&](int64_t begin, int64_t end) {
          EXPECT_TRUE(threads == 1 || end - begin <= chunk);
          for (int64_t i = begin; i < end; ++i) hits[static_cast<size_t>(i)].fetch_add(1);
        });
        for (const auto& hit : hits) ASSERT_EQ(hit.load(), 1);
      }
    }
  }
}

// Far more threads than CPUs, and jobs so short that workers are always late: nothing is lost, run twice, or waited
// for that never began. What the job wrote is visible without atomics (tsan watches).
TEST(WorkerPool, SurvivesOversubscriptionAndRaces) {
  const std::unique_ptr<WorkerPool> made = WorkerPool::create({.threads = 16, .pin = true}).value();
  WorkerPool& pool = *made;
  std::vector<int64_t> cells(257);
  for (int64_t round = 1; round <= 3000; ++round) {
    const int64_t count = 1 + round % 257;
    pool.parallel_for(count, 1 + round % 5, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) cells[static_cast<size_t>(i)] = round;
    });
    for (int64_t i = 0; i < count; ++i) ASSERT_EQ(cells[static_cast<size_t>(i)], round);
  }
}

// A worker that is late with one job must not claim from the next, whose count is larger by a little: it would run an
// item twice and leave the caller waiting for ever. Counts grow and shrink by one, bodies take about as long as a claim.
TEST(WorkerPool, ALateWorkerNeverClaimsFromTheNextJob) {
  const std::unique_ptr<WorkerPool> made = WorkerPool::create({.threads = 2, .pin = true}).value();
  WorkerPool& pool = *made;
  pool.bind_calling_thread();
  std::atomic<uint64_t> sink{0};
  for (uint64_t job = 0; job < 100'000; ++job) {
    const auto count = static_cast<int64_t>(17 + job % 40);
    std::atomic<int64_t> items{0};
    pool.parallel_for(count, static_cast<int64_t>(1 + job % 3), [&](int64_t begin, int64_t end) {
      uint64_t work = 0;
      for (int64_t i = begin; i < end; ++i) work += static_cast<uint64_t>(i * i);
      sink.fetch_add(work, std::memory_order_relaxed);
      items.fetch_add(end - begin, std::memory_order_relaxed);
    });
    ASSERT_EQ(items.load(), count) << "job " << job;
  }
}

TEST(WorkerPool, WakesSleepersAndIdleCostsNothing) {
  const std::unique_ptr<WorkerPool> made = WorkerPool::create({.threads = 4, .pin = false}).value();
  WorkerPool& pool = *made;
  std::atomic<int> ran{0};
  const auto job = [&] { pool.parallel_for(64, 1, [&](int64_t, int64_t) { ran.fetch_add(1); }); };
  job();
  ASSERT_TRUE(falls_asleep());
  const double before = process_cpu_seconds();
  const timespec pause{0, 300'000'000};
  nanosleep(&pause, nullptr);
  EXPECT_LT(process_cpu_seconds() - before, 0.003);
  job();
  EXPECT_EQ(ran.load(), 128);
}

// Between two steps too: the step's spinning ends with it.
TEST(WorkerPool, AfterAStepIdleCostsNothing) {
  const std::unique_ptr<WorkerPool> made = WorkerPool::create({.threads = 4, .pin = false}).value();
  WorkerPool& pool = *made;
  std::atomic<int> ran{0};
  const timespec pause{0, 20'000'000};
  double spent = 0;
  for (int step = 0; step < 5; ++step) {
    pool.begin_step();
    for (int op = 0; op < 10; ++op) pool.parallel_for(8, 1, [&](int64_t, int64_t) { ran.fetch_add(1); });
    pool.end_step();
    ASSERT_TRUE(falls_asleep());
    const double before = process_cpu_seconds();
    nanosleep(&pause, nullptr);
    spent += process_cpu_seconds() - before;
  }
  EXPECT_LT(spent, 0.003);
  EXPECT_EQ(ran.load(), 5 * 10 * 8);
}

// Nobody can take a second chunk before all have one, and everybody begins with its own: so the same thread has the same
// part in every call, and the first is the caller's.
TEST(WorkerPool, AShareIsItsWorkersOwn) {
  constexpr int kThreads = 4;
  const std::unique_ptr<WorkerPool> made = WorkerPool::create({.threads = kThreads, .pin = false}).value();
  WorkerPool& pool = *made;
  std::array<std::thread::id, kThreads> before{};
  for (int round = 0; round < 50; ++round) {
    std::atomic<int> begun{0};
    std::array<std::thread::id, kThreads> thread{};
    pool.parallel_for(kThreads, 1, [&](int64_t begin, int64_t) {
      thread[static_cast<size_t>(begin)] = std::this_thread::get_id();
      begun.fetch_add(1);
      while (begun.load() < kThreads) std::this_thread::yield();
    });
    ASSERT_EQ(thread[0], std::this_thread::get_id());
    ASSERT_EQ(std::set(thread.begin(), thread.end()).size(), size_t{kThreads});
    ASSERT_TRUE(round == 0 || thread == before) << "round " << round;
    before = thread;
  }
}

// Worker 0 is kept in its first chunk until all others are done: they must have taken the rest of its share.
TEST(WorkerPool, OthersTakeTheShareOfWhoIsLate) {
  const std::unique_ptr<WorkerPool> made = WorkerPool::create({.threads = 2, .pin = false}).value();
  WorkerPool& pool = *made;
  std::atomic<int> rest{0};
  pool.parallel_for(16, 1, [&](int64_t begin, int64_t) {
    if (begin > 0) {
      rest.fetch_add(1);
      return;
    }
    while (rest.load() < 15) std::this_thread::yield();
  });
  EXPECT_EQ(rest.load(), 15);
}

// The CPUs that a worker may use while it works.
std::vector<int> cpus_of_the_worker(const WorkerPool::Options& options) {
  const std::unique_ptr<WorkerPool> made = WorkerPool::create(options).value();
  WorkerPool& pool = *made;
  std::vector<int> cpus;
  std::atomic<int> begun{0};
  pool.parallel_for(2, 1, [&](int64_t begin, int64_t) {
    if (begin == 1) cpus = process_cpus();
    begun.fetch_add(1);
    while (begun.load() < 2) std::this_thread::yield();
  });
  return cpus;
}

TEST(WorkerPool, WorkersKeepToTheirCpus) {
  const std::vector<int> all = process_cpus();
  const std::vector<int> last = {all.back()};
  EXPECT_EQ(cpus_of_the_worker({.threads = 2, .pin = false}), all);
  EXPECT_EQ(cpus_of_the_worker({.threads = 2, .pin = false, .cpus = last}), last);
  EXPECT_EQ(cpus_of_the_worker({.threads = 2, .pin = true, .cpus = last}), last) << "more threads than CPUs";
  if (all.size() < 2) return;
  EXPECT_EQ(cpus_of_the_worker({.threads = 2, .pin = true, .cpus = {all[0], all.back()}}), last);
  EXPECT_EQ(cpus_of_the_worker({.threads = 2, .pin = true}), std::vector<int>{all[1]});
}

TEST(WorkerPool, NamesTheThreadsThatCompute) {
  const std::unique_ptr<WorkerPool> made = WorkerPool::create({.threads = 3, .pin = false}).value();
  WorkerPool& pool = *made;
  EXPECT_EQ(pool.thread_ids().front(), 0) << "not bound yet";
  pool.bind_calling_thread();
  std::atomic<int> begun{0};
  pool.parallel_for(3, 1, [&](int64_t, int64_t) {  // so that all have started
    begun.fetch_add(1);
    while (begun.load() < 3) std::this_thread::yield();
  });
  const std::vector<int> ids = pool.thread_ids();
  EXPECT_EQ(std::set<int>(ids.begin(), ids.end()).size(), 3u);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 0), 0);
}

TEST(WorkerPool, SleepingWorkersTakePartAgain) {
  const std::unique_ptr<WorkerPool> made = WorkerPool::create({.threads = 2, .pin = false}).value();
  WorkerPool& pool = *made;
  std::atomic<int> helped{0};
  const std::thread::id caller = std::this_thread::get_id();
  for (int round = 0; round < 20 && helped.load() == 0; ++round) {
    timespec pause{0, 2'000'000};
    nanosleep(&pause, nullptr);
    pool.parallel_for(8, 1, [&](int64_t, int64_t) {
      timespec work{0, 5'000'000};
      nanosleep(&work, nullptr);
      if (std::this_thread::get_id() != caller) helped.fetch_add(1);
    });
  }
  EXPECT_GT(helped.load(), 0);
}

TEST(WorkerPool, AllowedCpusAreDistinct) {
  const std::vector<int> cpus = process_cpus();
  ASSERT_FALSE(cpus.empty());
  EXPECT_EQ(std::set<int>(cpus.begin(), cpus.end()).size(), cpus.size());
}

// Whichever worker cannot be had: the pool is an error, and those before it have ended, or this would not return.
TEST(Faults, no_thread_to_be_had_for_a_worker) {
  for (int had = 0; had < 3; ++had) {
    limit_thread_starts_for_test(had);
    const Result<std::unique_ptr<WorkerPool>> pool = WorkerPool::create({.threads = 4, .pin = false});
    limit_thread_starts_for_test(-1);
    ASSERT_FALSE(pool.ok()) << had;
    EXPECT_NE(pool.status().message().find("'worker " + std::to_string(had + 1) + "'"), std::string::npos)
        << pool.status().message();
  }
  limit_thread_starts_for_test(3);
  EXPECT_TRUE(WorkerPool::create({.threads = 4, .pin = false}).ok());
  limit_thread_starts_for_test(-1);
}

}  // namespace
}  // namespace weir::cpu
