// Scheduler: which sequences run, which wait, who gets blocks, and what the next step computes.
//
// Owner and only caller: the engine thread. It has no clock, no I/O and no knowledge of the model: time comes in as
// an argument, tokens come in through commit(). After construction it never allocates.
//
// plan_step() decides on a scratch copy of the pool and then commits the plan in one go. Its rules, in order:
//   1. Running sequences come first, oldest place first; a decode needs one token of the budget, a prefill as many
//      as are left. A prompt longer than the budget is cut into chunks, so a long prompt never blocks a decode.
//   2. A sequence that needs a block when none can be had preempts the newest running one that has no guarantee: its
//      blocks go back (what the prefix cache knows of them stays while there is room), it keeps its place and its age
//      and goes to the head of the queue. The oldest one always moves on, so preemption cannot loop. A sequence
//      alone in the pool that outgrows it ends with kLength.
//   3. The head of the queue starts when a place is free, the pool holds its whole known text plus one block for each
//      sequence that runs, and the forecast peak of all fits. First come first served: nobody passes the head,
//      except while the head waits for a prefix that a running sequence is just computing.
//   4. A sequence that starts shares the whole blocks that the prefix cache knows; a sibling of a running sequence
//      (another choice of the same request) shares the partial last block too, and whoever writes to it copies it.
// Every submitted slot gets exactly one finish (promise 2).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/clock.h"
#include "memory/blocks/block_pool.h"
#include "memory/blocks/block_scratch.h"
#include "memory/prefix/prefix_cache.h"
#include "message/gateway.h"
#include "schedule/forecast.h"
#include "schedule/length_history.h"
#include "schedule/sequence.h"
#include "schedule/step.h"
#include "schedule/waiting_list.h"

namespace weir {

struct SchedulerOptions {
  int slots = 0;                // as the Gateway's
  int running_max = 0;          // places
  int step_tokens_max = 0;      // >= running_max, so that every decode fits
  int64_t session_tokens = 0;   // prompt + output at most
  std::vector<int32_t> eos_ids;
  double overcommit_quantile = 0.9;  // of past lengths, covered by the forecast; (0, 1]
  std::vector<ClassKind> classes = {ClassKind::kStandard};  // by class index, highest first; at most kClassesMax
  // Further places for sequences that gave theirs to urgent work and wait to go on; 0: nobody is asked to.
  int parked_max = 0;
  Micros ageing_us = 30'000'000;  // after so long in a class, a waiting sequence counts as of the next higher one
};

class Scheduler {
 public:
  // pool, prefix (may be null: no sharing between requests) and gateway outlive it; prefix is the pool's keeper.
  // histories: [running_max][session_tokens] int32, written here alone.
  Scheduler(SchedulerOptions options, BlockPool* pool, PrefixCache* prefix, Gateway* gateway,
            std::span<int32_t> histories, std::pmr::memory_resource* memory = std::pmr::get_default_resource());
  // What the constructor takes from an arena, for the plan.
  static uint64_t bytes(const SchedulerOptions& options, const BlockPoolOptions& pool);

  void on_command(Command command, Micros now);
  void expire_waiting(Micros now);

  // Fills `step` with the next step's work; leaves it empty when there is none.
  void plan_step(Micros now, Step* step);
  // Takes the results of exactly that step.
  void commit(const Step& step, std::span<const StepResult> results, Micros now);
  // Ends everything that has not ended yet (shutdown, executor failure).
  void finish_all(FinishReason reason, Micros now);

  // ---- Live limits; between commit() and plan_step() ----
  void set_running_limit(int places);      // [1, running_max]; what runs goes on
  void set_step_tokens_limit(int tokens);  // clamped to [running_max, step_tokens_max]
  // Gives the pool another size: evicts, preempts the newest, moves. The copies are to be made before the memory is
  // given back. RETURNS: false, with nothing changed, when guaranteed sequences hold more.
  bool resize_pool(int32_t blocks, BlockCopies* copies);
  // While squeezed, the pool is smaller than it should be and will grow again: what does not fit waits.
  void set_squeezed(bool squeezed) { squeezed_ = squeezed; }
  // Ends one running sequence. Also between plan_step() and the commit() of a step that does no longer hold it.
  void end_sequence(SlotIndex slot, FinishReason reason, Micros now) { finish(slot, reason, now); }
  // Ends the newest running sequence with kMemoryPressure. RETURNS: false when none runs.
  bool cancel_newest(Micros now);

  const SchedulerOptions& options() const { return options_; }
  int running_count() const { return static_cast<int>(running_.size()); }
  int waiting_count() const { return waiting_.count(); }
  // Writes the gauges that admission and /metrics read.
  void publish_load() const;
  // Earliest time at which expire_waiting() has something to do; 0 when never.
  Micros next_deadline() const;
  // Invariants over everything it owns; CHECKs. O(slots + blocks).
  void check_invariants() const;

 private:
  // How many of the waiting are looked at in one step while those before them wait for a prefix.
  static constexpr int kLookAhead = 32;
  enum class Verdict : uint8_t { kStarts, kWaitsForPrefix, kBlocked, kNever };
  struct Start {
    SlotIndex slot;
    int32_t place;
    int32_t shared_blocks, shared_tokens;
  };
  struct Sharing {  // blocks in match_
    int32_t blocks = 0, tokens = 0;
    bool wait = false;
  };

  Sequence& at(SlotIndex slot) { return sequences_[static_cast<size_t>(slot)]; }
  const Sequence& at(SlotIndex slot) const { return sequences_[static_cast<size_t>(slot)]; }
  std::span<int32_t> history(int place) const {
    return histories_.subspan(static_cast<size_t>(place) * static_cast<size_t>(options_.session_tokens),
                              static_cast<size_t>(options_.session_tokens));
  }
  std::span<const int32_t> text_of(const Sequence& sequence) const;
  int32_t row(int place) const { return tables_[static_cast<size_t>(place)].row(); }
  BlockTable& table(const Sequence& sequence) { return tables_[static_cast<size_t>(sequence.place)]; }

  // scheduler.cc: the life of a sequence.
  void submit(SlotIndex slot);
  void release(SlotIndex slot);
  void take_token(SlotIndex slot, const TokenEvent& token, Micros now);
  void publish_blocks(Sequence* sequence);
  FinishReason reason_to_end(const Sequence& sequence, int32_t token) const;
  void finish(SlotIndex slot, FinishReason reason, Micros now);
  void note_finish(Micros now);
  void preempt(SlotIndex slot);

  // plan_step.cc: deciding, on scratch_ and planned_* alone; then doing.
  void plan_decodes();
  bool plan_room(size_t index);
  void give_way(SlotIndex slot, FinishReason reason);
  void plan_starts();
  Verdict consider(SlotIndex slot, int32_t place);
  Sharing find_shared(SlotIndex slot);
  bool sibling_of(SlotIndex slot, Sharing* sharing);
  bool another_computes(const Sequence& sequence, int32_t known_blocks) const;
  bool fits(const Sequence& sequence, const Sharing& sharing, int64_t to_tokens);
  int64_t reserve_tokens(const Sequence& sequence) const;
  int64_t remaining_tokens(const Sequence& sequence);
  void plan_chunks();
  void commit_plan(Micros now, Step* step);
  void start(const Start& start, Micros now);
  void add_to_step(SlotIndex slot, Step* step);

  const SchedulerOptions options_;
  BlockPool* const pool_;
  PrefixCache* const prefix_;
  Gateway* const gateway_;
  std::span<int32_t> histories_;
  std::pmr::vector<Sequence> sequences_;
  WaitingList waiting_;
  std::pmr::vector<SlotIndex> running_;     // in the order in which they started, oldest first
  std::pmr::vector<int32_t> free_places_;
  std::pmr::vector<BlockTable> tables_;     // [running_max] one per place, open for good
  LengthHistory lengths_;
  int running_limit_;
  int step_tokens_limit_;
  int64_t waiting_tokens_ = 0;
  int64_t placed_prompt_tokens_ = 0;
  bool head_blocked_ = false;
  bool squeezed_ = false;
  Micros last_finish_us_ = 0;          // 0: idle since

  // The plan under way.
  BlockScratch scratch_;
  struct GivingWay { SlotIndex slot; FinishReason reason; };  // kNone: preempted
  std::pmr::vector<GivingWay> giving_way_;
  std::pmr::vector<Start> starts_;
  std::pmr::vector<int32_t> match_;            // [blocks_per_sequence_max]
  std::pmr::vector<ForecastEntry> forecast_;
};

}  // namespace weir
