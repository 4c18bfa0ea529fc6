// int8 and int4 KV at the seam of Ops, on the scalar backend: what a block costs, how near a stored number is to
// the one given, attention over stored numbers against double precision, and numbers that are none.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/test_rig.h"
#include "tensor/convert.h"

namespace weir {
namespace {

constexpr KvFormat kQuantised[] = {KvFormat::kInt8, KvFormat::kInt4};
constexpr double kU = 0x1p-24;

double top_of(KvFormat format) { return format == KvFormat::kInt8 ? 255 : 15; }

OpsRig scalar_rig(uint64_t seed) { return OpsRig({.threads = 1, .isa = "scalar"}, seed); }

// One layer of blocks with `tokens` positions of one sequence in it, block order reversed.
struct Cache {
  Cache(OpsRig* rig, KvFormat format, int64_t kv_heads, int64_t head_dim, int64_t tokens)
      : rig(*rig), geometry{format, 1, kv_heads, head_dim, 16}, blocks((tokens + 15) / 16) {
    pool =
        std::move(rig->backend().device().reserve(static_cast<uint64_t>(blocks) * geometry.block_bytes())).value();
    std::memset(host_ptr<void>(pool.span().data), 0xff, pool.span().bytes);
    for (int64_t b = 0; b < blocks; ++b) table.push_back(static_cast<int32_t>(blocks - 1 - b));
  }
  int32_t slot(int64_t position) const {
    return table[static_cast<size_t>(position / 16)] * 16 + static_cast<int32_t>(position % 16);
  }
  void write(Held<float>& k, Held<float>& v) {
    std::vector<int32_t> slots;
    for (int64_t p = 0; p < k.rows; ++p) slots.push_back(slot(p));
    auto held = rig.ints(slots);
    rig.write_kv(k.mat(), v.mat(), held.vec(), geometry.layer(pool.span(), blocks, 0));
  }
  // Row t of q attends to positions 0..positions[t].
  std::vector<float> attend(Held<float>& q, const std::vector<int32_t>& positions, float scale) {
    auto tables = rig.ints(table), held = rig.ints(positions);
    auto sequences = rig.ints(std::vector<int32_t>(positions.size(), 0));
    auto out = rig.make<float>(q.rows, q.cols);
    rig.attention({q.mat(),
                   geometry.layer(pool.span(), blocks, 0),
                   tables.mat(),
                   sequences.vec(),
                   held.vec(),
                   q.cols / geometry.head_dim,
                   scale,
                   out.mat(),
                   {}});
    return out.copy();
  }

  OpsRig& rig;
  KvGeometry geometry;
  int64_t blocks;
  Region pool;
  std::vector<int32_t> table;
};

// What the cache made of each row of x: alone in a sequence, a token's attention is its own V.
std::vector<float> stored(OpsRig* rig, KvFormat format, int64_t head_dim, Held<float>& x) {
  std::vector<float> all;
  for (int64_t row = 0; row < x.rows; ++row) {
    auto one = rig->make<float>(1, x.cols), q = rig->random(1, x.cols), zero = rig->make<float>(1, x.cols);
    std::memcpy(one.data(), x.data() + row * x.cols, static_cast<size_t>(x.cols) * 4);
    std::memset(zero.data(), 0, static_cast<size_t>(x.cols) * 4);
    Cache cache(rig, format, x.cols / head_dim, head_dim, 1);
    cache.write(zero, one);
    const auto out = cache.attend(q, {0}, 1.0f);
    all.insert(all.end(), out.begin(), out.end());
  }
  return all;
}

// The issue asks for at least 1.9 and 3.5 times the tokens of bf16 in the same bytes; padding is inside
// block_bytes.
TEST(KvQuant, BlocksHoldThePromisedTokens) {
  struct Shape {
    const char* model;
    int64_t layers, kv_heads, head_dim;
  };
  for (const Shape& shape :
       {Shape{"Qwen2.5-0.5B", 24, 2, 64}, {"TinyLlama", 22, 4, 64}, {"Qwen2.5-3B", 36, 2, 128}}) {
    for (int64_t block_tokens : {32, 64, 128, 256}) {
      const auto bytes = [&](KvFormat format) {
        return static_cast<double>(
            KvGeometry{format, shape.layers, shape.kv_heads, shape.head_dim, block_tokens}.block_bytes());
      };
      EXPECT_GE(bytes(KvFormat::kBF16) / bytes(KvFormat::kInt8), 1.9) << shape.model << " " << block_tokens;
      EXPECT_GE(bytes(KvFormat::kBF16) / bytes(KvFormat::kInt4), 3.5) << shape.model << " " << block_tokens;
    }
  }
  // K 64, V 64, two scales of 2, two zeros of 1; int4 half of the first two.
  EXPECT_EQ((KvGeometry{KvFormat::kInt8, 1, 1, 64, 64}.block_bytes()), 64u * 134);
  EXPECT_EQ((KvGeometry{KvFormat::kInt4, 1, 1, 64, 64}.block_bytes()), 64u * 70);
}

// Writing every slot of every head, block and layer but one leaves that one as it was.
TEST(KvQuant, NoTwoSlotsShareAByte) {
  auto rig = scalar_rig(1);
  for (KvFormat format : kAllKvFormats) {
    for (int64_t head_dim : {1, 17, 33, 64}) {
      constexpr int64_t kTokens = 32, kHeads = 2;
      Cache cache(&rig, format, kHeads, head_dim, kTokens);
      auto k = rig.random(kTokens, kHeads * head_dim), v = rig.random(kTokens, kHeads * head_dim);
      cache.write(k, v);
      auto q = rig.random(1, kHeads * head_dim);
      const auto before = cache.attend(q, {kTokens - 1}, 0.2f);
      for (int64_t skipped : {0, 7, 15, 31}) {  // all the others change, and change back
        std::vector<int32_t> slots;
        for (int64_t p = 0; p < kTokens; ++p) {
          if (p != skipped) slots.push_back(cache.slot(p));
        }
        auto held = rig.ints(slots);
        auto other = rig.random(kTokens - 1, k.cols, 50.0f);
        const KvLayer layer = cache.geometry.layer(cache.pool.span(), cache.blocks, 0);
        rig.write_kv(other.mat(), other.mat(), held.vec(), layer);
        for (int64_t p = 0, row = 0; p < kTokens; ++p) {
          if (p == skipped) continue;
          auto one = rig.ints({slots[static_cast<size_t>(row++)]});
          rig.write_kv(k.mat().row_part(p, 1), v.mat().row_part(p, 1), one.vec(), layer);
        }
        EXPECT_EQ(cache.attend(q, {kTokens - 1}, 0.2f), before) << kv_format_name(format) << " " << head_dim;
      }
    }
  }
}

// Half a step, where a step is the range over n, rounded up to f16 (2^-10 relative, 2^-24 where f16 is subnormal);
// the two float products and the division that give it back add 2 u.
TEST(KvQuant, StoredNumbersAreWithinHalfAStep) {
  auto rig = scalar_rig(2);
  for (KvFormat format : kQuantised) {
    for (float size : {1.0f, 1e-3f, 1e-6f, 1e4f}) {
      for (int64_t head_dim : {1, 20, 33, 64, 512}) {
        auto x = rig.random(6, head_dim, size);
        for (int64_t d = 0; d < head_dim; ++d) {
          x.data()[head_dim + d] = std::fabs(x.data()[head_dim + d]);                  // the range includes 0
          x.data()[2 * head_dim + d] = -std::fabs(x.data()[2 * head_dim + d]) - size;  // far from it
          x.data()[3 * head_dim + d] = 0.0f;
        }
        if (head_dim > 4) x.data()[5 * head_dim + 3] = 0.0f;
        const auto got = stored(&rig, format, head_dim, x);
        for (int64_t row = 0; row < x.rows; ++row) {
          double low = 0, high = 0;
          for (int64_t d = 0; d < head_dim; ++d) {
            low = std::min(low, double{x.data()[row * head_dim + d]});
            high = std::max(high, double{x.data()[row * head_dim + d]});
          }
          const double step = (high - low) / top_of(format);
          const double bound = (step * (1 + 0x1p-10) + 0x1p-24) / 2 + 4 * kU * (high - low);
          for (int64_t d = 0; d < head_dim; ++d) {
            const float want = x.data()[row * head_dim + d], is = got[static_cast<size_t>(row * head_dim + d)];
            ASSERT_LE(std::fabs(double{is} - want), high == low ? 0 : bound)
                << kv_format_name(format) << " size " << size << " head_dim " << head_dim << " row " << row;
            if (want == 0.0f) {
              ASSERT_EQ(is, 0.0f) << "zero is stored exactly";
            }
          }
        }
      }
    }
  }
}

// The rules of ops.h on a row whose numbers are chosen: scale 2, zero 3 (int4), ties to even.
TEST(KvQuant, FollowsTheWrittenRule) {
  auto rig = scalar_rig(3);
  auto x = rig.make<float>(1, 8);
  const float given[] = {-6, 24, 0, 1, 3, 4.9f, -0.9f, 5.1f}, want[] = {-6, 24, 0, 0, 4, 4, 0, 6};
  std::memcpy(x.data(), given, sizeof(given));
  const auto got = stored(&rig, KvFormat::kInt4, 8, x);
  for (size_t i = 0; i < 8; ++i) EXPECT_EQ(got[i], want[i]) << i;
  // 15 steps of 1 + 2^-11 do not fit f16: the scale is rounded up to 1 + 2^-10, never down, and the top is kept.
  const float wide = 15.0f * (1 + 0x1p-11f);
  for (size_t i = 0; i < 8; ++i) x.data()[i] = wide;
  EXPECT_EQ(stored(&rig, KvFormat::kInt4, 8, x)[0], 15.0f * (1 + 0x1p-10f));
}

// Over what is stored (read back as above; K and V are quantised alike) attention is the softmax of ops_reference_
// test, with the same bound and three more roundings: the scales' products.
TEST(KvQuant, AttentionIsSoftmaxOverStoredNumbers) {
  auto rig = scalar_rig(4);
  for (KvFormat format : kQuantised) {
    for (int64_t dim : {20, 33, 64, 512}) {
      constexpr int64_t kTokens = 70, kHeads = 4;
      auto q = rig.random(1, kHeads * dim), k = rig.random(kTokens, 2 * dim), v = rig.random(kTokens, 2 * dim);
      const float scale = 1.0f / std::sqrt(static_cast<float>(dim));
      Cache cache(&rig, format, 2, dim, kTokens);
      cache.write(k, v);
      const auto got = cache.attend(q, {kTokens - 1}, scale);
      const auto sk = stored(&rig, format, dim, k), sv = stored(&rig, format, dim, v);
      for (int64_t h = 0; h < kHeads; ++h) {
        std::vector<double> p;
        double sum = 0, score_size = 0;
        for (int64_t j = 0; j < kTokens; ++j) {
          double dot = 0, size = 0;
          for (int64_t d = 0; d < dim; ++d) {
            const double term = double{q.data()[h * dim + d]} * sk[static_cast<size_t>((j * 2 + h / 2) * dim + d)];
            dot += term;
            size += std::fabs(term);
          }
          p.push_back(std::exp(dot * scale));
          sum += p.back();
          score_size = std::max(score_size, size * scale);
        }
        for (int64_t d = 0; d < dim; ++d) {
          double want = 0, vmax = 0;
          for (int64_t j = 0; j < kTokens; ++j) {
            const double value = sv[static_cast<size_t>((j * 2 + h / 2) * dim + d)];
            want += p[static_cast<size_t>(j)] / sum * value;
            vmax = std::max(vmax, std::fabs(value));
          }
          const double bound = 2 * kU * ((static_cast<double>(dim) + 6) * score_size + kTokens + 15) * vmax;
          ASSERT_NEAR(got[static_cast<size_t>(h * dim + d)], want, bound)
              << kv_format_name(format) << " head_dim " << dim << " head " << h << " element " << d;
        }
      }
    }
  }
}

// A number that is none stays in its token: earlier rows keep their bits, later ones stay finite.
TEST(KvQuant, HostileNumbersSpoilNobody) {
  constexpr int64_t kTokens = 40, kDim = 20;
  const float infinity = std::numeric_limits<float>::infinity();
  for (KvFormat format : kQuantised) {
    for (float bad : {std::numeric_limits<float>::quiet_NaN(), infinity, -infinity, 3.4e38f, -3.4e38f}) {
      auto rig = scalar_rig(5);
      auto q = rig.random(kTokens, kDim), k = rig.random(kTokens, kDim), v = rig.random(kTokens, kDim);
      std::vector<int32_t> positions;
      for (int32_t t = 0; t < kTokens; ++t) positions.push_back(t);
      Cache clean(&rig, format, 1, kDim, kTokens), dirty(&rig, format, 1, kDim, kTokens);
      clean.write(k, v);
      const auto want = clean.attend(q, positions, 0.2f);
      k.data()[25 * kDim + 3] = bad;
      v.data()[25 * kDim + 7] = bad;
      dirty.write(k, v);
      const auto got = dirty.attend(q, positions, 0.2f);
      EXPECT_EQ(std::memcmp(got.data(), want.data(), 25 * kDim * 4), 0) << bad;
      for (float value : got) ASSERT_TRUE(std::isfinite(value)) << kv_format_name(format) << " " << bad;
      auto row = rig.make<float>(1, kDim);
      std::memcpy(row.data(), v.data() + 25 * kDim, kDim * 4);
      const float largest = 65504.0f * static_cast<float>(top_of(format)) / 2;
      const float is = stored(&rig, format, kDim, row)[7];
      if (std::isnan(bad)) {
        EXPECT_EQ(is, 0.0f);
      } else {  // to half a step, whichever zero was chosen
        EXPECT_NEAR(is, std::copysign(largest, bad), 65504.0f / 2);
      }
    }
  }
}

}  // namespace
}  // namespace weir
