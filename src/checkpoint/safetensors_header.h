// The header of one .safetensors file: parsed and proved before any of its numbers is used.
//
// Pure; any thread; knows no files, so that a fuzzer can drive it. Format: 8 bytes little-endian N, N bytes of
// JSON object, then data (Hugging Face's safetensors README, "Format"). Memory is bounded by a small multiple of
// the header's length, which is capped at 100 MB as in the reference implementation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "tensor/dtype.h"

namespace weir {

inline constexpr uint64_t kHeaderBytesMax = 100'000'000;
inline constexpr size_t kRankMax = 8;
inline constexpr size_t kTensorNameBytesMax = 1024;

// Everything the format can store. The forward reads f32, f16 and bf16 alone; the others are listed.
enum class StoredDType : uint8_t {
  kBool,
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kU64,
  kI64,
  kF4,
  kF6E2M3,
  kF6E3M2,
  kF8E4M3,
  kF8E5M2,
  kF8E8M0,
  kF16,
  kBF16,
  kF32,
  kF64,
  kC64,
};

const char* stored_dtype_name(StoredDType dtype);  // as in the file: "BF16"
unsigned stored_dtype_bits(StoredDType dtype);     // 4..64
std::optional<StoredDType> parse_stored_dtype(std::string_view name);

struct TensorEntry {
  std::string name;
  StoredDType dtype = StoredDType::kU8;
  std::vector<int64_t> shape;  // outermost first; empty is a scalar; an extent may be 0
  uint64_t begin = 0;          // byte range in the file, not in the data part
  uint64_t end = 0;
};

// How many of a file's first bytes parse_header() wants to see: the length field and the header behind it.
// front: the file's first 8 bytes, or all of a shorter one. RETURNS: at most file_bytes.
uint64_t header_end(std::span<const std::byte> front, uint64_t file_bytes);

// RETURNS: every tensor, in file order. Proved: ranges lie inside the file, have exactly the bytes of dtype times
// shape, and cover the data part without overlap and without holes, as the format demands; names are unique.
// file: the file's first bytes, at least the whole header where file_bytes says that there is one.
// ERRORS: kDataLoss; a truncated file is called so.
Result<std::vector<TensorEntry>> parse_header(std::span<const std::byte> file, uint64_t file_bytes);

}  // namespace weir
