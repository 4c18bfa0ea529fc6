#include "http/shared.h"

#include <algorithm>

#include "base/check.h"

namespace weir::http {
namespace {
constexpr size_t kSmallReserveParts = 8;  // of the bodies' budget, one is kept for small ones
constexpr size_t kGroupFactor = ByteBudget::kShareFactor;
}  // namespace

bool SlotCount::try_take() {
  if (taken_.fetch_add(1, std::memory_order_relaxed) < most_) return true;
  give();
  return false;
}

std::optional<ConnectionSlot> ConnectionSlot::try_take(SlotCount* count) {
  if (!count->try_take()) return std::nullopt;
  return ConnectionSlot(count);
}

bool GroupConnections::try_take(int group, bool contended) {
  std::atomic<size_t>& own = groups_[share_of_group(group)];
  const size_t all = all_.fetch_add(1, std::memory_order_relaxed) + 1;
  const size_t mine = own.fetch_add(1, std::memory_order_relaxed) + 1;
  const size_t free = most_ - std::min(all, most_);
  if (!contended || mine <= std::max<size_t>(1, kGroupFactor * free)) return true;
  give(group);
  return false;
}

void GroupConnections::give(int group) {
  groups_[share_of_group(group)].fetch_sub(1, std::memory_order_relaxed);
  all_.fetch_sub(1, std::memory_order_relaxed);
}

bool PeerConnections::try_take(const std::string& peer) {
  if (most_ == 0) return true;
  std::lock_guard lock(mutex_);
  size_t& count = counts_[peer];
  if (count == most_) return false;
  ++count;
  return true;
}

void PeerConnections::give(const std::string& peer) {
  if (most_ == 0) return;
  std::lock_guard lock(mutex_);
  const auto found = counts_.find(peer);
  WEIR_CHECK(found != counts_.end());
  if (--found->second == 0) counts_.erase(found);
}

Shared::Shared(Options server_options, Handler request_handler, std::shared_ptr<ByteBook> byte_book,
               Hooks server_hooks)
    : options(std::move(server_options)),
      limits{options.head_bytes_max, options.body_bytes_max},
      handler(std::move(request_handler)),
      book(std::move(byte_book)),
      hooks(std::move(server_hooks)),
      bodies(std::make_shared<ByteBudget>(options.body_bytes_total_max,
                                          options.body_bytes_total_max / kSmallReserveParts)),
      heads(std::make_shared<ByteBudget>(options.head_bytes_total_max)),
      control(std::make_shared<ByteBudget>(options.control_bytes_total_max)),
      slots(options.connections_max),
      spare_slots(options.spare_connections_max),
      group_connections(options.connections_max),
      peer_connections(options.peer_connections_max) {}

}  // namespace weir::http
