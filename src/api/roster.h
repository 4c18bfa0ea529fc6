// Roster: who holds a slot, by name: what GET /admission shows.
//
// One entry per slot, written by the io thread that holds it when it submits and when it gives the slot back, read by
// any io thread. Entries lie in segments of kSegment with a mutex each, so that a reader of ten thousand slots never
// holds up a request for longer than it takes to look at one segment. Progress is relaxed atomics, without a lock. Owner:
// Service. Limits: the slots of the Gateway; nothing is allocated after construction but what collect() returns.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "message/gateway.h"

namespace weir::api {

class Roster {
 public:
  struct Entry {
    std::string_view request_id;  // lives until leave()
    int32_t tenant = 0, class_index = 0;
    int32_t choice = 0;           // of the request, counted over its prompts
    int32_t prompt_tokens = 0, max_tokens = 0;
    Micros arrival_us = 0;
  };
  // One sequence at the moment of looking.
  struct Seen {
    std::string request_id;
    Entry entry;                  // its request_id is not valid
    WaitReason why = WaitReason::kNone;  // kNone: it runs
    int32_t ahead = 0;
    Micros start_p50_us = 0, start_p90_us = 0, first_token_p50_us = 0, first_token_p90_us = 0;  // 0: not known
    int32_t output_tokens = 0;
  };
  struct View {
    std::vector<Seen> seen;       // running ones first, then the waiting in their order; older ones first
    size_t running = 0, waiting = 0;  // all that match, shown or not
  };

  explicit Roster(int slots);
  static uint64_t bytes(int slots);  // what it takes, for the plan

  void enter(SlotIndex slot, const Entry& entry);
  void leave(SlotIndex slot);
  void note_progress(SlotIndex slot, int32_t output_tokens) {  // the slot's io thread
    progress_[static_cast<size_t>(slot)].store(output_tokens, std::memory_order_relaxed);
  }

  // At most `most` of those of `tenant`; of everybody without one.
  View collect(const Gateway& gateway, std::optional<int32_t> tenant, size_t most) const;

 private:
  static constexpr size_t kSegment = 256;
  struct Slot {
    Entry entry;
    bool taken = false;
  };
  struct Key {  // of the order in which entries are shown
    bool waits;
    int32_t ahead;
    Micros arrival_us;
    SlotIndex slot;
    auto operator<=>(const Key&) const = default;
  };
  std::mutex& mutex_of(size_t slot) const { return mutexes_[slot / kSegment]; }
  bool matches(size_t slot, std::optional<int32_t> tenant) const;  // REQUIRES: its segment's mutex held
  std::vector<Key> keys(const Gateway& gateway, std::optional<int32_t> tenant) const;

  std::vector<Slot> slots_;
  const std::unique_ptr<std::atomic<int32_t>[]> progress_;
  const std::unique_ptr<std::mutex[]> mutexes_;
};

}  // namespace weir::api
