// Fuzzes the first page of a weight cache. A digest at the page's end keeps random bytes out, so it is put right first
// for inputs that begin with 'd'.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/check.h"
#include "model/weight_cache_header.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const bool repair = data[0] == 'd';
  weir::CachePage page{};
  const size_t count = size - 1 < page.size() ? size - 1 : page.size();
  std::memcpy(page.data(), data + 1, count);
  std::span<const std::byte> bytes = page;
  if (repair) {
    constexpr size_t kDigestAt = weir::kCachePageBytes - sizeof(uint64_t);
    std::memcpy(page.data(), "weirwts1", 8);
    const uint64_t digest = weir::cache_digest(bytes.first(kDigestAt), ~uint64_t{0});
    std::memcpy(page.data() + kDigestAt, &digest, sizeof digest);
  } else {
    bytes = bytes.first(count);
  }
  const auto header = weir::parse_cache_page(bytes);
  if (!header.ok()) {
    WEIR_CHECK(!header.status().message().empty());
    return 0;
  }
  // What was read can be written and read again, and differs from nothing but other keys.
  const auto again = weir::parse_cache_page(weir::write_cache_page(*header));
  WEIR_CHECK(again.ok() && again->table_digest == header->table_digest && again->chunk_bytes == header->chunk_bytes);
  WEIR_CHECK(weir::compare_cache_keys(again->key, header->key).ok());
  weir::WeightCacheKey other = header->key;
  other.model[0] ^= 1;
  WEIR_CHECK(!weir::compare_cache_keys(header->key, other).ok());
  return 0;
}
