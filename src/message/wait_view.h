// WaitView: why a sequence waits and until when, as the engine forecasts it.
//
// One per slot. Written by the engine at most every few steps, read by any io thread for /admission and for errors; the
// fields are relaxed atomics, so a reader may see halves of two forecasts, which is good enough to look at. Times are of
// the server's Clock. Valid only while the sequence waits.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/clock.h"

namespace weir {

enum class WaitReason : uint8_t {
  kNone,         // it does not wait
  kNew,          // submitted, not looked at yet
  kOrder,        // others are before it
  kPlace,        // it is next and no place is free
  kBlocks,       // it is next and the KV pool has no room for it yet
  kPrefix,       // another sequence is computing the beginning of its prompt
  kTenantLimit,  // its tenant runs as many as it may, or holds its share of the pool
  kPreempted,    // it ran and gave way; it goes on when there is room
};
inline constexpr int kWaitReasons = static_cast<int>(WaitReason::kPreempted) + 1;
const char* wait_reason_name(WaitReason reason);  // "order", "place", ...

struct WaitView {
  std::atomic<WaitReason> reason{WaitReason::kNone};
  std::atomic<int32_t> ahead{0};                 // sequences before it in the order of starting
  std::atomic<Micros> start_p50_us{0}, start_p90_us{0};              // 0: not known
  std::atomic<Micros> first_token_p50_us{0}, first_token_p90_us{0};  // 0: not known

  // Nothing is known yet: by the io thread before a submit, by the engine when the sequence joins the queue.
  void begin() {
    reason.store(WaitReason::kNew, std::memory_order_relaxed);
    ahead.store(0, std::memory_order_relaxed);
    for (auto* time : {&start_p50_us, &start_p90_us, &first_token_p50_us, &first_token_p90_us}) {
      time->store(0, std::memory_order_relaxed);
    }
  }
};

}  // namespace weir
