#include "memory/arena/arena.h"

#include <gtest/gtest.h>

#include <cstring>
#include <list>
#include <vector>

#include "base/ring.h"

namespace weir {
namespace {

struct alignas(64) Memory {
  std::byte bytes[4096] = {};
  std::span<std::byte> all() { return bytes; }
};

// What an owner looks like: containers, and a constructor that takes their memory.
struct Owner {
  std::pmr::vector<int32_t> table;
  SpscRing<int64_t> ring;
  BoundedInbox<char> inbox;
  std::pmr::list<int> nodes;
  explicit Owner(std::pmr::memory_resource* memory)
      : table(100, memory), ring(10, memory), inbox(33, memory), nodes({1, 2, 3}, memory) {}
  static uint64_t bytes() {
    CountingResource counting;
    Owner owner(&counting);
    return counting.bytes();
  }
};

TEST(Arena, CountingAndUseAgreeToTheByte) {
  Memory memory;
  Arena arena(memory.all());
  Arena::Part& part = arena.part("owner", Owner::bytes());
  Owner owner(&part);
  EXPECT_EQ(part.used_bytes(), part.bytes());
  EXPECT_EQ(part.used_bytes(), Owner::bytes());
  const auto* table = reinterpret_cast<const std::byte*>(owner.table.data());
  EXPECT_GE(table, memory.bytes);
  EXPECT_LE(table + 400, memory.bytes + sizeof memory.bytes);
  arena.seal();
  for (int64_t i = 0; i < 16; ++i) EXPECT_TRUE(owner.ring.try_push(i));
  EXPECT_FALSE(owner.ring.try_push(16)) << "full is an answer, not a growth";
  std::vector<char> out;
  out.reserve(33);
  for (int i = 0; i < 33; ++i) EXPECT_TRUE(owner.inbox.try_push('x'));
  EXPECT_FALSE(owner.inbox.try_push('x'));
  owner.inbox.drain_into(&out);
  EXPECT_EQ(out.size(), 33u);
  EXPECT_TRUE(owner.inbox.empty());
}

TEST(Arena, PartsAreApartAndAlignedAndNamed) {
  Memory memory;
  Arena arena(memory.all());
  Arena::Part& one = arena.part("one", 1);
  Arena::Part& two = arena.part("two", 1000);
  std::pmr::vector<char> a(60, 'a', &one), b(1, 'b', &two), c(64, 'c', &two);
  for (const void* p : {static_cast<void*>(a.data()), static_cast<void*>(b.data()), static_cast<void*>(c.data())}) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % kArenaAlignment, 0u);
  }
  EXPECT_EQ(b.data() - a.data(), 64);
  EXPECT_EQ(c.data() - b.data(), 64);
  EXPECT_EQ(two.used_bytes(), 128u);
  EXPECT_EQ(two.bytes(), 1024u);
  EXPECT_EQ(arena.used_bytes(), 64u + 1024u);
  EXPECT_EQ(arena.parts().size(), 2u);
  EXPECT_EQ(arena.parts()[1].name(), "two");
  std::pmr::vector<char> direct(10, 'd', &arena);
  EXPECT_EQ(arena.used_bytes(), 64u + 1024u + 64u);
}

TEST(Arena, NothingComesBackAndDestructionIsFineAfterTheSeal) {
  Memory memory;
  Arena arena(memory.all());
  Arena::Part& part = arena.part("owner", 2 * Owner::bytes());
  for (int i = 0; i < 2; ++i) Owner owner(&part);
  EXPECT_EQ(part.used_bytes(), 2 * Owner::bytes());
  {
    Arena other(memory.all());
    Owner owner(&other.part("owner", Owner::bytes()));
    other.seal();
  }
  EXPECT_DEATH(Owner{&part}, "'owner' asked for [0-9]+ bytes and 0 are left");
}

TEST(Arena, AfterTheSealWhoAsksIsNamed) {
  Memory memory;
  Arena arena(memory.all());
  Arena::Part& part = arena.part("slots and rings", 1024);
  arena.seal();
  EXPECT_TRUE(arena.sealed());
  EXPECT_DEATH((void)part.allocate(1), "'slots and rings' asked the sealed arena for 1 bytes");
  EXPECT_DEATH((void)arena.allocate(1), "'arena' asked the sealed arena");
  EXPECT_DEATH((void)arena.part("late", 1), "'late' asked the sealed arena");
}

TEST(Arena, TooMuchIsAnErrorAtEverySize) {
  Memory memory;
  Arena arena(memory.all());
  EXPECT_DEATH((void)arena.part("big", 4097), "'big' asked for 4160 bytes and 4096 are left");
  Arena::Part& part = arena.part("whole", 4096);
  EXPECT_DEATH((void)part.allocate(4097), "'whole' asked for 4097 bytes and 4096 are left");
  volatile size_t most = ~size_t{0};  // volatile: the compiler knows already that this is too much
  EXPECT_DEATH((void)part.allocate(most), "'whole' asked for 18446744073709551615 bytes");
  EXPECT_DEATH((void)arena.allocate(most), "memory_.size");
  EXPECT_DEATH((void)part.allocate(1, 128), "alignment");
  EXPECT_NE(part.allocate(4096), nullptr);
  EXPECT_DEATH((void)Arena(memory.all().subspan(1)), "kArenaAlignment");
}

}  // namespace
}  // namespace weir
