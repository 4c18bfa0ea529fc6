// Which connection gives way to which: the ranks of a Loop.
#include <algorithm>

#include "http/connection.h"
#include "http/loop.h"

namespace weir::http {
namespace {
constexpr size_t kHalfHeadsLookedAt = 256;  // of a rank, oldest first
}  // namespace

bool Loop::empty() const {
  return std::all_of(ranks_.begin(), ranks_.end(), [](const Connections& one) { return one.empty(); });
}

void Loop::move(Connections::iterator place, Rank from, Rank to) {
  of(to).splice(of(to).end(), of(from), place);
  if (to == Rank::kLingering && of(to).size() > kLingerMax)
    of(to).front()->cut(Gone::kNo);  // it had the longest time
}

void Loop::remove(Connections::iterator place, Rank rank) { of(rank).erase(place); }

bool Loop::give_way(Rank rank) {
  if (of(rank).empty()) return false;
  const std::shared_ptr<Connection> oldest = of(rank).front();
  Counters::add(&counters_.gave_way);
  oldest->cut(Gone::kNo);
  return true;
}

std::optional<ConnectionSlot> Loop::take_slot() {
  std::optional<ConnectionSlot> slot = ConnectionSlot::try_take(&shared_->slots);
  if (slot || (!give_way(Rank::kStranger) && !give_way(Rank::kIdle))) return slot;
  return ConnectionSlot::try_take(&shared_->slots);
}

// For a connection that was just accepted. What cannot give way works; then there is a spare place for long enough
// to ask how the server is. RETURNS: the rank; *slot stays empty where another io thread has all spare places.
Rank Loop::choose_slot(std::optional<ConnectionSlot>* slot) {
  if ((*slot = take_slot())) return Rank::kStranger;
  *slot = ConnectionSlot::try_take(&shared_->spare_slots);
  if (!*slot && give_way(Rank::kSpare)) *slot = ConnectionSlot::try_take(&shared_->spare_slots);
  return *slot ? Rank::kSpare : Rank::kBusy;
}

bool Loop::drop_half_head(const Connection* asking) {
  for (const Rank rank : {Rank::kSpare, Rank::kStranger, Rank::kIdle}) {
    size_t looked_at = 0;
    for (const auto& connection : of(rank)) {
      if (connection.get() != asking && connection->give_up_half_head()) return true;
      if (++looked_at == kHalfHeadsLookedAt) break;
    }
  }
  return false;
}

}  // namespace weir::http
