#include "api/roster.h"

#include <algorithm>

namespace weir::api {
namespace {

size_t segments_of(size_t slots, size_t segment) { return (slots + segment - 1) / segment; }

}  // namespace

Roster::Roster(int slots)
    : slots_(static_cast<size_t>(slots)),
      progress_(std::make_unique<std::atomic<int32_t>[]>(static_cast<size_t>(slots))),
      mutexes_(std::make_unique<std::mutex[]>(segments_of(static_cast<size_t>(slots), kSegment))) {}

uint64_t Roster::bytes(int slots) {
  const auto count = static_cast<size_t>(slots);
  return count * (sizeof(Slot) + sizeof(std::atomic<int32_t>)) + segments_of(count, kSegment) * sizeof(std::mutex);
}

void Roster::enter(SlotIndex slot, const Entry& entry) {
  const auto i = static_cast<size_t>(slot);
  note_progress(slot, 0);
  std::lock_guard lock(mutex_of(i));
  slots_[i] = {.entry = entry, .taken = true};
}

void Roster::leave(SlotIndex slot) {
  const auto i = static_cast<size_t>(slot);
  std::lock_guard lock(mutex_of(i));
  slots_[i] = {};
}

bool Roster::matches(size_t slot, std::optional<int32_t> tenant) const {
  return slots_[slot].taken && (!tenant || slots_[slot].entry.tenant == *tenant);
}

std::vector<Roster::Key> Roster::keys(const Gateway& gateway, std::optional<int32_t> tenant) const {
  std::vector<Key> keys;
  for (size_t begin = 0; begin < slots_.size(); begin += kSegment) {
    std::lock_guard lock(mutex_of(begin));
    for (size_t i = begin; i < std::min(begin + kSegment, slots_.size()); ++i) {
      if (!matches(i, tenant)) continue;
      const WaitView& wait = gateway.channel(static_cast<SlotIndex>(i)).wait;
      const bool waits = wait.reason.load(std::memory_order_relaxed) != WaitReason::kNone;
      keys.push_back({waits, waits ? wait.ahead.load(std::memory_order_relaxed) : 0, slots_[i].entry.arrival_us,
                      static_cast<SlotIndex>(i)});
    }
  }
  return keys;
}

// Twice through the table: who is to be shown, then what is shown of them. A slot may have passed to somebody else in
// between, which is why whose it is is asked again.
Roster::View Roster::collect(const Gateway& gateway, std::optional<int32_t> tenant, size_t most) const {
  std::vector<Key> chosen = keys(gateway, tenant);
  View view;
  view.waiting = static_cast<size_t>(std::count_if(chosen.begin(), chosen.end(), [](const Key& key) { return key.waits; }));
  view.running = chosen.size() - view.waiting;
  const size_t shown = std::min(most, chosen.size());
  std::partial_sort(chosen.begin(), chosen.begin() + static_cast<std::ptrdiff_t>(shown), chosen.end());
  view.seen.reserve(shown);
  for (size_t k = 0; k < shown; ++k) {
    const auto i = static_cast<size_t>(chosen[k].slot);
    const WaitView& wait = gateway.channel(chosen[k].slot).wait;
    std::lock_guard lock(mutex_of(i));
    if (!matches(i, tenant)) continue;
    view.seen.push_back({.request_id = std::string(slots_[i].entry.request_id),
                         .entry = slots_[i].entry,
                         .why = wait.reason.load(std::memory_order_relaxed),
                         .ahead = wait.ahead.load(std::memory_order_relaxed),
                         .start_p50_us = wait.start_p50_us.load(std::memory_order_relaxed),
                         .start_p90_us = wait.start_p90_us.load(std::memory_order_relaxed),
                         .first_token_p50_us = wait.first_token_p50_us.load(std::memory_order_relaxed),
                         .first_token_p90_us = wait.first_token_p90_us.load(std::memory_order_relaxed),
                         .output_tokens = progress_[i].load(std::memory_order_relaxed)});
  }
  return view;
}

}  // namespace weir::api
