#include "tensor/parse_dtype.h"

#include <algorithm>
#include <string>

#include "base/check.h"

namespace weir {
namespace {

std::string lower_without_torch(std::string_view word) {
  std::string low(word.substr(0, 32));
  std::transform(low.begin(), low.end(), low.begin(),
                 [](unsigned char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  return low.starts_with("torch.") ? low.substr(6) : low;
}

}  // namespace

size_t dtype_bytes(DType dtype) {
  switch (dtype) {
    case DType::kF32:
    case DType::kI32:
      return 4;
    case DType::kF16:
    case DType::kBF16:
      return 2;
    case DType::kI8:
      return 1;
  }
  WEIR_CHECK_MSG(false, "unknown dtype");
  return 0;
}

std::string_view dtype_name(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "f32";
    case DType::kF16:
      return "f16";
    case DType::kBF16:
      return "bf16";
    case DType::kI8:
      return "i8";
    case DType::kI32:
      return "i32";
  }
  return "unknown";
}

std::string_view weight_format_name(WeightFormat format) {
  switch (format) {
    case WeightFormat::kF32:
      return "f32";
    case WeightFormat::kF16:
      return "f16";
    case WeightFormat::kBF16:
      return "bf16";
    case WeightFormat::kInt8G32:
      return "int8";
    case WeightFormat::kInt4G32:
      return "int4";
    case WeightFormat::kInt4G64:
      return "int4-g64";
    case WeightFormat::kInt4ZG32:
      return "int4z";
    case WeightFormat::kInt4ZG64:
      return "int4z-g64";
  }
  return "unknown";
}

bool weight_is_quantised(WeightFormat format) { return format >= WeightFormat::kInt8G32; }

int kv_format_bits(KvFormat format) {
  switch (format) {
    case KvFormat::kF32:
      return 32;
    case KvFormat::kF16:
    case KvFormat::kBF16:
      return 16;
    case KvFormat::kInt8:
      return 8;
    case KvFormat::kInt4:
      return 4;
  }
  WEIR_CHECK_MSG(false, "unknown KV format");
  return 0;
}

bool kv_is_quantised(KvFormat format) { return format == KvFormat::kInt8 || format == KvFormat::kInt4; }

std::string_view kv_format_name(KvFormat format) {
  switch (format) {
    case KvFormat::kF32:
      return "f32";
    case KvFormat::kF16:
      return "f16";
    case KvFormat::kBF16:
      return "bf16";
    case KvFormat::kInt8:
      return "int8";
    case KvFormat::kInt4:
      return "int4";
  }
  return "unknown";
}

Result<DType> parse_dtype(std::string_view word) {
  const std::string low = lower_without_torch(word);
  if (low == "f32" || low == "float32" || low == "float") return DType::kF32;
  if (low == "f16" || low == "float16" || low == "half") return DType::kF16;
  if (low == "bf16" || low == "bfloat16") return DType::kBF16;
  if (low == "i8" || low == "int8") return DType::kI8;
  if (low == "i32" || low == "int32") return DType::kI32;
  return invalid_argument("unknown dtype \"" + low + "\": use f32, f16, bf16, i8 or i32");
}

Result<WeightFormat> parse_weight_format(std::string_view word) {
  const std::string low = lower_without_torch(word);
  if (low == "f32" || low == "float32" || low == "float") return WeightFormat::kF32;
  if (low == "f16" || low == "float16" || low == "half") return WeightFormat::kF16;
  if (low == "bf16" || low == "bfloat16") return WeightFormat::kBF16;
  if (low == "int8" || low == "i8" || low == "q8") return WeightFormat::kInt8G32;
  for (const WeightFormat format :
       {WeightFormat::kInt4G32, WeightFormat::kInt4G64, WeightFormat::kInt4ZG32, WeightFormat::kInt4ZG64}) {
    if (low == weight_format_name(format)) return format;
  }
  return invalid_argument("unknown weight format \"" + low +
                          "\": use f32, f16, bf16, int8, int4, int4-g64, int4z or int4z-g64");
}

}  // namespace weir
