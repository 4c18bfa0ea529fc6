#include <fmt/format.h>

#include <charconv>

#include "base/units.h"
#include "memory/plan/plan.h"

namespace weir {
namespace {

Status bad_share(std::string_view text) {
  return invalid_argument(
      fmt::format("'{}' is no cache size; write a ratio of the memory that remains (0.8), a number "
                  "of blocks above 1 (128) or a size (8GiB)",
                  text.substr(0, 40)));
}

template <class T>
bool whole_number(std::string_view text, T* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

Result<CacheShare> parse_cache_share(std::string_view text) {
  CacheShare share;
  int64_t blocks = 0;
  if (text.find_first_not_of("0123456789.") != std::string_view::npos) {
    if (text.find_first_not_of("0123456789. kmgtibKMGTIB") != std::string_view::npos) return bad_share(text);
    const Result<uint64_t> bytes = parse_bytes(text);
    if (!bytes.ok() || *bytes == 0) return bad_share(text);
    share.kind = CacheShare::Kind::kBytes;
    share.amount = *bytes;
  } else if (whole_number(text, &blocks) && blocks > 1) {
    share.kind = CacheShare::Kind::kBlocks;
    share.amount = static_cast<uint64_t>(blocks);
  } else if (!whole_number(text, &share.ratio) || !(share.ratio > 0 && share.ratio <= 1)) {
    return bad_share(text);
  }
  return share;
}

std::string cache_share_text(const CacheShare& share) {
  switch (share.kind) {
    case CacheShare::Kind::kRatio:
      return fmt::format("{}", share.ratio);
    case CacheShare::Kind::kBlocks:
      return fmt::format("{}", share.amount);
    case CacheShare::Kind::kBytes:
      break;
  }
  return fmt::format("{}B", share.amount);
}

}  // namespace weir
