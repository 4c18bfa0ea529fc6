// The first page of a weight cache file: what its bytes are of, and a digest of everything else. Pure functions.
//
// The file: this page of 4 KiB; the XXH3 digests of the chunks, padded with zeros to 4 KiB; the bytes themselves. All
// numbers little-endian. The page ends with its own digest, so a page that parses is one that weir wrote, whole; XXH3
// finds damage and not forgery, which is why only the operator's own files are read (weight_cache.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/sha256.h"
#include "base/status.h"

namespace weir {

constexpr uint64_t kCachePageBytes = 4096;
constexpr uint64_t kCacheChunkBytes = 4u << 20;  // read and checked at once; large enough for a disk's full speed
constexpr size_t kCacheNameBytes = 24;           // of an instruction set or a format, the closing zero included

// What packed weights follow from. Any difference makes them other weights.
struct WeightCacheKey {
  Sha256 model{};              // checkpoint_identity()
  uint32_t order_version = 0;  // kWeightOrderVersion
  uint32_t pack_version = 0;   // PackedLayout
  std::string isa, format;     // shorter than kCacheNameBytes
  uint64_t bytes = 0;          // of the weights
};

struct WeightCacheHeader {
  WeightCacheKey key;
  uint64_t chunk_bytes = kCacheChunkBytes;
  uint64_t table_digest = 0;  // of the padded table of digests
};

using CachePage = std::array<std::byte, kCachePageBytes>;

// REQUIRES: names shorter than kCacheNameBytes.
CachePage write_cache_page(const WeightCacheHeader& header);
// ERRORS: kDataLoss when it is not a page of this version of the file, or was damaged.
Result<WeightCacheHeader> parse_cache_page(std::span<const std::byte> page);
// ERRORS: kFailedPrecondition with the first thing that differs.
Status compare_cache_keys(const WeightCacheKey& found, const WeightCacheKey& wanted);

// Where things lie in the file of so many bytes of weights.
constexpr uint64_t cache_chunks(uint64_t bytes) { return (bytes + kCacheChunkBytes - 1) / kCacheChunkBytes; }
constexpr uint64_t cache_table_bytes(uint64_t bytes) {
  return (cache_chunks(bytes) * sizeof(uint64_t) + kCachePageBytes - 1) / kCachePageBytes * kCachePageBytes;
}
constexpr uint64_t cache_file_bytes(uint64_t bytes) { return kCachePageBytes + cache_table_bytes(bytes) + bytes; }

// XXH3 of 64 bits (Yann Collet), seeded with where it belongs, so that two pieces cannot change places.
uint64_t cache_digest(std::span<const std::byte> bytes, uint64_t place);

}  // namespace weir
