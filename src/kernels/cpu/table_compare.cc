#include "kernels/cpu/table_compare.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string_view>
#include <vector>

#include "device/host/host_device.h"
#include "kernels/cpu/constants.h"
#include "kernels/cpu/pack.h"
#include "kernels/cpu/portable.h"
#include "kernels/kv_layer.h"

namespace weir::cpu {
namespace {

constexpr float kGuard = 12345.678f;

// f32 memory that starts 4 bytes off a cache line, so that no kernel may assume alignment.
class Floats {
 public:
  explicit Floats(int64_t size, float fill = kGuard) : raw_(static_cast<size_t>(size) + 33, fill) {
    const auto address = reinterpret_cast<uintptr_t>(raw_.data());
    data_ = raw_.data() + (64 - address % 64) / 4 % 16 + 1;
    size_ = size;
  }
  Floats(const Floats& other) : Floats(other.size_) { std::copy(other.data_, other.data_ + size_, data_); }
  float* data() { return data_; }
  int64_t size() const { return size_; }
  float& operator[](int64_t i) { return data_[i]; }

 private:
  std::vector<float> raw_;
  float* data_;
  int64_t size_;
};

struct Bytes64 {  // zeroed bytes on a cache line
  explicit Bytes64(int64_t size) : raw(static_cast<size_t>(size) + 64) {
    data = raw.data() + (64 - reinterpret_cast<uintptr_t>(raw.data()) % 64) % 64;
  }
  std::vector<uint8_t> raw;
  uint8_t* data;
};

class Comparison {
 public:
  Comparison(const KernelTable& got, const KernelTable& want, int stride)
      : got_(got), want_(want), stride_(stride) {}
  // Each section draws numbers of its own and counts its cases from 0.
  const CompareResult& run(int section) {
    random_.seed(static_cast<uint64_t>(20261123 + section));
    normal_.reset();
    turn_ = 0;
    if (section < kWeightFormats) {
      linears(static_cast<WeightFormat>(section));
    } else {
      caches(kKvFormats[static_cast<size_t>(section - kWeightFormats)]);
    }
    return result_;
  }

  static constexpr std::array kKvFormats = {KvFormat::kF32, KvFormat::kBF16, KvFormat::kF16, KvFormat::kInt8,
                                            KvFormat::kInt4};

 private:
  void linears(WeightFormat format) {
    for (int64_t n : {1, 15, 16, 17, 33, 70, 130, 300}) {
      for (int64_t k : {1, 2, 3, 31, 32, 33, 63, 64, 65, 100, 129, 160}) linear(format, n, k);
    }
  }
  void caches(KvFormat format) {
    for (int64_t head_dim : {1, 8, 16, 20, 33, 64, 80, 96, 128}) {
      qkv_finish(format, head_dim);
      for (int64_t group : {1, 2, 3, 4, 5, 6, 7, 8, 9}) attention({format, head_dim, group, 150, 12});
      attention({format, head_dim, 1 + below(8), 100, 70});  // a prompt: many rows at once
    }
    for (int64_t head_dim : {256, 512}) {
      qkv_finish(format, head_dim);
      for (int64_t group : {1, 3, 8}) attention({format, head_dim, group, 150, 12});
    }
    attention({format, 24, 71, 100, 3});      // one K for more heads than are taken at once
    for (int64_t head_dim : {33, 64, 128}) {  // two and three partitions
      attention({format, head_dim, 1, 1200, 3});
      attention({format, head_dim, 5, 530, 40});
    }
  }

  bool skip() { return !result_.mismatch.empty() || turn_++ % stride_ != 0; }
  float normal() { return normal_(random_); }
  int64_t below(int64_t n) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(n)); }
  void fill(Floats* x, float scale = 1.0f) {
    for (int64_t i = 0; i < x->size(); ++i) (*x)[i] = normal() * scale;
  }
  void expect_same(const float* got, const float* want, int64_t count, const std::string& where) {
    ++result_.cases;
    if (!result_.mismatch.empty() || std::memcmp(got, want, static_cast<size_t>(count) * 4) == 0) return;
    for (int64_t i = 0; i < count; ++i) {
      if (std::memcmp(got + i, want + i, 4) == 0) continue;
      char text[160];
      std::snprintf(text, sizeof(text), " element %lld: %s has %a, %s has %a", static_cast<long long>(i), got_.isa,
                    static_cast<double>(got[i]), want_.isa, static_cast<double>(want[i]));
      result_.mismatch = where + text;
      return;
    }
  }

  void run_linear(const KernelTable& table, LinearTask task) {
    const int64_t tile = !weight_is_quantised(task.format)        ? table.row_tile_float
                         : task.format == WeightFormat::kInt8G32 ? table.row_tile_int8
                                                                 : table.row_tile_int4;
    task.tiles = (task.rows + tile - 1) / tile;
    table.linear_prepare(task, 0, task.tiles);
    const int64_t panels = (task.n + kPanel - 1) / kPanel;
    const int64_t cut = below(panels / 2 + 1) * 2;
    table.linear_panels(task, 0, cut);
    table.linear_panels(task, cut, panels);
  }

  void linear(WeightFormat format, int64_t n, int64_t k) {
    constexpr int64_t kRows = 40;
    if (skip()) return;
    Floats source(n * k), x(kRows * (k + 3)), before(kRows * (n + 5));
    fill(&source, 0.1f), fill(&x), fill(&before);
    if (k > 40) {  // a group of zeros, a group that is all but zero, an outlier
      std::fill(x.data(), x.data() + 32, 0.0f);
      std::fill(x.data() + k + 3, x.data() + k + 3 + 32, 1e-38f);
      x[2 * (k + 3)] = 3e4f;
      std::fill(source.data(), source.data() + 33, 0.0f);
    }
    // Twelve modes: bias, what happens at the end, a norm before. A third of them for each shape.
    for (int mode = static_cast<int>(below(3)); mode < 12; mode += 1 + static_cast<int>(below(5))) {
      const auto end = static_cast<LinearEnd>(mode % 6 / 2);
      const bool paired = end == LinearEnd::kSwiglu;
      const int64_t packed_n = paired ? swiglu_rows(n) : n;
      const int64_t bytes = panel_bytes(format, k), panels = (packed_n + kPanel - 1) / kPanel;
      Bytes64 weight(bytes * panels), scratch(kRows * std::max(k * 4, (k + kSuperMax - 1) / kSuperMax * 4 * kPreparedBytesMax));
      const PackedWeight dst{format, packed_n, k, {device_ptr_of(weight.data), static_cast<uint64_t>(bytes * panels)}};
      using Part = PackRowsArgs::Part;
      for (const Part part : {paired ? Part::kGate : Part::kWhole, Part::kUp}) {
        if (part == Part::kUp && !paired) continue;
        pack_panels({source.data(), DType::kF32, 0, n, dst, part, n}, weight.data, 0, (n + kPanel - 1) / kPanel);
      }
      Floats reference = before, bias(packed_n), norm(k);
      fill(&bias), fill(&norm);
      LinearTask task{.format = format, .rows = kRows, .k = k, .n = packed_n, .x = x.data(), .x_stride = k + 3,
                      .norm = mode >= 6 ? norm.data() : nullptr, .norm_eps = 1e-5f, .weight = weight.data,
                      .panel_bytes = bytes, .bias = mode % 2 == 1 ? bias.data() : nullptr, .out = reference.data(),
                      .out_stride = n + 5, .out_cols = n, .end = end, .scratch = scratch.data, .tiles = 0};
      run_linear(want_, task);
      for (int64_t rows = 1 + below(2); rows <= kRows; rows += 1 + below(4)) {
        const int64_t first = below(kRows - rows + 1);
        Floats out = before;
        task.rows = rows, task.x = x.data() + first * (k + 3), task.out = out.data() + first * (n + 5);
        run_linear(got_, task);
        expect_same(task.out, reference.data() + first * (n + 5), rows * (n + 5),
                    "linear " + std::string(weight_format_name(format)) + " n=" + std::to_string(n) + " k=" +
                        std::to_string(k) + " rows=" + std::to_string(rows) + " mode=" + std::to_string(mode));
      }
    }
  }

  struct AttentionShape {
    KvFormat format;
    int64_t head_dim, group, longest, rows_max;
    std::string name() const {
      return "attention " + std::string(kv_format_name(format)) + " head_dim=" + std::to_string(head_dim) +
             " group=" + std::to_string(group) + " longest=" + std::to_string(longest);
    }
  };

  static KvTask kv_task(const KvGeometry& geometry, uint8_t* pool) {
    return {pool,
            geometry.format,
            geometry.block_tokens,
            geometry.kv_heads,
            geometry.head_dim,
            static_cast<int64_t>(geometry.block_bytes()),
            static_cast<int64_t>(geometry.head_bytes()),
            static_cast<int64_t>(geometry.k_bytes()),
            static_cast<int64_t>(geometry.k_bytes() + geometry.v_bytes())};
  }

  // Tokens of one sequence at a time, cut anywhere, whole or partition by partition.
  void run_attention(const KernelTable& table, const AttentionTask& task, int64_t tokens, bool parts) {
    for (int64_t begin = 0; begin < tokens;) {
      int64_t end = begin + 1;
      while (end < tokens && task.sequences[end] == task.sequences[begin]) ++end;
      if (below(2) == 0) end = begin + 1 + below(end - begin);
      for (int64_t h = 0; h < task.cache.kv_heads; ++h) {
        for (int64_t part = 0; part < (parts ? task.partitions : 1); ++part) {
          table.attention(task, {begin, end, h, parts, part});
        }
      }
      begin = end;
    }
    const int64_t cut = below(tokens + 1);
    if (parts) table.attention_merge(task, 0, cut), table.attention_merge(task, cut, tokens);
  }

  // Three sequences, decode rows and chunks mixed; every KV byte that no position owns is NaN.
  void attention(const AttentionShape& shape) {
    if (skip()) return;
    const auto& [format, head_dim, group, longest, rows_max] = shape;
    const bool large = group * longest * rows_max > 20'000;  // the reference is slow
    const int64_t kv_heads = large ? 1 : 1 + below(2), block_tokens = 16 * (1 + below(4)), heads = group * kv_heads;
    const int64_t per_sequence = longest / block_tokens + 1, sequences = 3, blocks = sequences * per_sequence + 2;
    const KvGeometry geometry{format, 1, kv_heads, head_dim, block_tokens};
    Bytes64 pool(blocks * static_cast<int64_t>(geometry.block_bytes()));
    std::memset(pool.data, 0xff, pool.raw.size() - 64);  // NaN in all float formats and in the scales
    const KvTask kv = kv_task(geometry, pool.data);
    std::vector<int32_t> ids(static_cast<size_t>(blocks));
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i);
    std::shuffle(ids.begin(), ids.end(), random_);
    std::vector<int32_t> sequence_of, positions;
    for (int32_t s = 0; s < sequences; ++s) {
      const int64_t length = s == 1 ? longest : 1 + below(std::min<int64_t>(longest, 150));
      const int64_t rows = std::min<int64_t>(length, s == 1 ? 1 + below(rows_max) : 1 + below(2));
      for (int64_t p = 0; p < length; ++p)
        write_position(kv, ids[static_cast<size_t>(s * per_sequence + p / block_tokens)], p);
      for (int64_t r = 0; r < rows; ++r) {
        sequence_of.push_back(s);
        positions.push_back(static_cast<int32_t>(length - rows + r));
      }
    }
    const int64_t tokens = static_cast<int64_t>(positions.size()), stride = heads * head_dim + 3;
    const int64_t partitions = (longest + kPartition - 1) / kPartition;
    const int64_t partial_floats = kPartialHead + (head_dim + 31) / 32 * 32;
    Floats q(tokens * stride), a(tokens * stride), b(tokens * stride), c(tokens * stride);
    Floats partials(tokens * heads * partitions * partial_floats);
    fill(&q, 2.0f);
    AttentionTask task{q.data(),         stride,        kv,
                       ids.data(),       per_sequence,  sequence_of.data(),
                       positions.data(), heads,         1.0f / std::sqrt(static_cast<float>(head_dim)),
                       a.data(),         stride,        partials.data(),
                       partitions,       partial_floats};
    run_attention(want_, task, tokens, false);
    task.out = b.data();
    run_attention(got_, task, tokens, false);
    expect_same(b.data(), a.data(), tokens * stride,
                shape.name() + " block_tokens=" + std::to_string(block_tokens));
    task.out = c.data();
    run_attention(got_, task, tokens, true);
    expect_same(c.data(), a.data(), tokens * stride, shape.name() + " in parts");
    for (int64_t i = 0; i < tokens * stride; ++i) {
      if (!std::isfinite(b[i]) && result_.mismatch.empty())
        result_.mismatch = shape.name() + ": stale memory reached a result";
    }
  }

  // Rotations of none, some and all dimensions, with norms and without.
  void qkv_finish(KvFormat format, int64_t head_dim) {
    if (skip()) return;
    constexpr int64_t kTokens = 5, kHeads = 3, kKvHeads = 2;
    const KvGeometry geometry{format, 1, kKvHeads, head_dim, 16};
    const int64_t width = (kHeads + 2 * kKvHeads) * head_dim + 1,
                  pool_bytes = static_cast<int64_t>(geometry.block_bytes());
    Floats qkv(kTokens * width), norms(2 * head_dim);
    fill(&qkv), fill(&norms);
    const int32_t positions[kTokens] = {3, 0, 6, 6, 1}, slots[kTokens] = {9, 15, 0, 3, 4};
    for (const int64_t half : {int64_t{0}, head_dim / 4, head_dim / 2}) {
      Floats cos(7 * (half + 2)), sin(7 * (half + 2));
      fill(&cos), fill(&sin);
      for (const bool with_norm : {false, true}) {
        Floats x[2] = {qkv, qkv};
        Bytes64 pools[2] = {Bytes64(pool_bytes), Bytes64(pool_bytes)};
        for (int i = 0; i < 2; ++i) {
          float* q = x[i].data();
          const QkvTask task{q,
                             q + kHeads * head_dim,
                             q + (kHeads + kKvHeads) * head_dim,
                             width,
                             width,
                             width,
                             kHeads,
                             with_norm ? norms.data() : nullptr,
                             with_norm ? norms.data() + head_dim : nullptr,
                             1e-6f,
                             half,
                             positions,
                             cos.data(),
                             sin.data(),
                             half + 2,
                             half + 2,
                             slots,
                             kv_task(geometry, pools[i].data)};
          const KernelTable& table = i == 0 ? want_ : got_;
          const int64_t cut = below(kTokens + 1);
          table.qkv_finish(task, 0, cut), table.qkv_finish(task, cut, kTokens);
        }
        const std::string name =
            "qkv_finish head_dim=" + std::to_string(head_dim) + " half=" + std::to_string(half);
        expect_same(x[1].data(), x[0].data(), kTokens * width, name);
        ++result_.cases;
        if (std::memcmp(pools[0].data, pools[1].data, static_cast<size_t>(pool_bytes)) != 0 &&
            result_.mismatch.empty())
          result_.mismatch = name + ": other bytes in the cache";
      }
    }
  }

  void write_position(const KvTask& kv, int32_t block, int64_t position) {
    std::vector<float> k(static_cast<size_t>(kv.kv_heads * kv.head_dim)), v(k.size());
    for (auto& value : k) value = normal();
    for (auto& value : v) value = normal();
    if (kv_is_quantised(kv.format)) make_hard(position, &k), make_hard(position + 3, &v);
    const int32_t slot =
        block * static_cast<int32_t>(kv.block_tokens) + static_cast<int32_t>(position % kv.block_tokens);
    portable_kv_write({k.data(), v.data(), 0, 0, &slot, kv}, 0, 1);
  }

  // What quantising must survive: zeros, one sign, tiny and huge numbers, no numbers.
  static void make_hard(int64_t turn, std::vector<float>* x) {
    const float infinity = std::numeric_limits<float>::infinity();
    for (float& value : *x) {
      if (turn % 11 == 1) value = 0.0f;
      if (turn % 11 == 3) value = std::fabs(value);
      if (turn % 11 == 5) value *= 1e-9f;
      if (turn % 11 == 6) value *= 1e-42f;
    }
    float& one = (*x)[static_cast<size_t>(turn) % x->size()];
    if (turn % 13 == 2) one = 3e38f;
    if (turn % 13 == 4) one = turn % 2 == 0 ? infinity : -infinity;
    if (turn % 13 == 7) one = std::numeric_limits<float>::quiet_NaN();
  }

  const KernelTable& got_;
  const KernelTable& want_;
  int stride_;
  int turn_ = 0;
  CompareResult result_;
  std::mt19937_64 random_{20261123};
  std::normal_distribution<float> normal_;
};

}  // namespace

int compare_sections() { return kWeightFormats + static_cast<int>(Comparison::kKvFormats.size()); }

std::string compare_section_name(int section) {
  const bool linear = section < kWeightFormats;
  const std::string_view format =
      linear ? weight_format_name(static_cast<WeightFormat>(section))
             : kv_format_name(Comparison::kKvFormats[static_cast<size_t>(section - kWeightFormats)]);
  std::string name = linear ? "linear_" : "kv_";
  for (const char c : format) name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
}

CompareResult compare_section(const KernelTable& got, const KernelTable& want, int stride, int section) {
  return Comparison(got, want, stride).run(section);
}

CompareResult compare_tables(const KernelTable& got, const KernelTable& want, int stride) {
  Comparison comparison(got, want, stride);
  CompareResult result;
  for (int section = 0; section < compare_sections(); ++section) result = comparison.run(section);
  return result;
}

}  // namespace weir::cpu
