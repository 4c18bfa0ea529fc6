// Slabs count what they cost the process, refuse before they take, and give all of it back.
#include "base/slabs.h"
#include "base/sanitized.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

namespace weir {
namespace {

// Of this process, resident.
uint64_t resident_bytes() {
  char text[64] = {};
  std::FILE* const file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr) return 0;
  const bool read = std::fgets(text, sizeof text, file) != nullptr;
  std::fclose(file);
  unsigned long long size = 0, resident = 0;
  return read && std::sscanf(text, "%llu %llu", &size, &resident) == 2
             ? resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE))
             : 0;
}

TEST(Slabs, CountWhatTheyCostAndGiveItBack) {
  if (kSanitized || resident_bytes() == 0)
    GTEST_SKIP() << "a sanitizer has an allocator of its own, or there is no /proc";
  constexpr size_t kSlack = 256 << 10;  // what reading /proc takes
  for (const size_t bytes : {1, 24, 40, 500, 1000, 5000, 9000, 100'000, 1'000'000}) {
    std::vector<void*> pieces(4000);
    (void)resident_bytes();
    const uint64_t before = resident_bytes();
    {
      Slabs slabs(size_t{32} << 20);
      size_t taken = 0;
      for (; taken < pieces.size() && (pieces[taken] = slabs.take(bytes)) != nullptr; ++taken)
        std::memset(pieces[taken], 1, bytes);
      ASSERT_GT(taken, 20u);
      EXPECT_LE(resident_bytes(), before + slabs.counted_bytes() + kSlack) << bytes;
      EXPECT_LE(slabs.counted_bytes(), size_t{32} << 20);
      EXPECT_LE(slabs.counted_bytes(), taken * (bytes + 16) * 5 / 4 + (taken * 4096 * (bytes > 8192)) + (16 << 10))
          << "little is wasted";
      for (size_t i = 0; i < taken; i += 2)
        slabs.give(pieces[i], bytes);  // the others go with the slabs, or were never large
      for (size_t i = 1; i < taken; i += 2) slabs.give(pieces[i], bytes);
    }
    EXPECT_LE(resident_bytes(), before + kSlack) << bytes;
  }
}

TEST(Slabs, RefuseBeforeTheyTake) {
  Slabs slabs(100'000);
  EXPECT_EQ(slabs.take(100'001), nullptr);
  EXPECT_EQ(slabs.take(SIZE_MAX), nullptr);
  EXPECT_EQ(slabs.counted_bytes(), 0u);
  void* const most = slabs.take(90'000);
  ASSERT_NE(most, nullptr);
  EXPECT_EQ(slabs.take(20'000), nullptr);
  slabs.give(most, 90'000);
  EXPECT_EQ(slabs.counted_bytes(), 0u);
  EXPECT_FALSE(slabs.count_outside(100'001));
  EXPECT_TRUE(slabs.count_outside(50'000));
  EXPECT_EQ(slabs.take(60'000), nullptr);
}

TEST(Slabs, PiecesAreUsedAgain) {
  Slabs slabs(size_t{1} << 20);
  for (int i = 0; i < 100'000; ++i) {
    void* const piece = slabs.take(64);
    ASSERT_NE(piece, nullptr);
    slabs.give(piece, 64);
  }
  EXPECT_LE(slabs.counted_bytes(), size_t{64} << 10);
}

TEST(Slabs, PiecesDoNotOverlap) {
  Slabs slabs(size_t{8} << 20);
  std::vector<std::pair<unsigned char*, size_t>> held;
  uint32_t random = 1;
  for (int i = 0; i < 20'000; ++i) {
    random = random * 1664525u + 1013904223u;
    if (!held.empty() && random % 3 == 0) {
      const size_t at = (random >> 8) % held.size();
      auto [piece, bytes] = held[at];
      for (size_t k = 0; k < bytes; ++k)
        ASSERT_EQ(piece[k], static_cast<unsigned char>(bytes)) << "another piece wrote here";
      slabs.give(piece, bytes);
      held[at] = held.back();
      held.pop_back();
      continue;
    }
    const size_t bytes = 1 + (random >> 10) % 300;
    auto* const piece = static_cast<unsigned char*>(slabs.take(bytes));
    ASSERT_NE(piece, nullptr);
    ASSERT_EQ(reinterpret_cast<uintptr_t>(piece) % 16, 0u);
    std::memset(piece, static_cast<int>(bytes), bytes);
    held.emplace_back(piece, bytes);
  }
  for (auto& [piece, bytes] : held) slabs.give(piece, bytes);
}

}  // namespace
}  // namespace weir
