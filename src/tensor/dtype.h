// Element types: names and sizes. Values; any thread. Holds no inline function on purpose, so that the translation
// units compiled for one instruction set may include it (tensor/convert.h and parse_dtype.h are not for them).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace weir {

enum class DType : uint8_t {
  kF32,   // IEEE binary32
  kF16,   // IEEE binary16, held in uint16_t
  kBF16,  // the upper half of a binary32, held in uint16_t
  kI8,
  kI32,
};

// How a weight matrix is stored once packed for `Ops::linear` (kernels/ops.h). Activations stay f32.
enum class WeightFormat : uint8_t {
  kF32,
  kF16,
  kBF16,
  kInt8G32,  // int8 in [-127, 127], one f16 scale per 32 consecutive inputs of a row: 8.5 bits a weight
  // int4: scale * (q - zero) with q in [0, 15]. zero is 8, or, where the name says Z, of the group's own.
  kInt4G32,   // a scale per 32 inputs: 4.5 bits
  kInt4G64,   // per 64: 4.25 bits
  kInt4ZG32,  // a scale and a zero per 32: 4.75 bits
  kInt4ZG64,  // per 64: 4.5 bits, padding included
};
constexpr int kWeightFormats = 8;

// How the KV cache stores keys and values (kernels/kv_layer.h has the layout).
enum class KvFormat : uint8_t {
  kF32,
  kF16,
  kBF16,
  kInt8,  // 0..255, with an f16 scale and a zero point per token and head, for keys and for values
  kInt4,  // 0..15, likewise; two numbers a byte
};

size_t dtype_bytes(DType dtype);                    // bytes of one element
std::string_view dtype_name(DType dtype);           // "f32", "f16", "bf16", "i8", "i32"; static storage
// "f32", "f16", "bf16", "int8", "int4", "int4-g64", "int4z", "int4z-g64"; static storage
std::string_view weight_format_name(WeightFormat);
bool weight_is_quantised(WeightFormat);
int kv_format_bits(KvFormat format);                // bits of one number, without its scale
bool kv_is_quantised(KvFormat format);
std::string_view kv_format_name(KvFormat format);  // "f32", "f16", "bf16", "int8", "int4"; static storage

}  // namespace weir
