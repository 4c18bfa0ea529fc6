// ByteBudget: one number of bytes that many clients share, of which no single one can keep the others out.
//
// Owner: the Server and every charge jointly. Thread: any (relaxed atomics). Limits: bytes_max together; a share
// may grow only to kShareFactor times what is left free afterwards, so one alone gets three quarters, two get three
// sevenths each, and however many hold as much as they may, a newcomer finds room (dynamic thresholds: Choudhury
// and Hahne, "Dynamic queue length thresholds for shared-memory packet switches", 1998). A part can be kept for
// small takers. Never blocks: full is an answer.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "http/hooks.h"

namespace weir::http {

// Whose bytes: a group of the layer above, or one of as many bins that peers' addresses fall into.
using ByteShare = uint16_t;
inline constexpr size_t kByteShares = 2 * kGroupsMax;
ByteShare share_of_group(int group);  // REQUIRES: 0 <= group < kGroupsMax
ByteShare share_of_peer(std::string_view peer);

class ByteBudget {
 public:
  static constexpr size_t kShareFactor = 3;
  // small_reserve_bytes: of bytes_max, for takers that are small.
  explicit ByteBudget(size_t bytes_max, size_t small_reserve_bytes = 0);

  [[nodiscard]] bool try_take(size_t bytes, ByteShare share, bool small);
  void give(size_t bytes, ByteShare share);
  // A guess that may be out of date at once: for refusing early, never for accounting.
  bool would_fit(size_t bytes, ByteShare share) const;
  size_t used_bytes() const { return used_.load(std::memory_order_relaxed); }
  static constexpr size_t fixed_bytes() { return kByteShares * sizeof(std::atomic<size_t>); }

 private:
  bool within_share(size_t own_bytes, size_t used_bytes) const {
    return own_bytes <= kShareFactor * (bytes_max_ - used_bytes);
  }
  const size_t bytes_max_, reserve_bytes_;
  std::atomic<size_t> used_{0};
  const std::unique_ptr<std::atomic<size_t>[]> shares_;  // [kByteShares]
};

}  // namespace weir::http
