// The packed bytes are kept on disk (model/weight_cache.h): they may not change without their version.
#include "kernels/cpu/pack.h"

#include <gtest/gtest.h>

#include <cstring>
#include <span>
#include <vector>

#include "base/sha256.h"
#include "device/host/host_device.h"
#include "kernels/backend.h"

namespace weir::cpu {
namespace {

// [19, 70] small numbers of both signs: no multiple of a panel, a group or a line.
constexpr int64_t kRows = 19, kCols = 70;

std::vector<float> tiny_matrix() {
  std::vector<float> values(kRows * kCols);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(static_cast<int>(i * 37 % 101) - 50) / 64.0f;
  return values;
}

// On memory that holds `paint` before; in pieces of `piece` rows.
std::vector<uint8_t> packed(WeightFormat format, int paint, int64_t piece) {
  auto backend = std::move(make_backend("cpu", {.threads = 1, .isa = "", .pin = false})).value();
  const uint64_t bytes = backend->ops().packed_bytes(format, kRows, kCols);
  const Region region = std::move(backend->device().reserve(bytes)).value();
  auto* memory = host_ptr<uint8_t>(region.span().data);
  std::memset(memory, paint, bytes);
  const auto stream = std::move(backend->device().make_stream()).value();
  const std::vector<float> values = tiny_matrix();
  for (int64_t row = 0; row < kRows; row += piece) {
    backend->ops().pack_rows(*stream, {.rows = values.data() + row * kCols, .dtype = DType::kF32, .row_begin = row,
                                       .row_count = std::min(piece, kRows - row),
                                       .dst = {.format = format, .n = kRows, .k = kCols, .data = region.span()}});
  }
  return {memory, memory + bytes};
}

std::string digest(const std::vector<uint8_t>& bytes) {
  return hex_of(sha256({reinterpret_cast<const char*>(bytes.data()), bytes.size()}));
}

struct Golden {
  WeightFormat format;
  const char* digest;
};

// A digest that is not the one below says: raise kPackVersion, then write version and digests anew.
TEST(PackVersion, GoesUpWhenThePackedBytesChange) {
  ASSERT_EQ(kPackVersion, 1u) << "write the digests of the new version here";
  for (const Golden& golden : {Golden{WeightFormat::kF32, "bb70e619c91c7db2eb7b0400f7297cdd8586dc1077bcc44a3c8c8e549e6140bc"},
                               {WeightFormat::kF16, "78f7c21c48c1b58972add6c4df2fbaf41e305dc74fb1e5c620008a0ff45bdb0b"},
                               {WeightFormat::kBF16, "03bed5b98c3927e514e79b481be8f414f71eda577cb7051a3977ac5b6a5bfef0"},
                               {WeightFormat::kInt8G32, "7297162c56773e21c68cbc19d3ca9fcab85b23d41241ae949947ce46d555be6a"},
                               {WeightFormat::kInt4G32, "6a2fc2b586f76bec772b710651455ff0b9b46c7fec8a3aeb24eebb38a7da7598"},
                               {WeightFormat::kInt4G64, "7b93f6a5a4310963eba164a50908309592631f10587fc8a7cc1fd6cd394087bf"},
                               {WeightFormat::kInt4ZG32, "f662e93f93954eb75e65ede711211b0790508c182c53845f53206a7796225add"},
                               {WeightFormat::kInt4ZG64, "643bee723a106c79d12973b5ee5a77bb9a898c14b93c85f0d19a6289e5792724"}}) {
    EXPECT_EQ(digest(packed(golden.format, 0, kRows)), golden.digest) << weight_format_name(golden.format);
  }
}

// Regions are zero when they are reserved, so that two packings are the same to the last byte of padding.
TEST(PackVersion, TheSameBytesInAnyPieces) {
  for (int index = 0; index < kWeightFormats; ++index) {
    const auto format = static_cast<WeightFormat>(index);
    const std::vector<uint8_t> whole = packed(format, 0, kRows);
    for (const int64_t piece : {1, 3, 16, 18}) EXPECT_EQ(packed(format, 0, piece), whole) << piece;
    // What packing does not write stays as it was: nothing but padding, less than a line a panel.
    const std::vector<uint8_t> painted = packed(format, 0xa5, kRows);
    size_t untouched = 0;
    for (size_t i = 0; i < whole.size(); ++i) {
      if (painted[i] == whole[i]) continue;
      EXPECT_EQ(whole[i], 0);
      ++untouched;
    }
    EXPECT_LT(untouched, 2 * 64u) << weight_format_name(format);
  }
}

}  // namespace
}  // namespace weir::cpu
