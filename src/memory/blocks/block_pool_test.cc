#include "memory/blocks/block_pool.h"

#include "base/counting_resource.h"
#include "memory/blocks/block_scratch.h"
#include "memory/prefix/prefix_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <thread>
#include <utility>
#include <vector>

namespace weir {
namespace {

using testing::ElementsAre;

BlockPoolOptions small() {
  return {.blocks = 8, .block_tokens = 4, .sequences_max = 3, .blocks_per_sequence_max = 5};
}

TEST(BlockPool, GrowsByWholeBlocksAndOnlyWhenNeeded) {
  BlockPool pool(small());
  BlockTable table = pool.open_table().value();
  EXPECT_EQ(table.grow(0), Grow::kOk);
  EXPECT_EQ(pool.live_blocks(), 0);
  EXPECT_EQ(table.grow(1), Grow::kOk);
  EXPECT_EQ(table.grow(4), Grow::kOk);
  EXPECT_EQ(pool.live_blocks(), 1);
  EXPECT_EQ(table.grow(5), Grow::kOk);
  EXPECT_EQ(table.grow(3), Grow::kOk);
  EXPECT_THAT(table.blocks(), ElementsAre(0, 1));
  EXPECT_EQ(table.capacity_tokens(), 8);
  EXPECT_EQ(pool.table_region()[table.row() * pool.table_stride() + 1], 1);
}

TEST(BlockPool, GrowIsAllOrNothing) {
  BlockPool pool(small());
  BlockTable a = pool.open_table().value();
  BlockTable b = pool.open_table().value();
  ASSERT_EQ(a.grow(5 * 4), Grow::kOk);
  EXPECT_EQ(b.grow(4 * 4), Grow::kPoolEmpty);
  EXPECT_EQ(b.blocks().size(), 0u);
  EXPECT_EQ(pool.free_blocks(), 3);
  EXPECT_EQ(a.grow(5 * 4 + 1), Grow::kRowFull);
  EXPECT_EQ(a.grow(INT64_MAX), Grow::kRowFull);
  EXPECT_EQ(a.blocks().size(), 5u);
  a.release();
  EXPECT_EQ(b.grow(4 * 4), Grow::kOk);
  pool.check_everything();
}

TEST(BlockPool, TheBlockFreedLastGoesOutFirst) {
  BlockPool pool(small());
  BlockTable a = pool.open_table().value();
  BlockTable b = pool.open_table().value();
  ASSERT_EQ(a.grow(8), Grow::kOk);
  ASSERT_EQ(b.grow(8), Grow::kOk);
  a.close();
  ASSERT_EQ(b.grow(16), Grow::kOk);
  EXPECT_THAT(b.blocks(), ElementsAre(2, 3, 0, 1));
}

TEST(BlockPool, RowsRunOutAndComeBack) {
  BlockPool pool(small());
  std::vector<BlockTable> tables;
  while (auto table = pool.open_table()) tables.push_back(std::move(*table));
  EXPECT_EQ(tables.size(), 3u);
  EXPECT_EQ(pool.open_tables(), 3);
  const int32_t row = tables[1].row();
  tables.erase(tables.begin() + 1);
  EXPECT_EQ(pool.open_table().value().row(), row);  // opened and closed again at once
  EXPECT_EQ(pool.open_tables(), 2);
}

TEST(BlockPool, MovingATableMovesItsBlocks) {
  BlockPool pool(small());
  BlockTable a = pool.open_table().value();
  ASSERT_EQ(a.grow(8), Grow::kOk);
  BlockTable b = std::move(a);
  EXPECT_FALSE(a.is_open());  // NOLINT(bugprone-use-after-move): the moved-from state is the subject
  EXPECT_EQ(b.blocks().size(), 2u);
  BlockTable c = pool.open_table().value();
  ASSERT_EQ(c.grow(8), Grow::kOk);
  c = std::move(b);
  EXPECT_EQ(pool.live_blocks(), 2);
  EXPECT_EQ(pool.open_tables(), 1);
  pool.check_everything();
}

// Free + live == total, and every block has one place, through a long random life.
TEST(BlockPool, NothingIsLostOrHeldTwice) {
  constexpr unsigned kSeed = 20261123;
  std::mt19937 random(kSeed);
  BlockPool pool({.blocks = 97, .block_tokens = 16, .sequences_max = 24, .blocks_per_sequence_max = 20});
  const int32_t* region = pool.table_region();
  std::vector<BlockTable> tables;
  std::vector<int64_t> tokens;
  for (int step = 0; step < 20000; ++step) {
    const size_t at = tables.empty() ? 0 : random() % tables.size();
    switch (random() % 4) {
      case 0:
        if (auto table = pool.open_table()) {
          tables.push_back(std::move(*table));
          tokens.push_back(0);
        }
        break;
      case 1:
        if (tables.empty()) break;
        tables.erase(tables.begin() + static_cast<ptrdiff_t>(at));
        tokens.erase(tokens.begin() + static_cast<ptrdiff_t>(at));
        break;
      default: {
        if (tables.empty()) break;
        const int64_t want = tokens[at] + static_cast<int64_t>(random() % 60);
        const Grow answer = tables[at].grow(want);
        if (answer == Grow::kOk) tokens[at] = want;
        if (answer == Grow::kPoolEmpty) tables[at].release(), tokens[at] = 0;
        ASSERT_EQ(answer == Grow::kRowFull, want > pool.tokens_per_sequence_max());
      }
    }
    int64_t held = 0;
    for (size_t i = 0; i < tables.size(); ++i) {
      ASSERT_EQ(static_cast<int64_t>(tables[i].blocks().size()), pool.blocks_for(tokens[i])) << "step " << step;
      held += pool.blocks_for(tokens[i]);
    }
    ASSERT_EQ(pool.live_blocks(), held) << "step " << step << " seed " << kSeed;
    pool.check_everything();
  }
  EXPECT_EQ(pool.table_region(), region);
}

TEST(BlockPool, OtherThreadsReadTheCounts) {
  BlockPool pool(small());
  std::atomic<bool> stop{false};
  std::thread reader([&] {
    while (!stop.load()) {
      EXPECT_LE(pool.free_blocks(), 8);
      EXPECT_GE(pool.live_blocks(), 0);
    }
  });
  for (int i = 0; i < 20000; ++i) {
    BlockTable table = pool.open_table().value();
    ASSERT_EQ(table.grow(20), Grow::kOk);
  }
  stop.store(true);
  reader.join();
  EXPECT_EQ(pool.free_blocks(), 8);
}

TEST(BlockPool, StorageIsWhatThePlanSays) {
  CountingResource counting;
  BlockPool pool(small(), nullptr, &counting);
  EXPECT_EQ(counting.bytes(), BlockPool::storage_bytes(small()));
  BlockPoolOptions larger = small();
  larger.blocks_max = 1000;
  CountingResource more;
  BlockPool grows(larger, nullptr, &more);
  EXPECT_EQ(more.bytes(), BlockPool::storage_bytes(larger));
  CountingResource scratch;
  BlockScratch on(&grows, &scratch);
  EXPECT_EQ(scratch.bytes(), BlockScratch::storage_bytes(larger));
  CountingResource index;
  PrefixCache cache({.blocks_max = 1000, .block_tokens = 16}, &index);
  EXPECT_EQ(index.bytes(), PrefixCache::storage_bytes({.blocks_max = 1000, .block_tokens = 16}));
}

TEST(BlockPoolDeathTest, ATableThatOutlivesItsPoolIsABug) {
  EXPECT_DEATH(
      {
        BlockTable survivor;
        BlockPool pool(small());
        survivor = pool.open_table().value();
      },
      "CHECK");
  EXPECT_DEATH(BlockPool({.blocks = 4, .block_tokens = 4, .sequences_max = 1, .blocks_per_sequence_max = 5}),
               "CHECK");
  EXPECT_DEATH(
      {
        BlockPool pool(small());
        (void)pool.open_table().value().grow(-1);
      },
      "CHECK");
}

}  // namespace
}  // namespace weir
