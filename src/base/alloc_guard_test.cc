// The guard counts what a sealed thread allocates, in every form of new, and nothing else.
#include "base/alloc_guard.h"

#include <gtest/gtest.h>

#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "base/counting_resource.h"
#include "base/ring.h"

namespace weir {
namespace {

// Debug builds make an allocation after the seal a CHECK; these tests want to count.
class AllocGuard : public testing::Test {
 protected:
  void SetUp() override {
    if (!alloc_guard_linked()) GTEST_SKIP() << "the sanitizer has its own operator new";
    set_sealed_allocation_fatal(false);
  }
  void TearDown() override {
    unseal_this_thread();
#ifndef NDEBUG
    set_sealed_allocation_fatal(true);
#endif
  }
};

struct alignas(128) Wide {
  char bytes[128];
};

// RETURNS: allocations that `work` made under a seal of its own name.
template <class Work>
uint64_t counted(const char* name, const Work& work) {
  const uint64_t before = sealed_allocations(name);
  seal_this_thread(name);
  work();
  unseal_this_thread();
  return sealed_allocations(name) - before;
}

TEST_F(AllocGuard, OneAllocationIsSeen) {
  void* volatile kept = nullptr;  // volatile: the compiler may not leave the pair out
  EXPECT_EQ(counted("test", [&] { kept = ::operator new(10); }), 1u);
  ::operator delete(kept);
  EXPECT_EQ(counted("test", [] {}), 0u);
}

TEST_F(AllocGuard, EveryFormOfNewIsSeen) {
  constexpr auto kAlign = std::align_val_t{256};
  void* kept[8] = {};
  EXPECT_EQ(counted("test",
                    [&] {
                      kept[0] = ::operator new(0);
                      kept[1] = ::operator new[](1);
                      kept[2] = ::operator new(100, kAlign);
                      kept[3] = ::operator new[](100, kAlign);
                      kept[4] = ::operator new(1, std::nothrow);
                      kept[5] = ::operator new[](1, std::nothrow);
                      kept[6] = ::operator new(100, kAlign, std::nothrow);
                      kept[7] = ::operator new[](100, kAlign, std::nothrow);
                    }),
            8u);
  for (int i : {2, 3, 6, 7}) EXPECT_EQ(reinterpret_cast<uintptr_t>(kept[i]) % 256, 0u) << i;
  ::operator delete(kept[0]);
  ::operator delete[](kept[1]);
  ::operator delete(kept[2], kAlign);
  ::operator delete[](kept[3], kAlign);
  ::operator delete(kept[4], std::nothrow);
  ::operator delete[](kept[5], std::nothrow);
  ::operator delete(kept[6], kAlign, std::nothrow);
  ::operator delete[](kept[7], kAlign, std::nothrow);
  std::vector<int> numbers;
  std::unique_ptr<Wide> wide;
  EXPECT_EQ(counted("test", [&] { numbers.push_back(1); }), 1u);
  EXPECT_EQ(counted("test", [&] { wide = std::make_unique<Wide>(); }), 1u);
  EXPECT_EQ(counted("test", [&] { numbers.push_back(std::string(2, 'x').size() > 1 ? 2 : 3); }), 1u);
}

TEST_F(AllocGuard, MoreMemoryThanThereIsIsAnswered) {
  volatile size_t huge = ~size_t{0} / 2;
  EXPECT_EQ(::operator new(huge, std::nothrow), nullptr);
  EXPECT_THROW((void)::operator new(huge), std::bad_alloc);
}

TEST_F(AllocGuard, OtherThreadsAndOtherNamesAreNotMixedUp) {
  seal_this_thread("one");
  const uint64_t one = sealed_allocations("one"), two = sealed_allocations("two");
  std::thread* other = nullptr;
  {
    const AllowAllocations starting_a_thread_allocates;
    other = new std::thread([] {
      void* volatile before = ::operator new(1);
      seal_this_thread("two");
      void* volatile after = ::operator new(1);
      ::operator delete(before);
      ::operator delete(after);
    });
    other->join();
  }
  EXPECT_TRUE(this_thread_is_sealed()) << "the scope put the seal back";
  unseal_this_thread();
  EXPECT_EQ(sealed_allocations("one"), one);
  EXPECT_EQ(sealed_allocations("two"), two + 1);
  delete other;
  std::array<SealedThread, kSealedNamesMax> memory;
  std::string names;
  for (const SealedThread& thread : sealed_threads(&memory)) names += std::string(thread.name) + " ";
  EXPECT_NE(names.find("one two "), std::string::npos) << names;
  EXPECT_EQ(sealed_allocations("nobody"), 0u);
}

TEST(AllocGuardDeath, WhereItIsFatalItNamesTheThread) {
  if (!alloc_guard_linked()) GTEST_SKIP() << "the sanitizer has its own operator new";
  EXPECT_DEATH(
      {
        set_sealed_allocation_fatal(true);
        seal_this_thread("engine");
        std::vector<int> numbers(1000);
        numbers.assign(5000, 1);
      },
      "the sealed thread 'engine' asked the allocator for 4000 bytes");
}

TEST(CountingResource, CountsInCacheLinesAndLendsMemory) {
  CountingResource counting;
  {
    std::pmr::vector<char> bytes(65, 'x', &counting);
    EXPECT_EQ(bytes[64], 'x');
    EXPECT_EQ(counting.bytes(), 128u);
    SpscRing<int> ring(5, &counting);
    EXPECT_TRUE(ring.try_push(7));
    EXPECT_EQ(counting.bytes(), 128u + 64u) << "eight ints";
    BoundedInbox<int64_t> inbox(9, &counting);
    EXPECT_EQ(counting.bytes(), 128u + 64u + 128u);
  }
  EXPECT_EQ(counting.bytes(), 320u) << "an arena does not take back";
}

}  // namespace
}  // namespace weir
