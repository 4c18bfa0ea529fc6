#include "memory/blocks/block_pool.h"

#include <gtest/gtest.h>

#include <random>

namespace weir {
namespace {

TEST(BlockPool, GrowsByWholeBlocksAndNeverHalfway) {
  BlockPool pool({.blocks = 4, .block_tokens = 16, .sequences_max = 2, .blocks_per_sequence_max = 4});
  EXPECT_TRUE(pool.grow(0, 17));
  EXPECT_EQ(pool.table(0).size(), 2u);
  EXPECT_TRUE(pool.grow(0, 5)) << "a row never shrinks";
  EXPECT_EQ(pool.table(0).size(), 2u);
  EXPECT_FALSE(pool.grow(1, 64)) << "needs four, two are free";
  EXPECT_EQ(pool.free_count(), 2) << "all or nothing";
  EXPECT_TRUE(pool.grow(1, 32));
  EXPECT_EQ(pool.free_count(), 0);
  pool.check_invariants();
  pool.release(0);
  pool.release(0);
  EXPECT_EQ(pool.free_count(), 2);
  pool.check_invariants();
}

TEST(BlockPool, RandomUseKeepsEveryBlock) {
  std::mt19937 random(3);
  BlockPool pool({.blocks = 50, .block_tokens = 4, .sequences_max = 7, .blocks_per_sequence_max = 20});
  for (int i = 0; i < 5000; ++i) {
    const int place = static_cast<int>(random() % 7);
    if (random() % 4 == 0) {
      pool.release(place);
    } else {
      const int64_t before = pool.free_count();
      const bool grown = pool.grow(place, static_cast<int64_t>(random() % 81));
      EXPECT_LE(pool.free_count(), before);
      EXPECT_TRUE(grown || pool.free_count() == before);
    }
    pool.check_invariants();
  }
}

}  // namespace
}  // namespace weir
