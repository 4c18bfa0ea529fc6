// Promise 8 at the seam of Ops: a row's bits do not depend on the other rows, their number, the cut into chunks,
// the place of its blocks or the number of threads. cpu/tables_test.cc shows the same across instruction sets.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/test_rig.h"

namespace weir {
namespace {

std::vector<float> slice(const std::vector<float>& all, int64_t begin, int64_t count) {
  return {all.begin() + begin, all.begin() + begin + count};
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * 4) == 0;
}

TEST(OpsExact, LinearRowsAreIndependentOfBatchAndThreads) {
  constexpr int64_t kN = 1000, kK = 200, kRows = 37;
  std::vector<float> of_one_thread[kWeightFormats];
  for (int threads : {1, 2, 5}) {
    OpsRig rig({.threads = threads, .pin = false}, 7);
    auto source = rig.random(kN, kK, 0.05f);
    auto x = rig.random(kRows, kK);
    for (WeightFormat format : kAllFormats) {
      const auto weight = rig.pack(format, source);
      const auto all = rig.linear(weight, x.mat());
      auto& reference = of_one_thread[static_cast<int>(format)];
      if (threads == 1) reference = all;
      EXPECT_TRUE(same_bits(all, reference)) << threads << " threads, " << weight_format_name(format);
      for (int64_t begin = 0, count = 1; begin < kRows;
           begin += count, count = std::min(count + 2, kRows - begin)) {
        if (count == 0) break;
        const auto part = rig.linear(weight, x.mat().row_part(begin, count));
        ASSERT_TRUE(same_bits(part, slice(all, begin * kN, count * kN))) << begin << "+" << count;
      }
    }
  }
}

TEST(OpsExact, PiecesInAnyOrderPackTheSameBytes) {
  OpsRig rig({.threads = 2, .pin = false});
  constexpr int64_t kN = 77, kK = 45;
  auto source = rig.random(kN, kK);
  for (WeightFormat format : kAllFormats) {
    auto whole = rig.pack(format, source);
    auto pieces = rig.pack(format, source);
    std::memset(host_ptr<void>(pieces.region.span().data), 0xa5, pieces.region.span().bytes);
    const std::vector<std::pair<int64_t, int64_t>> cuts = {{50, 27}, {0, 1}, {17, 33}, {1, 16}};
    for (auto [begin, count] : cuts) {
      rig.ops().pack_rows(rig.stream(), {source.data() + begin * kK, DType::kF32, begin, count, pieces.packed});
    }
    auto x = rig.random(3, kK);
    EXPECT_TRUE(same_bits(rig.linear(whole, x.mat()), rig.linear(pieces, x.mat()))) << weight_format_name(format);
  }
}

// One sequence, computed token by token, in one chunk, in uneven chunks, on other blocks, beside other sequences.
class AttentionWorld {
 public:
  static constexpr int64_t kLength = 170, kHeads = 6, kKvHeads = 2, kHeadDim = 40, kBlocks = 64;

  AttentionWorld(OpsRig* rig, KvFormat format, int64_t block_tokens)
      : rig_(*rig), geometry_{format, 2, kKvHeads, kHeadDim, block_tokens} {
    pool_ = std::move(rig_.backend().device().reserve(kBlocks * geometry_.block_bytes())).value();
    q_ = rig_.random(kLength, kHeads * kHeadDim, 2.0f);
    k_ = rig_.random(kLength, kKvHeads * kHeadDim);
    v_ = rig_.random(kLength, kKvHeads * kHeadDim);
  }

  // chunk: rows a call; others: decode rows of another sequence in front of each chunk.
  std::vector<float> run(int64_t chunk, uint64_t placement, int64_t others) {
    std::memset(host_ptr<void>(pool_.span().data), 0xff, pool_.span().bytes);  // NaN: recycled memory
    std::vector<int32_t> ids(kBlocks);
    std::iota(ids.begin(), ids.end(), 0);
    std::mt19937_64 shuffle(placement);
    std::shuffle(ids.begin(), ids.end(), shuffle);
    const int64_t per_sequence = kBlocks / 2;
    auto tables = rig_.ints(ids);
    std::vector<float> result;
    if (others > 0) write(ids, 1, 0, 1);
    for (int64_t begin = 0; begin < kLength; begin += chunk) {
      const int64_t count = std::min(chunk, kLength - begin);
      write(ids, 0, begin, count);
      std::vector<int32_t> sequences(static_cast<size_t>(others), 1), positions(static_cast<size_t>(others), 0);
      auto q = rig_.make<float>(others + count, kHeads * kHeadDim);
      for (int64_t i = 0; i < count; ++i) {
        sequences.push_back(0);
        positions.push_back(static_cast<int32_t>(begin + i));
      }
      std::memcpy(q.data() + others * q.cols, q_.data() + begin * q.cols, static_cast<size_t>(count * q.cols) * 4);
      auto out = rig_.make<float>(others + count, q.cols);
      auto held_sequences = rig_.ints(sequences), held_positions = rig_.ints(positions);
      rig_.ops().attention(rig_.stream(),
                           {.q = q.mat(),
                            .cache = geometry_.layer(pool_.span(), kBlocks, 1),
                            .block_tables = {tables.region.span().data, 2, per_sequence, per_sequence},
                            .sequences = held_sequences.vec(),
                            .positions = held_positions.vec(),
                            .heads = kHeads,
                            .scale = 0.158f,
                            .out = out.mat()});
      const auto all = out.copy();
      result.insert(result.end(), all.begin() + others * q.cols, all.end());
    }
    return result;
  }

 private:
  void write(const std::vector<int32_t>& ids, int64_t sequence, int64_t begin, int64_t count) {
    std::vector<int32_t> slots;
    for (int64_t p = begin; p < begin + count; ++p) {
      const int32_t block = ids[static_cast<size_t>(sequence * kBlocks / 2 + p / geometry_.block_tokens)];
      slots.push_back(static_cast<int32_t>(block * geometry_.block_tokens + p % geometry_.block_tokens));
    }
    auto held = rig_.ints(slots);
    rig_.ops().kv_write(rig_.stream(), {k_.mat().row_part(begin, count), v_.mat().row_part(begin, count),
                                        held.vec(), geometry_.layer(pool_.span(), kBlocks, 1)});
  }

  OpsRig& rig_;
  KvGeometry geometry_;
  Region pool_;
  Held<float> q_, k_, v_;
};

TEST(OpsExact, AttentionIsIndependentOfChunksPlacementBatchBlockSizeAndThreads) {
  for (KvFormat format : kAllKvFormats) {
    std::vector<float> reference;
    for (int threads : {1, 3}) {
      for (int64_t block_tokens : {16, 32, 48, 64, 96}) {
        OpsRig rig({.threads = threads, .pin = false}, 11);
        AttentionWorld world(&rig, format, block_tokens);
        for (int64_t chunk : {int64_t{1}, int64_t{13}, int64_t{64}, AttentionWorld::kLength}) {
          const auto got = world.run(chunk, static_cast<uint64_t>(chunk * block_tokens), chunk % 5);
          if (reference.empty()) reference = got;
          ASSERT_TRUE(same_bits(got, reference)) << kv_format_name(format) << " threads " << threads << " block "
                                                 << block_tokens << " chunk " << chunk;
        }
      }
    }
    for (float value : reference) ASSERT_TRUE(std::isfinite(value)) << "stale memory reached a result";
  }
}

// A neighbour's NaN stays with the neighbour.
TEST(OpsExact, ANaNRowHurtsNobodyElse) {
  OpsRig rig({.threads = 2, .pin = false});
  auto source = rig.random(100, 64, 0.1f);
  auto x = rig.random(9, 64);
  for (WeightFormat format : kAllFormats) {
    const auto weight = rig.pack(format, source);
    const auto clean = rig.linear(weight, x.mat());
    const float kept = x.data()[4 * 64];
    x.data()[4 * 64] = std::numeric_limits<float>::quiet_NaN();
    const auto dirty = rig.linear(weight, x.mat());
    x.data()[4 * 64] = kept;
    EXPECT_TRUE(same_bits(slice(clean, 0, 400), slice(dirty, 0, 400)));
    EXPECT_TRUE(same_bits(slice(clean, 500, 400), slice(dirty, 500, 400)));
  }
}

TEST(OpsExact, WorkspaceIsEnoughAndNotOverrun) {
  OpsRig rig({.threads = 1});
  for (int64_t k : {1, 33, 64, 100, 2048}) {
    auto source = rig.random(20, k), x = rig.random(13, k);
    for (WeightFormat format : kAllFormats) {
      const auto weight = rig.pack(format, source);
      const uint64_t bytes = rig.ops().linear_workspace_bytes(13, k);
      Region scratch = std::move(rig.backend().device().reserve(bytes + 64)).value();
      std::memset(host_ptr<char>(scratch.span().data) + bytes, 0x5a, 64);
      auto out = rig.make<float>(13, 20);
      rig.ops().linear(
          rig.stream(),
          {.x = x.mat(), .weight = &weight.packed, .out = out.mat(), .workspace = scratch.span().part(0, bytes)});
      for (int i = 0; i < 64; ++i) ASSERT_EQ(host_ptr<char>(scratch.span().data)[bytes + i], 0x5a);
    }
  }
}

}  // namespace
}  // namespace weir
