#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tensor/convert.h"
#include "tensor/parse_dtype.h"
#include "tensor/view.h"

namespace weir {
namespace {

TEST(DType, NamesSizesAndSpellings) {
  EXPECT_EQ(dtype_bytes(DType::kF32), 4u);
  EXPECT_EQ(dtype_bytes(DType::kBF16), 2u);
  EXPECT_EQ(dtype_bytes(DType::kI8), 1u);
  EXPECT_EQ(kv_format_bits(KvFormat::kBF16), 16);
  EXPECT_EQ(kv_format_bits(KvFormat::kInt4), 4);
  EXPECT_EQ(kv_format_name(KvFormat::kInt8), "int8");
  EXPECT_TRUE(kv_is_quantised(KvFormat::kInt4) && !kv_is_quantised(KvFormat::kF16));
  EXPECT_EQ(parse_dtype("torch.bfloat16").value(), DType::kBF16);
  EXPECT_EQ(parse_dtype("F16").value(), DType::kF16);
  EXPECT_EQ(parse_weight_format("int8").value(), WeightFormat::kInt8G32);
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kI8, DType::kI32}) {
    EXPECT_EQ(parse_dtype(dtype_name(dtype)).value(), dtype);
  }
  for (const char* bad : {"", "fp8", "torch.", "float64", "f32 "}) EXPECT_FALSE(parse_dtype(bad).ok()) << bad;
  EXPECT_LT(parse_weight_format(std::string(100000, 'x')).status().message().size(), 200u);
}

TEST(Convert, EveryF16SurvivesTheWayThroughF32) {
  for (uint32_t half = 0; half < 65536; ++half) {
    const float wide = f32_from_f16(static_cast<uint16_t>(half));
    if (std::isnan(wide)) {
      EXPECT_TRUE(std::isnan(f32_from_f16(f16_from_f32(wide))));
      continue;
    }
    ASSERT_EQ(f16_from_f32(wide), half);
  }
}

// Between neighbours the nearer wins, exactly half way the even one.
TEST(Convert, F16RoundsToNearestEven) {
  for (uint32_t half = 0; half < 0x7bff; ++half) {
    const double low = f32_from_f16(static_cast<uint16_t>(half)),
                 high = f32_from_f16(static_cast<uint16_t>(half + 1));
    const float middle = static_cast<float>((low + high) / 2);  // 12 significant bits: exact
    ASSERT_EQ(f16_from_f32(middle), half + (half & 1)) << half;
    ASSERT_EQ(f16_from_f32(std::nextafter(middle, 0.0f)), half);
    ASSERT_EQ(f16_from_f32(std::nextafter(middle, 1e9f)), half + 1);
    ASSERT_EQ(f16_from_f32(-middle), (half + (half & 1)) | 0x8000u);
  }
  EXPECT_EQ(f16_from_f32(65519.99f), 0x7bff);
  EXPECT_EQ(f16_from_f32(65520.0f), 0x7c00);
  EXPECT_EQ(f16_from_f32(std::numeric_limits<float>::infinity()), 0x7c00);
}

TEST(Convert, Bf16RoundsToNearestEven) {
  for (uint32_t half = 0; half < 0x7f80; ++half) {
    const uint32_t bits = half << 16;
    ASSERT_EQ(bf16_from_f32(std::bit_cast<float>(bits)), half);
    ASSERT_EQ(bf16_from_f32(std::bit_cast<float>(bits + 0x8000u)), half + (half & 1));
    ASSERT_EQ(bf16_from_f32(std::bit_cast<float>(bits + 0x7fffu)), half);
    ASSERT_EQ(bf16_from_f32(std::bit_cast<float>(bits + 0x8001u)), half + 1);
  }
  EXPECT_TRUE(std::isnan(f32_from_bf16(bf16_from_f32(std::bit_cast<float>(0x7f800001u)))));
}

TEST(View, PartsKeepTheStride) {
  const MatView<float> x{DevicePtr(1024), 10, 8, 12};
  EXPECT_EQ(x.row_part(2, 3).data.address(), 1024u + 2 * 12 * 4);
  EXPECT_EQ(x.col_part(4, 4).data.address(), 1024u + 16);
  EXPECT_EQ(x.col_part(4, 4).row_stride, 12);
  const MatView<const float> readable = x;
  EXPECT_EQ(readable.rows, 10);
  EXPECT_DEATH(x.row_part(8, 3), "begin");
  EXPECT_DEATH(mat_view<float>(DeviceSpan{DevicePtr(64), 15}, 2, 2), "bytes");
}

}  // namespace
}  // namespace weir
