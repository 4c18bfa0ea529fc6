#include "model/weight_cache_header.h"

#include <fmt/format.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <bit>
#include <cstring>

#include "base/check.h"
#include "base/units.h"

namespace weir {
namespace {

constexpr std::array<char, 8> kMagic = {'w', 'e', 'i', 'r', 'w', 't', 's', '1'};  // the last is the file's version
constexpr uint64_t kPagePlace = ~uint64_t{0};                                    // beyond every chunk and the table
constexpr size_t kDigestOffset = kCachePageBytes - sizeof(uint64_t);
static_assert(std::endian::native == std::endian::little, "the page is copied as it lies in memory");

// Goes through the fields of a page in their order, writing or reading each.
class FieldWriter {
 public:
  explicit FieldWriter(CachePage* page) : page_(*page) {}
  template <class T>
  void value(const T& field) {
    std::memcpy(page_.data() + at_, &field, sizeof field);
    at_ += sizeof field;
  }
  void name(const std::string& text) {
    WEIR_CHECK(text.size() < kCacheNameBytes);
    std::memcpy(page_.data() + at_, text.data(), text.size());
    at_ += kCacheNameBytes;
  }

 private:
  CachePage& page_;
  size_t at_ = 0;
};

class FieldReader {
 public:
  explicit FieldReader(std::span<const std::byte> page) : page_(page) {}
  template <class T>
  void value(T* field) {
    std::memcpy(field, page_.data() + at_, sizeof *field);
    at_ += sizeof *field;
  }
  // RETURNS: false unless the text ends inside its field and is printable.
  bool name(std::string* text) {
    const auto* from = reinterpret_cast<const char*>(page_.data() + at_);
    text->assign(from, strnlen(from, kCacheNameBytes));
    at_ += kCacheNameBytes;
    for (const char c : *text) {
      if (c < ' ' || c > '~') return false;
    }
    return text->size() < kCacheNameBytes;
  }

 private:
  std::span<const std::byte> page_;
  size_t at_ = 0;
};

uint64_t page_digest(std::span<const std::byte> page) { return cache_digest(page.first(kDigestOffset), kPagePlace); }

}  // namespace

uint64_t cache_digest(std::span<const std::byte> bytes, uint64_t place) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), place);
}

CachePage write_cache_page(const WeightCacheHeader& header) {
  CachePage page{};
  FieldWriter out(&page);
  out.value(kMagic);
  out.value(header.key.order_version);
  out.value(header.key.pack_version);
  out.value(header.key.model);
  out.value(header.key.bytes);
  out.value(header.chunk_bytes);
  out.value(header.table_digest);
  out.name(header.key.isa);
  out.name(header.key.format);
  const uint64_t digest = page_digest(page);
  std::memcpy(page.data() + kDigestOffset, &digest, sizeof digest);
  return page;
}

Result<WeightCacheHeader> parse_cache_page(std::span<const std::byte> page) {
  if (page.size() < kCachePageBytes) return data_loss("it is cut short, inside its first page");
  page = page.first(kCachePageBytes);
  FieldReader in(page);
  std::array<char, 8> magic{};
  in.value(&magic);
  if (std::memcmp(magic.data(), kMagic.data(), kMagic.size() - 1) != 0) return data_loss("it is not a weight cache");
  if (magic != kMagic) return data_loss("it was written by another version of weir");
  uint64_t digest = 0;
  std::memcpy(&digest, page.data() + kDigestOffset, sizeof digest);
  if (digest != page_digest(page)) return data_loss("its first page is damaged");
  WeightCacheHeader header;
  in.value(&header.key.order_version);
  in.value(&header.key.pack_version);
  in.value(&header.key.model);
  in.value(&header.key.bytes);
  in.value(&header.chunk_bytes);
  in.value(&header.table_digest);
  if (!in.name(&header.key.isa) || !in.name(&header.key.format)) return data_loss("its first page makes no sense");
  return header;
}

Status compare_cache_keys(const WeightCacheKey& found, const WeightCacheKey& wanted) {
  if (found.order_version != wanted.order_version || found.pack_version != wanted.pack_version) {
    return failed_precondition(fmt::format("its layout is version {}.{} and this weir packs version {}.{}",
                                           found.order_version, found.pack_version, wanted.order_version,
                                           wanted.pack_version));
  }
  if (found.isa != wanted.isa) {
    return failed_precondition(fmt::format("it was packed for {} and this server runs {}", found.isa, wanted.isa));
  }
  if (found.format != wanted.format) {
    return failed_precondition(fmt::format("its weights are {} and this server wants {}", found.format, wanted.format));
  }
  if (found.model != wanted.model) return failed_precondition("it is of other weights, or the model's files were changed");
  if (found.bytes != wanted.bytes) {
    return failed_precondition(fmt::format("it has {} of weights and the plan says {}", format_bytes(found.bytes),
                                           format_bytes(wanted.bytes)));
  }
  return ok_status();
}

}  // namespace weir
