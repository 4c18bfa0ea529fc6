// World: the real FrontDoor, Gateway, Scheduler, BlockPool, PrefixCache and Ledger under a clock of its own.
//
// Owner: the caller; one thread, no real time, no I/O. Events are handled in the order of their time; the engine's
// turn is what engine/ does (commands, controls, the pool's size, expiry, plan, compute, commit), and a step takes
// as long as the profile says. Clients arrive, read, read slowly, leave. After every step the invariants are
// checked (world_checks.cc): one that fails ends the run with a Violation; those that the rooms themselves CHECK
// abort, and abort_note.h says where. The same options give the same run, event by event (Outcome::event_hash).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <vector>

#include "admission/front_door.h"
#include "memory/ledger/ledger.h"
#include "schedule/scheduler.h"
#include "sim/faults.h"
#include "sim/kv_memory.h"
#include "sim/load.h"
#include "sim/outcome.h"
#include "sim/profile.h"
#include "sim/run.h"
#include "sim/server_shape.h"

namespace weir::sim {

// Places at which a test may put a broken part into the machine.
struct Sabotage {
  std::function<bool(const Notice&)> loses_notice;
  std::function<bool(SlotIndex)> loses_release;
  std::function<void(const Step&, std::span<StepResult>)> changes_results;
  bool forgets_copies = false;
};

struct WorldOptions : RunOptions {
  Sabotage sabotage;
};

class World {
 public:
  // profile and load outlive it.
  World(WorldOptions options, const StepProfile* profile, const Load* load);
  ~World();
  World(const World&) = delete;

  Outcome run();  // once

 private:
  enum class EventKind : uint8_t { kTokenised, kRead, kLeave, kRelease, kStepEnd, kWake, kFault, kFaultEnd };
  struct Event {
    Micros at;
    uint64_t order;
    EventKind kind;
    int32_t index;        // request, slot or fault
    uint32_t generation;  // of the slot's occupant
    bool operator>(const Event& other) const { return at != other.at ? at > other.at : order > other.order; }
  };
  struct Ticket {  // an admitted request; shared by its sequences, because the last one to end frees it
    RequestSpec spec;
    const SimRequest* request = nullptr;
    uint64_t own_text = 0;
    Charge prompt_charge, output_charge;
  };
  struct Client {  // of one sequence, by slot
    std::shared_ptr<Ticket> ticket;
    std::unique_ptr<Place> place;  // null: nobody has the slot
    uint32_t generation = 0;
    int32_t choice = 0;
    bool ended = false, cancel_sent = false, gone = false, read_pending = false, cut_pending = false,
         failed = false;
    FinishReason reason = FinishReason::kNone;
    int32_t produced = 0, read = 0;
    int32_t kv_tokens = 0, furthest = 0;  // computed as of its last step; the most ever
    uint64_t last_step = 0;
    Micros started_us = -1, first_us = -1, last_us = -1;
  };

  // world.cc
  void handle(const Event& event);
  void at(Micros when, EventKind kind, int32_t index, uint32_t generation = 0);
  void note(EventKind kind, int64_t a, int64_t b = 0);  // into the event hash
  Micros server_now();                                  // with the clock's faults
  void collect_figures();

  // world_clients.cc
  void arrive(int32_t request);
  void tokenised(int32_t request);
  void submit(int32_t request, std::vector<Place> places, Charge prompt_charge);
  int32_t tenant_of(const SimRequest& request) const;
  int32_t class_of(const SimRequest& request) const;
  void refuse(const Status& status);
  void leave(SlotIndex slot);
  void read_notices();
  void read(SlotIndex slot);
  int take_tokens(SlotIndex slot, int most);
  void end_of_answer(SlotIndex slot);
  void give_back(SlotIndex slot);
  Client& client(SlotIndex slot) { return clients_[static_cast<size_t>(slot)]; }

  // world_engine.cc
  void turn();
  void end_step();
  void apply_controls(Micros now);
  void apply_pool();
  void compute();
  int32_t token_for(const StepSequence& part, int32_t accepted);
  void account_step();
  void sample();
  void sleep();

  // world_faults.cc
  void begin_fault(int32_t index);
  void end_fault(int32_t index);

  // world_checks.cc
  void check_step();
  void check_progress();
  void check_counts();
  void check_end(SlotIndex slot);
  bool justified(const Client& client) const;
  void check_time();
  void check_all_returned();
  void fail(std::string what);
  Micros bound_of_run() const;

  const WorldOptions options_;
  const ServerShape& shape_;
  const StepProfile* const profile_;
  const Load* const load_;
  Gateway gateway_;
  FrontDoor door_;
  std::unique_ptr<PrefixCache> prefix_;
  BlockPool pool_;
  std::vector<int32_t> histories_;
  Scheduler scheduler_;
  std::shared_ptr<Ledger> ledger_;
  std::unique_ptr<KvMemory> kv_;
  std::vector<Client> clients_;      // [slots]
  std::map<int32_t, Knock> knocks_;  // by request, while its text becomes tokens

  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  uint64_t event_order_ = 0;
  size_t next_arrival_ = 0;
  Micros now_ = 0, clock_skew_us_ = 1, clock_most_us_ = 0;
  Micros bound_us_ = 0;

  // The engine's half.
  Step step_;
  std::vector<StepResult> results_;
  std::vector<TokenEvent> draft_events_;
  std::vector<Command> commands_;
  BlockCopies copies_;
  bool busy_ = false, woken_ = true;
  Micros step_begun_us_ = 0, wake_at_ = -1;
  int32_t pool_ordered_ = 0;
  uint32_t pool_order_seen_ = 0, drops_seen_ = 0, cancels_seen_ = 0;

  // Faults under way.
  int squeezes_ = 0, halvings_ = 0, refusals_on_ = 0;
  Micros stall_us_ = 0;
  bool fail_step_ = false, fail_row_ = false;
  bool memory_was_short_ = false, shut_down_ = false, shutdown_due_ = false;

  // Watched by the invariants.
  std::vector<SlotIndex> started_;  // in the order in which they last started
  SlotIndex watched_ = -1;
  uint32_t watched_generation_ = 0;
  int missed_ = 0;                          // steps in a row without the watched one
  std::vector<int32_t> waiting_of_tenant_;  // submitted and in no step yet
  bool contended_ = false;
  int places_held_ = 0;
  Outcome outcome_;
};

}  // namespace weir::sim
