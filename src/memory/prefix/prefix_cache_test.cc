#include "memory/prefix/prefix_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

#include "memory/blocks/block_scratch.h"

namespace weir {
namespace {

using testing::ElementsAre;

constexpr int kTokens = 4;

std::vector<int32_t> text(int blocks, int first = 0) {
  std::vector<int32_t> out;
  for (int i = 0; i < blocks * kTokens; ++i) out.push_back(first + i);
  return out;
}

// A pool with a prefix cache, and sequences that come, are published and go.
struct World {
  PrefixCache cache;
  BlockPool pool;
  explicit World(int32_t blocks, uint64_t hash_mask = ~0ull, int32_t rows = 4)
      : cache({.blocks_max = blocks, .block_tokens = kTokens, .hash_mask = hash_mask, .seed = 7}),
        pool({.blocks = blocks, .block_tokens = kTokens, .sequences_max = rows, .blocks_per_sequence_max = blocks}, &cache) {}

  std::vector<int32_t> match(const std::vector<int32_t>& tokens) const {
    std::vector<int32_t> out(static_cast<size_t>(pool.options().blocks_max));
    out.resize(static_cast<size_t>(cache.match(tokens, out)));
    return out;
  }
  // Runs a text of whole blocks: shares what is known, computes and publishes the rest.
  BlockTable hold(const std::vector<int32_t>& tokens) {
    BlockTable table = pool.open_table().value();
    const std::vector<int32_t> known = match(tokens);
    pool.adopt(table.row(), known);
    cache.count_use(known);
    EXPECT_EQ(table.grow(static_cast<int64_t>(tokens.size())), Grow::kOk);
    for (size_t b = known.size(); b < tokens.size() / kTokens; ++b) {
      const int32_t own = table.blocks()[b];
      const int32_t parent = b == 0 ? PrefixCache::kNone : table.blocks()[b - 1];
      EXPECT_EQ(cache.publish(own, parent, std::span(tokens).subspan(b * kTokens, kTokens)), own);
      pool.keep(own);
    }
    return table;
  }
  void run(const std::vector<int32_t>& tokens) { hold(tokens).close(); }
  ~World() {
    cache.check_everything();
    pool.check_everything();
  }
};

TEST(PrefixCache, FindsWholeBlocksFromTheBeginning) {
  World world(8);
  world.run(text(3));
  EXPECT_EQ(world.pool.evictable_blocks(), 3);
  EXPECT_EQ(world.match(text(3)).size(), 3u);
  EXPECT_EQ(world.match(text(2)).size(), 2u);
  std::vector<int32_t> longer = text(3);
  longer.push_back(99);
  EXPECT_EQ(world.match(longer).size(), 3u);
  std::vector<int32_t> other = text(3);
  other[5] = 77;
  EXPECT_EQ(world.match(other).size(), 1u);
  EXPECT_EQ(world.match(std::vector<int32_t>{0, 1, 2}).size(), 0u);
  const std::vector<int32_t> middle = text(2, kTokens);
  EXPECT_EQ(world.match(middle).size(), 0u) << "the same tokens after another beginning are another text";
}

TEST(PrefixCache, ACollisionOfHashesIsNoMatch) {
  for (const uint64_t mask : {0ull, 1ull}) {
    World world(12, mask);
    for (int first = 0; first < 6; ++first) world.run(text(2, first * 100));
    for (int first = 0; first < 6; ++first) {
      EXPECT_EQ(world.match(text(2, first * 100)).size(), 2u);
      EXPECT_EQ(world.match(text(2, first * 100 + 1)).size(), 0u);
    }
    world.run(text(1, 7));  // evicts one, out of the middle of a run of the table
    EXPECT_EQ(world.match(text(1, 7)).size(), 1u);
  }
}

TEST(PrefixCache, TheSameTextTwiceIsKeptOnce) {
  World world(8);
  BlockTable a = world.hold(text(1));
  BlockTable b = world.pool.open_table().value();
  ASSERT_EQ(b.grow(kTokens), Grow::kOk);
  const int32_t own = b.blocks()[0];
  const int32_t known = world.cache.publish(own, PrefixCache::kNone, text(1));
  EXPECT_EQ(known, a.blocks()[0]);
  world.pool.replace(b.row(), 0, known);
  EXPECT_EQ(world.pool.live_blocks(), 1);
  EXPECT_EQ(world.pool.references(known), 2);
}

TEST(PrefixCache, WhatWasSharedOutlivesWhatWasUsedOnce) {
  World world(6);
  world.run(text(2));
  world.run(text(2));  // shared now
  for (int i = 1; i < 20; ++i) world.run(text(2, 100 * i));
  EXPECT_EQ(world.match(text(2)).size(), 2u) << "a stream of one-time texts does not flush it";
  EXPECT_EQ(world.match(text(2, 1900)).size(), 2u) << "the latest";
  EXPECT_EQ(world.match(text(2, 100)).size(), 0u);
}

TEST(PrefixCache, WhatIsNoLongerSharedGoesInTheEnd) {
  World world(6);
  world.run(text(2));
  world.run(text(2));
  for (int i = 1; i < 40; ++i) {
    world.run(text(2, 100 * i));
    world.run(text(2, 100 * i));
  }
  EXPECT_EQ(world.match(text(2)).size(), 0u);
}

TEST(PrefixCache, TheEndOfAChainGoesBeforeItsBeginning) {
  World world(6);
  world.run(text(4));
  BlockTable other = world.hold(text(3, 100));
  EXPECT_EQ(world.match(text(4)).size(), 3u) << "one had to go: the last";
  BlockTable more = world.pool.open_table().value();
  ASSERT_EQ(more.grow(2 * kTokens), Grow::kOk);
  EXPECT_EQ(world.match(text(4)).size(), 1u);
  EXPECT_EQ(more.grow(4 * kTokens), Grow::kPoolEmpty) << "what is held is never evicted";
  EXPECT_EQ(world.pool.evictions(), 3u);
}

TEST(PrefixCache, MovedBlocksAreFoundAtTheirNewPlace) {
  World world(12);
  world.run(text(3));
  BlockTable held = world.hold(text(5, 100));
  world.pool.evict_all();
  EXPECT_EQ(world.match(text(3)).size(), 0u);
  world.run(text(2, 500));
  BlockCopies copies;
  world.pool.resize(7, &copies);
  world.cache.check_everything();
  world.pool.check_everything();
  EXPECT_EQ(world.match(text(5, 100)), std::vector<int32_t>(held.blocks().begin(), held.blocks().end()));
  for (const int32_t block : held.blocks()) EXPECT_LT(block, 7);
  EXPECT_EQ(world.match(text(2, 500)).size(), 2u);
  copies.clear();
  world.pool.resize(5, &copies);
  EXPECT_EQ(world.match(text(2, 500)).size(), 0u) << "idle blocks give way to the new size";
  EXPECT_EQ(world.pool.evictable_blocks(), 0);
}

TEST(BlockScratch, APlanChangesNothingUntilItIsCommitted) {
  World world(8);
  world.run(text(2));
  BlockTable a = world.pool.open_table().value(), b = world.pool.open_table().value();
  ASSERT_EQ(a.grow(3 * kTokens), Grow::kOk);
  BlockScratch scratch(&world.pool);
  const std::vector<int32_t> known = world.match(text(2));
  EXPECT_EQ(scratch.idle_among(known), 2);
  ASSERT_TRUE(scratch.adopt(b.row(), known));
  EXPECT_EQ(scratch.idle_among(known), 0);
  EXPECT_EQ(scratch.obtainable_blocks(), 3);
  EXPECT_EQ(scratch.grow(b.row(), 6 * kTokens), Grow::kPoolEmpty);
  EXPECT_EQ(scratch.grow(b.row(), 9 * kTokens), Grow::kRowFull);
  scratch.release(a.row());
  EXPECT_EQ(scratch.grow(b.row(), 6 * kTokens), Grow::kOk) << "with what the other gave back";
  EXPECT_EQ(world.pool.live_blocks(), 3) << "nothing has happened";
  EXPECT_EQ(b.blocks().size(), 0u);
  scratch.begin();
  EXPECT_EQ(scratch.obtainable_blocks(), 5) << "forgotten";
  ASSERT_TRUE(scratch.adopt(b.row(), known));
  ASSERT_EQ(scratch.grow(b.row(), 4 * kTokens), Grow::kOk);
  BlockCopies copies;
  scratch.commit(&copies);
  EXPECT_THAT(std::vector<int32_t>(b.blocks().begin(), b.blocks().begin() + 2), testing::ElementsAreArray(known));
  EXPECT_EQ(b.blocks().size(), 4u);
  EXPECT_TRUE(copies.empty());
}

TEST(BlockScratch, WritingToASharedBlockCopiesItOnce) {
  World world(8);
  BlockTable a = world.pool.open_table().value(), b = world.pool.open_table().value();
  ASSERT_EQ(a.grow(2 * kTokens), Grow::kOk);
  const int32_t shared = a.blocks()[1];
  world.pool.adopt(b.row(), a.blocks());
  BlockScratch scratch(&world.pool);
  EXPECT_TRUE(scratch.is_shared(a.row(), 1));
  ASSERT_TRUE(scratch.make_writable(a.row(), 1));
  EXPECT_FALSE(scratch.is_shared(b.row(), 1)) << "the last holder writes in place";
  ASSERT_TRUE(scratch.make_writable(b.row(), 1));
  BlockCopies copies;
  scratch.commit(&copies);
  EXPECT_THAT(copies, ElementsAre(BlockCopy{shared, a.blocks()[1]}));
  EXPECT_EQ(b.blocks()[1], shared);
  EXPECT_EQ(world.pool.live_blocks(), 3);
}

TEST(BlockPool, TheLastBlocksCanBeEvictedForACopy) {
  World world(3);
  world.run(text(1));
  BlockTable a = world.pool.open_table().value(), b = world.pool.open_table().value();
  ASSERT_EQ(a.grow(2 * kTokens), Grow::kOk);
  world.pool.adopt(b.row(), a.blocks());
  BlockScratch scratch(&world.pool);
  ASSERT_TRUE(scratch.make_writable(b.row(), 0));
  scratch.begin();
  ASSERT_TRUE(scratch.make_writable(b.row(), 0));
  EXPECT_FALSE(scratch.make_writable(b.row(), 1)) << "there is one block to be had and no more";
  BlockCopies copies;
  scratch.commit(&copies);
  EXPECT_EQ(world.match(text(1)).size(), 0u);
}

}  // namespace
}  // namespace weir
