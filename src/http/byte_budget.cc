#include "http/byte_budget.h"

#include <functional>

#include "base/check.h"

namespace weir::http {

ByteShare share_of_group(int group) {
  WEIR_CHECK(group >= 0 && static_cast<size_t>(group) < kGroupsMax);
  return static_cast<ByteShare>(group);
}

ByteShare share_of_peer(std::string_view peer) {
  return static_cast<ByteShare>(kGroupsMax + std::hash<std::string_view>()(peer) % kGroupsMax);
}

ByteBudget::ByteBudget(size_t bytes_max, size_t small_reserve_bytes)
    : bytes_max_(bytes_max),
      reserve_bytes_(small_reserve_bytes),
      shares_(std::make_unique<std::atomic<size_t>[]>(kByteShares)) {
  WEIR_CHECK(reserve_bytes_ <= bytes_max_);
}

bool ByteBudget::try_take(size_t bytes, ByteShare share, bool small) {
  const size_t limit = small ? bytes_max_ : bytes_max_ - reserve_bytes_;
  size_t used = used_.load(std::memory_order_relaxed);
  do {
    if (bytes > limit || used > limit - bytes) return false;
  } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
  const size_t own = shares_[share].fetch_add(bytes, std::memory_order_relaxed) + bytes;
  if (within_share(own, used + bytes)) return true;
  give(bytes, share);
  return false;
}

void ByteBudget::give(size_t bytes, ByteShare share) {
  shares_[share].fetch_sub(bytes, std::memory_order_relaxed);
  used_.fetch_sub(bytes, std::memory_order_relaxed);
}

bool ByteBudget::would_fit(size_t bytes, ByteShare share) const {
  const size_t limit = bytes_max_ - reserve_bytes_, used = used_bytes();
  if (bytes > limit || used > limit - bytes) return false;
  return within_share(shares_[share].load(std::memory_order_relaxed) + bytes, used + bytes);
}

}  // namespace weir::http
