// What size-only mode says against what the forward does, seen from the device's side.
#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "device/host/host_device.h"
#include "model/transformer.h"

namespace weir {
namespace {

constexpr uint64_t kFenceBytes = 4096;
constexpr char kPaint = 0x5a;

// Host memory with a painted fence behind every region, and a list of what was asked for.
class WatchedDevice final : public Device {
 public:
  struct Taken {
    Region memory;
    uint64_t bytes = 0;
    char* begin() const { return host_ptr<char>(memory.span().data); }
    bool fence_whole() const {
      for (uint64_t i = bytes; i < memory.span().bytes; ++i) {
        if (begin()[i] != kPaint) return false;
      }
      return true;
    }
  };

  std::string_view name() const override { return "watched"; }
  Result<std::unique_ptr<Stream>> make_stream() override { return host_.make_stream(); }
  void copy_to_device(Stream& stream, DevicePtr dst, const void* src, uint64_t bytes) override {
    host_.copy_to_device(stream, dst, src, bytes);
  }
  void copy_to_host(Stream& stream, void* dst, DevicePtr src, uint64_t bytes) override {
    host_.copy_to_host(stream, dst, src, bytes);
  }
  void copy_within(Stream& stream, DevicePtr dst, DevicePtr src, uint64_t bytes) override {
    host_.copy_within(stream, dst, src, bytes);
  }
  void fill_zero(Stream& stream, DeviceSpan span) override { host_.fill_zero(stream, span); }
  Status synchronize(Stream& stream) override { return host_.synchronize(stream); }
  uint64_t memory_free_bytes() const override { return host_.memory_free_bytes(); }
  uint64_t memory_total_bytes() const override { return host_.memory_total_bytes(); }
  void* host_pointer(DevicePtr ptr) const override { return host_.host_pointer(ptr); }

  const std::vector<Taken>& taken() const { return taken_; }

 protected:
  Result<DevicePtr> map(uint64_t bytes, uint64_t) override {
    Taken taken{.memory = std::move(host_.reserve(bytes + kFenceBytes)).value(), .bytes = bytes};
    std::memset(taken.begin() + bytes, kPaint, kFenceBytes);
    taken_.push_back(std::move(taken));
    return taken_.back().memory.span().data;
  }
  Status remap(DevicePtr, uint64_t, uint64_t) override { return internal_error("nobody resizes here"); }
  void unmap(DevicePtr, uint64_t) override {}

 private:
  HostDevice host_;
  std::vector<Taken> taken_;  // freed with the device
};

class WatchedBackend final : public Backend {
 public:
  Device& device() override { return device_; }
  Ops& ops() override { return real_->ops(); }
  int threads() const override { return real_->threads(); }
  PackedLayout packed_layout() const override { return real_->packed_layout(); }
  std::string_view description() const override { return "watched"; }
  void bind_calling_thread() override {}
  const std::vector<WatchedDevice::Taken>& taken() const { return device_.taken(); }

 private:
  WatchedDevice device_;
  std::unique_ptr<Backend> real_ = std::move(make_backend("cpu", {.threads = 2, .isa = "", .pin = false})).value();
};

// Trap: a long context needs workspace that start-up never measured. The largest step, at the end of the longest
// context, in every place, takes no memory that load() had not taken, writes nothing behind it, and uses it to the end.
class WorkspaceGrows : public testing::TestWithParam<int64_t> {};

TEST_P(WorkspaceGrows, workspace_grows) {
  constexpr int64_t kPlaces = 3, kStep = 48, kBlock = 16;
  const int64_t session = GetParam();
  const std::string dir = "tests/golden/models/qwen2";
  const ModelSpec spec = load_spec(dir).value();
  const ModelOptions options{.format = WeightFormat::kF32, .kv_format = KvFormat::kBF16, .session_tokens = session,
                             .block_tokens = kBlock, .step_tokens_max = kStep, .sequences_max = kPlaces};
  WatchedBackend backend;
  auto checkpoint = std::move(Checkpoint::open(dir)).value();
  auto model = std::move(Transformer::load(spec, options, *checkpoint, backend, nullptr)).value();
  const ModelNeeds needs = Transformer::needs(spec, options, backend.ops());
  ASSERT_EQ(backend.taken().size(), 3u) << "weights, workspace, logits";
  EXPECT_EQ(backend.taken()[0].bytes, needs.weights);
  EXPECT_EQ(backend.taken()[1].bytes, needs.workspace);
  EXPECT_EQ(backend.taken()[2].bytes, needs.logits);

  const int64_t blocks = kPlaces * options.blocks_per_sequence();
  Region kv = std::move(backend.device().reserve(static_cast<uint64_t>(blocks) * needs.kv_block)).value();
  model->attach_kv(kv.span(), blocks);
  std::memset(backend.taken()[1].begin(), kPaint, needs.workspace);
  std::memset(backend.taken()[2].begin(), kPaint, needs.logits);

  // Every place at once, a third of the step each, up to the session's last position.
  std::vector<int32_t> table(static_cast<size_t>(blocks)), tokens, positions, rows, samples;
  std::iota(table.begin(), table.end(), 0);
  std::vector<std::span<const int32_t>> tables;
  const auto each = static_cast<size_t>(options.blocks_per_sequence());
  for (int32_t place = 0; place < kPlaces; ++place) {
    tables.push_back(std::span<const int32_t>(table).subspan(static_cast<size_t>(place) * each, each));
    for (int64_t i = 0; i < kStep / kPlaces; ++i) {
      tokens.push_back(static_cast<int32_t>((place * 31 + i * 7) % spec.vocab));
      positions.push_back(static_cast<int32_t>(session - kStep / kPlaces + i));
      rows.push_back(place);
    }
    samples.push_back(static_cast<int32_t>(tokens.size()) - 1);
  }
  ASSERT_TRUE(model->forward({.tokens = tokens, .positions = positions, .rows = rows, .block_tables = tables,
                              .sample_rows = samples}).ok());

  EXPECT_EQ(backend.taken().size(), 4u) << "the forward takes no memory of its own";
  for (const auto& taken : backend.taken()) EXPECT_TRUE(taken.fence_whole()) << taken.bytes << " bytes were overrun";
  const auto used = [](const WatchedDevice::Taken& taken) {
    uint64_t end = taken.bytes;
    while (end > 0 && taken.begin()[end - 1] == kPaint) --end;
    return end;
  };
  EXPECT_GT(used(backend.taken()[1]) + 64, needs.workspace) << "and what was counted is what is used, to the last line";
  EXPECT_GT(used(backend.taken()[2]) + 64, needs.logits);
}

INSTANTIATE_TEST_SUITE_P(Traps, WorkspaceGrows, testing::Values(16, 48, 256));

}  // namespace
}  // namespace weir
