// Scheduler: which sequences run, which wait, who gets blocks, and what the next step computes.
//
// Owner and only caller: the engine thread. It has no clock, no I/O and no knowledge of the model: time comes in as
// an argument, tokens come in through commit(). After construction it never allocates.
//
// plan_step() decides on a scratch copy of the pool and then commits the plan in one go. Its rules, in order:
//   1. Running sequences come first: higher classes before lower ones, of a class the one that started first. A decode
//      needs one token of the budget, a prefill as many as are left. A prompt longer than the budget is cut into
//      chunks, so a long prompt never blocks a decode.
//   2. A sequence that needs a block when none can be had preempts the last in that order that has no guarantee, so the
//      newest of the lowest class: its blocks go back (what the prefix cache knows of them stays while there is room);
//      it is parked: it keeps what it has produced, its class and its age, and waits to go on. The first in the order
//      always moves on, so preemption cannot loop. A sequence alone in the pool that outgrows it ends with kLength. A
//      tenant that has its share of the pool takes from its own newest sequence instead.
//   3. The first of the queue (schedule/fair_queue.h) starts when fewer than the limit run, the pool holds its whole
//      known text plus one block for each sequence that runs, and the forecast peak of all fits. Where the limit alone
//      is in the way, urgent work parks the newest running sequence of a background class.
//   4. A first one that the pool cannot hold yet lets others pass that fit, until it has waited for `ageing`; one that
//      was parked is never passed. One whose prefix is just being computed, or whose tenant runs as many as it may,
//      lets others pass always.
//   5. A sequence that starts shares the whole blocks that the prefix cache knows; a sibling of a running sequence
//      (another choice of the same request) shares the partial last block too, and whoever writes to it copies it.
//   6. With speculation on, decodes get drafts (schedule/speculation.h) last: out of what the step's budget has left, in
//      a step without prefill, in blocks that they have anyway, and as many as pay at the step's price of a row. Whatever
//      comes of them, tokens are those that come without.
// Deadlines hold at every moment: in the queue, in prefill, in decode.
// Every submitted slot gets exactly one finish (promise 2).
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/clock.h"
#include "memory/blocks/block_pool.h"
#include "memory/blocks/block_scratch.h"
#include "memory/prefix/prefix_cache.h"
#include "message/gateway.h"
#include "schedule/codel.h"
#include "schedule/deadline_heap.h"
#include "schedule/fair_queue.h"
#include "schedule/forecast.h"
#include "schedule/length_history.h"
#include "schedule/prefill_guard.h"
#include "schedule/sequence.h"
#include "schedule/speculation.h"
#include "schedule/start_forecast.h"
#include "schedule/step.h"
#include "schedule/step_time.h"

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
  int tenants = kTenantsMax;
  Micros ageing_us = 30'000'000;  // after so long in a class, a waiting sequence counts as of the next higher one

  Micros codel_target_us = 0;     // urgent work expires while the queue stands longer; 0: never
  Micros tpot_slo_us = 0;         // prefill and drafts leave a step with decodes within it; 0: off

  // Without a tpot_slo: prefill lets a step with decodes take so many times as long as the decodes alone, or, while more
  // sequences wait for their first token than decode, as many times as lets both kinds advance alike; never less than four tokens or a quarter of that time. 0: no limit.
  int prefill_stretch = 0;

  SpeculationOptions speculation;

  int places() const { return running_max + parked_max; }  // rings, histories and tables
};

class Scheduler {
 public:
  // pool, prefix (may be null: no sharing between requests) and gateway outlive it; prefix is the pool's keeper.
  // histories: [places][session_tokens] int32, written here alone.
  Scheduler(SchedulerOptions options, BlockPool* pool, PrefixCache* prefix, Gateway* gateway,
            std::span<int32_t> histories, std::pmr::memory_resource* memory = std::pmr::get_default_resource());
  // What the constructor takes from an arena, for the plan.
  static uint64_t bytes(const SchedulerOptions& options, const BlockPoolOptions& pool);

  void on_command(Command command, Micros now);
  // Ends what waited longer than its queue deadline, and whatever its total deadline has passed.
  void expire(Micros now);

  // Fills `step` with the next step's work; leaves it empty when there is none.
  void plan_step(Micros now, Step* step);
  // Takes the results of exactly that step.
  void commit(const Step& step, std::span<const StepResult> results, Micros now);
  // How long exactly that step took: what forecasts are learnt from. Not for a step that was abandoned.
  void note_step(const Step& step, const StepTook& took);
  // Ends everything that has not ended yet (shutdown, executor failure).
  void finish_all(FinishReason reason, Micros now);

  // ---- Live limits; between commit() and plan_step() ----
  void set_running_limit(int places);      // [1, running_max]; what runs goes on
  void set_step_tokens_limit(int tokens);  // clamped to [running_max, step_tokens_max]
  void set_prefill_tokens_limit(int tokens) { prefill_tokens_limit_ = tokens; }    // of a step; 0: no limit of its own
  // Background work starts only when nobody of another class runs or waits, however old it is.
  void set_hold_background(bool hold) { hold_background_ = hold; }
  void set_background_tokens_max(int tokens) { background_tokens_max_ = tokens; }  // of an answer; 0: no limit
  // Gives the pool another size: evicts, preempts the newest, moves. The copies are to be made before the memory is
  // given back. RETURNS: false, with nothing changed, when guaranteed sequences hold more.
  bool resize_pool(int32_t blocks, BlockCopies* copies);
  // While squeezed, the pool is smaller than it should be and will grow again: what does not fit waits.
  void set_squeezed(bool squeezed) { squeezed_ = squeezed; }
  // Ends one running sequence. Also between plan_step() and the commit() of a step that does no longer hold it.
  void end_sequence(SlotIndex slot, FinishReason reason, Micros now) { finish(slot, reason, now); }
  // Ends the newest running sequence of the lowest class with kMemoryPressure. RETURNS: false when none runs.
  bool cancel_newest(Micros now);

  const SchedulerOptions& options() const { return options_; }
  const StepTimeModel& step_time() const { return step_time_; }
  const StartForecast& start_forecast() const { return start_forecast_; }
  int running_count() const { return static_cast<int>(running_.size()); }
  int waiting_count() const { return waiting_.count(); }
  // Whether some sequence runs and, in the last plan, every one of them waited for its reader: until a reader makes
  // room (Gateway::note_read) or a command comes, there is nothing to compute.
  bool only_waits_for_readers() const { return !running_.empty() && waiting_for_readers_ == running_count(); }
  // Writes the gauges that admission and /metrics read.
  void publish_load() const;
  // Earliest time at which expire() has something to do; 0 when never.
  Micros next_deadline() const { return deadlines_.empty() ? 0 : std::max<Micros>(1, deadlines_.first_at()); }
  // Invariants over everything it owns; CHECKs. O(slots + blocks).
  void check_invariants() const;

 private:
  static constexpr int64_t kOutputCost = 2;  // of a produced token, against 1 of a prompt's (VTC, section 4)
  // How many of the waiting are looked at in one step while those before them wait for a prefix.
  static constexpr int kLookAhead = 32;
  // Starts are forecast again after so long, and after kForeseePerWaitingUs for each that waits, whichever is longer:
  // one pass takes about 0.1 us a sequence, so this is a quarter of a percent of the time at most.
  static constexpr Micros kForeseeEveryUs = 20'000, kForeseePerWaitingUs = 40;
  enum class Verdict : uint8_t { kStarts, kWaitsForPrefix, kBlocked, kOverShare, kNever };
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
  size_t history_begin(int place) const {
    return static_cast<size_t>(place) * static_cast<size_t>(options_.session_tokens);
  }
  std::span<int32_t> history(int place) const {  // beyond the sequence's text stand the drafts of the step under way
    return histories_.subspan(history_begin(place), static_cast<size_t>(options_.session_tokens));
  }
  std::span<const int32_t> text_of(const Sequence& sequence) const;
  int32_t row(int place) const { return tables_[static_cast<size_t>(place)].row(); }
  BlockTable& table(const Sequence& sequence) { return tables_[static_cast<size_t>(sequence.place)]; }

  // scheduler.cc: the life of a sequence.
  void submit(SlotIndex slot, Micros now);
  void release(SlotIndex slot);
  void join_queue(SlotIndex slot, WaitReason reason);
  void leave_queue(const Sequence& sequence);
  void leave_running(SlotIndex slot);
  Micros time_up(const Sequence& sequence) const;
  double cost(const Sequence& sequence, int64_t tokens) const;
  void take_token(SlotIndex slot, const TokenEvent& token, Micros now);
  void publish_blocks(Sequence* sequence);
  FinishReason reason_to_end(const Sequence& sequence, int32_t token) const;
  void finish(SlotIndex slot, FinishReason reason, Micros now);
  void note_finish(Micros now);
  void preempt(SlotIndex slot, Micros now);
  TenantGauges& gauges(const Sequence& sequence) {
    return gateway_->tenants().gauges[static_cast<size_t>(sequence.tenant)];
  }
  const TenantKnobs& knobs(const Sequence& sequence) const {
    return gateway_->tenants().knobs[static_cast<size_t>(sequence.tenant)];
  }
  ClassKind own_kind(const Sequence& sequence) const {
    return options_.classes[static_cast<size_t>(sequence.spec->class_index)];
  }
  ClassKind kind_of(const Sequence& sequence) const { return options_.classes[static_cast<size_t>(sequence.class_now)]; }
  // Those that hold a place and are not parked: running, or ended with their last byte unwritten.
  int active_count() const { return options_.places() - static_cast<int>(free_places_.size()) - parked_; }

  // plan_step.cc: deciding, on scratch_ and planned_* alone; then doing.
  bool waits_for_reader(SlotIndex slot);
  void plan_decodes();
  bool plan_room(size_t index);
  bool make_room_in_share(size_t index, int64_t more);
  void give_way(SlotIndex slot, FinishReason reason, bool for_place = false);
  void plan_chunks();
  void commit_plan(Micros now, Step* step);
  void start(const Start& start, Micros now);
  void add_to_step(SlotIndex slot, Step* step);

  // plan_drafts.cc: guesses of the next tokens, and what became of them.
  void plan_drafts();
  int32_t room_for_drafts(SlotIndex slot) const;
  int32_t take_tokens(const StepSequence& part, const StepResult& result, Micros now);
  void count_drafts(const StepSequence& part, int32_t accepted, int32_t taken);

  // foresee.cc: when who will start.
  void foresee(Micros now);
  void foresee_nothing();
  int64_t expected_tokens(const Sequence& sequence);
  void tell(SlotIndex slot, int32_t ahead, const StartTimes& times, Micros now);
  void publish_forecast();
  StepShape shape_of_decodes(bool planned) const;
  int64_t prefill_budget(int64_t budget);
  Micros decode_step_allowed(const StepShape& decodes, int starting) const;
  FinishReason too_late(SlotIndex slot, Micros now);

  // plan_starts.cc: who of the waiting begins.
  void plan_starts(Micros now);
  bool plan_start(SlotIndex slot, Micros now);
  void vacate_places();
  bool park_one_for(const Sequence& sequence);
  bool has_place(const Sequence& sequence) const;
  bool tenant_runs_all(const Sequence& sequence) const;
  int64_t share_blocks(const Sequence& sequence) const;
  int64_t held_by_tenant(const Sequence& sequence) const;
  void say(SlotIndex slot, WaitReason reason);
  Verdict consider(SlotIndex slot, int32_t place);
  Sharing find_shared(SlotIndex slot);
  bool sibling_of(SlotIndex slot, Sharing* sharing);
  bool another_computes(const Sequence& sequence, int32_t known_blocks) const;
  bool fits(const Sequence& sequence, const Sharing& sharing, int64_t to_tokens);
  int64_t reserve_tokens(const Sequence& sequence) const;
  int64_t remaining_tokens(const Sequence& sequence);

  const SchedulerOptions options_;
  BlockPool* const pool_;
  PrefixCache* const prefix_;
  Gateway* const gateway_;
  std::span<int32_t> histories_;
  std::pmr::vector<Sequence> sequences_;
  FairQueue waiting_;
  DeadlineHeap deadlines_;                  // of all that wait or run and have one
  std::pmr::vector<SlotIndex> running_;     // by class_now, then in the order in which they started
  std::pmr::vector<int32_t> tenant_running_;  // [tenants]
  std::pmr::vector<int32_t> free_places_;
  std::pmr::vector<BlockTable> tables_;     // [places] open for good
  LengthHistory lengths_;                   // for the forecast of memory: a high quantile
  LengthHistory usual_lengths_;             // for the forecast of starts: the median
  StepTimeModel step_time_;
  PrefillGuard prefill_guard_;
  StartForecast start_forecast_;
  Codel codel_;
  Speculation speculation_;
  Micros foreseen_us_ = 0;                  // when the starts were forecast last
  int running_limit_;
  int step_tokens_limit_;
  int prefill_tokens_limit_ = 0;
  int waiting_for_readers_ = 0;  // of the running, in the last plan
  int background_tokens_max_ = 0;
  bool hold_background_ = false;
  int others_ = 0;                          // of the waiting and running, those whose own class is not background
  int parked_ = 0;                          // of the waiting, those that keep a place
  uint64_t ages_ = 0;                       // submitted so far
  Micros now_ = 0;                          // of the last call that said
  int64_t waiting_tokens_ = 0;
  int64_t placed_prompt_tokens_ = 0;
  bool head_blocked_ = false;
  bool squeezed_ = false;
  Micros last_finish_us_ = 0;          // 0: idle since

  // The plan under way.
  BlockScratch scratch_;
  struct GivingWay { SlotIndex slot; FinishReason reason; bool for_place; };  // kNone: preempted
  std::pmr::vector<GivingWay> giving_way_;
  std::pmr::vector<Start> starts_;
  int fresh_starts_ = 0, places_vacated_ = 0;
  bool head_passed_ = false;
  std::pmr::vector<int32_t> match_;            // [blocks_per_sequence_max]
  std::pmr::vector<ForecastEntry> forecast_;
};

}  // namespace weir
