// Gateway: the one place where io threads and the engine thread meet.
//
// An admitted sequence has a slot (index in [0, slots)), which is the admission ticket: admission/ hands it out,
// the io thread that answers the request holds it until its last byte is written. The protocol per slot:
//
//   io:     fill channel(slot), then submit(slot)
//   engine: publish_tokens(slot) any number of times (coalesced), then finish(slot, reason) exactly once;
//           it never touches the channel after finish()
//   io:     may cancel(slot) at any time before it has seen the finish; after it has seen it and written the last
//           byte: release(slot), and only then give the slot back to admission/
//
// After close_inbox(), the engine's last look, submit() is refused and cancel() and release() have no effect: no
// one is left to read them.
//
// The inbox is first in, first out, so a late cancel of a finished slot is read before the slot's next submit.
// Capacities are sized so that no push can fail: four commands (the late cancel and the release of one occupant,
// the submit and the cancel of the next) and two notices per slot at most.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory_resource>
#include <vector>

#include "base/clock.h"
#include "base/ring.h"
#include "message/classes.h"
#include "message/controls.h"
#include "message/events.h"
#include "message/tenants.h"
#include "message/wait_view.h"

namespace weir {

using SlotIndex = int32_t;

// What a request asks of the engine; shared (read-only) by its sequences, which is why it is a shared_ptr in the
// io thread's hands. The engine sees plain pointers that stay valid until it has called finish().
struct RequestSpec {
  uint64_t id = 0;
  std::vector<int32_t> prompt;  // token ids, not empty
  SamplingParams params;
  Micros arrival_us = 0;        // when its head was read: time to first token starts here
  Micros queue_deadline_us = 0; // it must have started by then
  Micros deadline_us = 0;       // its last token must have been computed by then; 0: no deadline
  int32_t tenant = 0;           // [0, kTenantsMax)
  int32_t class_index = 0;      // [0, classes)
  // prompt + max_tokens are reserved when it starts and it is never preempted; else blocks are taken as it grows.
  bool guaranteed = false;
};

using EventRing = SpscRing<TokenEvent>;

// State of one slot that both sides see.
struct Channel {
  const RequestSpec* spec = nullptr;  // io writes before submit
  int32_t choice_index = 0;           // which of n; part of the seed
  int32_t io_index = 0;               // which io thread answers
  void* io_tag = nullptr;             // io's own; the engine never looks
  EventRing* ring = nullptr;          // engine writes before the first notice; io pops
  std::atomic<bool> noticed{false};   // a kNews notice is under way
  std::atomic<bool> wants_room{false};  // the engine found the ring full and is to be told of room
  Micros started_us = 0;              // engine: when it got its running place; 0 if it never did
  int32_t prompt_tokens_done = 0;     // engine: how far the prefill got when it ended
  int32_t cached_tokens = 0;          // engine: of the prompt, shared and not computed; set with started_us
  WaitView wait;                      // engine writes while it waits; any thread reads
};

struct Command {
  enum class Kind : uint8_t { kSubmit, kCancel, kRelease } kind;
  SlotIndex slot;
};

struct Notice {
  SlotIndex slot = 0;
  FinishReason finish = FinishReason::kNone;  // kNone: there are tokens in the ring; else: and no more will come
};

// How full the engine is, for admission/ and /metrics; written by the engine after each step, read anywhere.
struct LoadGauges {
  std::atomic<int32_t> running{0};          // places in use, including finished ones whose last byte is unwritten
  std::atomic<bool> head_blocked{false};    // the oldest waiting sequence waits for KV blocks, not for a place
  std::atomic<int32_t> waiting{0};
  std::atomic<int64_t> waiting_tokens{0};       // prompt tokens of the waiting
  std::atomic<int64_t> running_prompt_tokens{0}; // prompt tokens of those that hold a running place
  std::atomic<int64_t> blocks_live{0}, blocks_free{0}, blocks_evictable{0}, blocks_total{0};
  std::atomic<uint64_t> steps{0}, prompt_tokens{0}, output_tokens{0}, preemptions{0}, recomputed_tokens{0},
      ring_stalls{0}, finished_sequences{0};
  std::atomic<uint64_t> started_sequences{0};  // got a place; a resumed one is not counted again
  std::atomic<uint64_t> overflows{0};          // preemptions of sequences that the forecast had let in
  std::atomic<uint64_t> prefix_lookup_tokens{0}, prefix_hit_tokens{0}, prefix_waits{0}, prefix_evictions{0};
  std::atomic<uint64_t> spec_drafted_tokens{0}, spec_accepted_tokens{0};  // guesses computed; of these, right and published
  std::atomic<uint64_t> spec_steps{0};         // steps with drafts
  std::atomic<uint64_t> spec_switched_off{0};  // times a sequence stopped drafting because it did not pay
  std::atomic<uint64_t> block_copies{0};       // on write to a shared block, and when the pool shrank
  std::atomic<uint64_t> pool_resizes{0};
  std::atomic<uint64_t> finished_by_reason[kFinishReasons]{};  // indexed by FinishReason
  // By class: how many wait, and how long one that came now would wait for its start; 0: not at all, or not known.
  std::atomic<int32_t> waiting_by_class[kClassesMax]{};
  std::atomic<int64_t> start_in_us_p50[kClassesMax]{}, start_in_us_p90[kClassesMax]{};
  // How right that was: actual over predicted, in thousandths; and the share that started by its p90. 0: none yet.
  std::atomic<int64_t> start_ratio_milli_p50{0}, start_ratio_milli_p90{0}, start_within_p90_milli{0};
  std::atomic<int64_t> step_error_milli_p50{0}, step_error_milli_p90{0};  // |predicted / took - 1| of steps
  std::atomic<int64_t> step_pace_milli{1000};  // took over predicted, smoothed: 2000 is twice as slow as learnt
  std::atomic<int64_t> step_drag_milli{
      1000};                              // wall time over processor time of steps, smoothed: others have the rest
  std::atomic<uint64_t> prefill_cuts{0};  // steps that were late, after which prefill beside decodes got less
  std::atomic<bool> queue_stands{false};       // CoDel expires urgent work
  std::atomic<int64_t> prefill_us_per_1k_tokens{0};  // of a prompt alone, as the step-time model sees it; 0: not known
  std::atomic<uint64_t> passes{0};             // starts before one that was next and did not fit
  std::atomic<uint64_t> place_preemptions{0};  // of background work by urgent work, for its place
  std::atomic<uint64_t> lifts{0};              // sequences that aged into the next higher class
  std::atomic<int64_t> step_us_total{0};
  std::atomic<int64_t> finish_interval_us{0};  // smoothed time between sequence ends while busy; 0: not known yet
  std::atomic<int64_t> heartbeat_us{0};        // Clock time of the last turn of the step loop
};

class Gateway {
 public:
  // slots: all sequences that may be admitted at once (running + waiting). running_max: rings, one per place.
  // memory: where all of it lives, an arena in the server; outlives the Gateway.
  Gateway(int slots, int running_max, int io_threads, int ring_events,
          std::pmr::memory_resource* memory = std::pmr::get_default_resource());

  static constexpr int kRingEvents = 64;
  // Bytes that the constructor takes from an arena, for the plan: runs the constructor to count them.
  static uint64_t bytes(int slots, int running_max, int io_threads, int ring_events);

  int slots() const { return static_cast<int>(channels_.size()); }
  int io_threads() const { return static_cast<int>(notices_.size()); }
  Channel& channel(SlotIndex slot) { return channels_[static_cast<size_t>(slot)]; }
  Controls& controls() { return controls_; }
  const Channel& channel(SlotIndex slot) const { return channels_[static_cast<size_t>(slot)]; }
  EventRing& ring(int place) { return rings_[static_cast<size_t>(place)]; }
  LoadGauges& load() { return load_; }
  const LoadGauges& load() const { return load_; }
  TenantBoard& tenants() { return tenants_; }
  const TenantBoard& tenants() const { return tenants_; }

  // io threads.
  // RETURNS: false once the engine has looked for the last time: the sequence has not begun and its slot gets no
  // finish.
  bool submit(SlotIndex slot) { return push({Command::Kind::kSubmit, slot}); }
  void cancel(SlotIndex slot) { push({Command::Kind::kCancel, slot}); }
  void release(SlotIndex slot) { push({Command::Kind::kRelease, slot}); }
  // After events were popped from the slot's ring: wakes the engine where it waits for the room.
  void note_read(SlotIndex slot);
  // Pops the next notice for this io thread; clears the coalescing flag. False when there is none.
  bool next_notice(int io_index, Notice* notice);

  // Engine thread.
  // out: a vector of Command, empty, reserved to command_capacity().
  template <class Vector>
  void drain_commands(Vector* out) {
    signal_seen_ = signal_.load(std::memory_order_acquire);
    inbox_.drain_into(out);
  }
  // The engine's last look: as drain_commands(), and no command comes in any more.
  template <class Vector>
  void close_inbox(Vector* out) {
    inbox_.drain_and_close(out);
  }
  // Whether the slot's ring has room; where it has none, note_read() will wake the engine.
  // REQUIRES: the sequence has started.
  bool has_room(SlotIndex slot);
  size_t command_capacity() const { return inbox_.capacity(); }
  // Four commands per slot can be under way: the late cancel and the release of one occupant, the submit and the cancel
  // of the next. A second release needs a finish, and a finish needs the inbox to have been read.
  static constexpr size_t command_capacity(int slots) { return static_cast<size_t>(slots) * 4; }
  void publish_tokens(SlotIndex slot);
  void finish(SlotIndex slot, FinishReason reason);
  void wake_io();  // after a step: wakes each io thread that has new notices
  // Sleeps until a command, poke() or timeout. RETURNS at once where one came since the last drain_commands(): what
  // the engine has not looked at cannot be slept through.
  void wait_for_command(Micros timeout_us);

  void poke();  // any thread: wakes the engine (shutdown)
  // Called with an io index, on the engine thread; must only post to that io thread. Set before the engine runs.
  void set_io_waker(std::function<void(int)> waker) { io_waker_ = std::move(waker); }

 private:
  bool push(Command command);
  void push_notice(int io_index, Notice notice);

  std::pmr::vector<Channel> channels_;
  std::pmr::deque<EventRing> rings_;           // a deque never moves an element
  std::pmr::deque<SpscRing<Notice>> notices_;  // one per io thread
  std::pmr::vector<char> io_pending_;          // engine's own: notices since the last wake_io
  BoundedInbox<Command> inbox_;
  std::atomic<uint32_t> signal_{0};
  uint32_t signal_seen_ = 0;  // engine's own: at the last drain_commands()
  LoadGauges load_;
  TenantBoard tenants_;
  Controls controls_;
  std::function<void(int)> io_waker_;
};

}  // namespace weir
