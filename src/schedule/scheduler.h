// Scheduler: which sequences run, which wait, who gets blocks, and what the next step computes.
//
// Owner and only caller: the engine thread. It has no clock, no I/O and no knowledge of the model: time comes in as
// an argument, tokens come in through commit(). After construction it never allocates.
//
// The rules, in the order in which plan_step() applies them:
//   1. Running sequences come first, oldest place first; a decode needs one token of the budget, a prefill as many
//      as are left. A prompt longer than the budget is cut into chunks, so a long prompt never blocks a decode.
//   2. A sequence that needs a block when none is free preempts the newest running one (recompute): its blocks are
//      freed, it keeps its place and its age and goes to the head of the queue. The oldest one always moves on, so
//      preemption cannot loop. A sequence alone in the pool that outgrows it ends with kLength.
//   3. The head of the queue starts when a place is free and the pool holds its whole known text plus one block for
//      each sequence that runs (so that starting it does not preempt at once). First come first served: nobody
//      passes the head.
// Every submitted slot gets exactly one finish (promise 2).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/clock.h"
#include "memory/blocks/block_pool.h"
#include "message/gateway.h"
#include "schedule/step.h"
#include "schedule/waiting_list.h"

namespace weir {

struct SchedulerOptions {
  int slots = 0;                // as the Gateway's
  int running_max = 0;          // places
  int step_tokens_max = 0;      // >= running_max, so that every decode fits
  int64_t session_tokens = 0;   // prompt + output at most
  std::vector<int32_t> eos_ids;
};

class Scheduler {
 public:
  // pool and gateway outlive it. histories: [running_max][session_tokens] int32, written here alone.
  Scheduler(SchedulerOptions options, BlockPool* pool, Gateway* gateway, std::span<int32_t> histories);

  void on_command(Command command, Micros now);
  void expire_waiting(Micros now);

  // Fills `step` with the next step's work; leaves it empty when there is none.
  void plan_step(Micros now, Step* step);
  // Takes the results of exactly that step.
  void commit(const Step& step, std::span<const StepResult> results, Micros now);
  // Ends everything that has not ended yet (shutdown, executor failure).
  void finish_all(FinishReason reason, Micros now);

  int running_count() const { return static_cast<int>(running_.size()); }
  int waiting_count() const { return waiting_.count(); }
  // Writes the gauges that admission and /metrics read.
  void publish_load() const;
  // Earliest time at which expire_waiting() has something to do; 0 when never.
  Micros next_deadline() const;
  // Invariants over everything it owns; CHECKs. O(slots).
  void check_invariants() const;

 private:
  enum class Stage : uint8_t { kFree, kWaiting, kRunning, kEnded };
  struct Sequence {
    Stage stage = Stage::kFree;
    const RequestSpec* spec = nullptr;
    int32_t choice_index = 0;
    int32_t place = -1;         // kept while preempted and after the end, until release
    int32_t prompt_tokens = 0;
    int32_t output_tokens = 0;
    int32_t kv_tokens = 0;      // positions whose KV is in its blocks
    int32_t planned_tokens = 0; // of the step being planned or executed
    bool cancelled = false;     // while it is in a step
    int32_t total() const { return prompt_tokens + output_tokens; }
    int32_t pending() const { return total() - kv_tokens; }
  };

  Sequence& at(SlotIndex slot) { return sequences_[static_cast<size_t>(slot)]; }
  const Sequence& at(SlotIndex slot) const { return sequences_[static_cast<size_t>(slot)]; }
  std::span<int32_t> history(int place) {
    return histories_.subspan(static_cast<size_t>(place) * static_cast<size_t>(options_.session_tokens),
                              static_cast<size_t>(options_.session_tokens));
  }

  BlockTable& table(const Sequence& sequence) { return tables_[static_cast<size_t>(sequence.place)]; }

  void submit(SlotIndex slot);
  void release(SlotIndex slot);
  void start_waiting(Micros now);
  bool can_start(const Sequence& sequence) const;
  void start(SlotIndex slot, Micros now);
  void plan_running(Micros now, Step* step);
  bool make_room(SlotIndex slot, int32_t to_tokens, Micros now);
  void preempt(SlotIndex slot);
  void add_to_step(SlotIndex slot, int32_t count, Step* step);
  void take_token(SlotIndex slot, const TokenEvent& token, Micros now);
  FinishReason reason_to_end(const Sequence& sequence, int32_t token) const;
  void finish(SlotIndex slot, FinishReason reason, Micros now);
  void note_finish(Micros now);

  const SchedulerOptions options_;
  BlockPool* const pool_;
  Gateway* const gateway_;
  std::span<int32_t> histories_;
  std::vector<Sequence> sequences_;
  WaitingList waiting_;
  std::vector<SlotIndex> running_;     // by place order, oldest first
  std::vector<int32_t> free_places_;
  std::vector<BlockTable> tables_;     // [running_max] one per place, open for good
  int64_t waiting_tokens_ = 0;
  int64_t placed_prompt_tokens_ = 0;
  bool head_blocked_ = false;
  Micros last_finish_us_ = 0;          // 0: idle since
};

}  // namespace weir
