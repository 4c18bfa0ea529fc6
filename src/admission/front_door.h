// FrontDoor: decides in microseconds whether a request gets slots, must be refused, or can never fit.
//
// Thread: any io thread. One mutex, held for a few loads and a free-list pop. It owns the slots of the Gateway:
// a Place is one of them, move-only, and gives it back when destroyed. It never waits and never allocates
// after construction, except for the vector of Places that it returns. What tenants may take is in TenantGate and
// QueueShares; the door asks them under the same mutex.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "admission/start_estimate.h"
#include "admission/tenant_gate.h"
#include "base/clock.h"
#include "base/status.h"
#include "message/gateway.h"

namespace weir {

// All but the session can be changed while serving (FrontDoor::set_options).
struct FrontDoorOptions {
  int running_max = 1;            // --max-concurrent-requests, in sequences
  int queued_max = 0;             // --max-queued-requests, in sequences; 0: refuse unless it can start at once
  int64_t queued_tokens_max = 0;  // --max-queued-tokens, prompt tokens
  int64_t session_tokens = 0;     // --session-len
  int64_t pool_tokens = 0;        // tokens the KV pool can hold in all
  Micros ttft_slo_us = 0;         // --ttft-slo: refuse what would get its first token later; 0: off
  int default_class = 0;          // of a request whose class is not known yet
};

// Who asks, and when by the server's clock.
struct Visitor {
  int32_t tenant = 0;  // [0, kTenantsMax)
  Micros now_us = 0;
};

// What a request asks for. prompt_tokens holds one entry per prompt of the list; each is taken n times.
struct Demand {
  std::vector<int64_t> prompt_tokens;
  int n = 1;
  int64_t guaranteed_tokens = 0;  // --reservation guaranteed: of the longest sequence with its answer; 0: none
  Timing timing;
  Visitor visitor;
  int sequences() const { return static_cast<int>(prompt_tokens.size()) * n; }
};

// Named shed points. Each has a counter in /metrics as weir_refusals_total{reason="..."} and a line in
// docs/operations.md. The reason also stands in the error body.
enum class Refusal : uint8_t {
  kPromptTooLong,      // prompt + 1 > session length (400 context_length_exceeded)
  kPromptOverPool,     // prompt + 1 > tokens in the KV pool (400)
  kGuaranteeOverPool,  // prompt + max_tokens > tokens in the KV pool, with a guarantee (400)
  kTooManySequences,   // n x prompts > --max-concurrent-requests (400): they could never run together
  kOverQueueTokens,    // alone more prompt tokens than --max-queued-tokens (400)
  kLimitLowered,       // above a limit that is lower now than at start and may rise again (429 slow_down)
  kQueueFull,          // --max-queued-requests reached (429 slow_down)
  kQueueTokensFull,    // --max-queued-tokens reached (429 slow_down)
  kTextPoolFull,       // tokenisers are all busy and their queue is full (429 slow_down)
  kHostBytesFull,      // the host bytes that requests share are taken (429 slow_down; 503 where an answer was under
                       // way)
  kOverHostBytes,   // alone more host bytes than --host-bytes-per-request (413; 400 where an answer was under way)
  kNotReady,        // the model is still loading (503 server_is_overloaded)
  kDraining,        // SIGTERM was seen (503 server_is_overloaded)
  kMemoryPressure,  // the governor keeps the door shut until memory is free again (503 server_is_overloaded)
  kQueueTimeout,    // it was accepted and waited longer than --queue-timeout (503 server_is_overloaded)
  kDeadline,        // its deadline passed, or cannot be met any more (504 timeout)
  kDeadlineUnmeetable,  // at the door: it would start too late for its deadline (503 server_is_overloaded)
  kOverTtftSlo,         // at the door: its first token would be later than --ttft-slo (503 server_is_overloaded)
  kExpired,             // urgent work that waited while the queue stood (503 server_is_overloaded)
  kStuck,               // the watchdog ended it: the step loop did not move while it was computed (500)
  kAborted,             // ended by /admin/abort (409 aborted)
  kBrownOut,            // the last rung of the brown-out ladder (503 server_is_overloaded)
  kTenantQueueFull,     // the tenant runs and waits with all that it may (429 slow_down)
  kTenantTokens,        // the tenant's tokens per minute are used up (429 slow_down)
  kTenantHostBytes,     // the tenant's host bytes are taken (429 slow_down)
  kOutOfMemory,         // the process had no memory for it although it was charged (503 server_is_overloaded)
  kUnexpected,          // an exception that nothing foresaw ended this request alone (500)
  kConnections,         // every connection slot has work, and this one asked for more than health (503
                        // server_is_overloaded)
  kPeerConnections,     // the client's address has as many connections as it may (503 server_is_overloaded)
  kTenantConnections,   // the tenant has more than its share of the connections (503 server_is_overloaded)
  kHeadMemory,          // too many heads are there in part (503 server_is_overloaded)
  kBodyMemory,          // too many bodies are being read, or the sender's share of them (503 server_is_overloaded)
  kUnknownHost,         // without keys: asked for by a name that is not the server's (403)
  kOriginNotAllowed,    // without keys: a page of another origin (403)
  kNotJson,             // without keys: a body that is not declared to be JSON (415)
  kUnauthenticated,     // missing or wrong key (401)
  kBadRequest,          // any other 4xx about the body
  kCount
};
const char* refusal_name(Refusal refusal);  // "queue_full", ...

class FrontDoor;

// A request between the first look at the door and its admission, while its text becomes tokens. It counts as one
// sequence, so that no more requests are tokenised than could be admitted. Move-only; given up when destroyed.
class [[nodiscard]] Knock {
 public:
  Knock() = default;
  Knock(Knock&& other) noexcept : door_(std::exchange(other.door_, nullptr)), tenant_(other.tenant_) {}
  Knock& operator=(Knock&& other) noexcept;
  Knock(const Knock&) = delete;
  ~Knock();

 private:
  friend class FrontDoor;
  Knock(FrontDoor* door, int32_t tenant) : door_(door), tenant_(tenant) {}
  FrontDoor* door_ = nullptr;
  int32_t tenant_ = 0;
};

// One admitted sequence's slot, held until the last byte of its answer is written (or its client is gone) and the
// engine has been told. Destroying it frees the slot: REQUIRES that the engine has finished with it.
class [[nodiscard]] Place {
 public:
  Place(Place&& other) noexcept
      : door_(std::exchange(other.door_, nullptr)), tokens_(other.tokens_), slot_(other.slot_), tenant_(other.tenant_) {}
  Place& operator=(Place&&) = delete;
  Place(const Place&) = delete;
  ~Place();
  SlotIndex slot() const { return slot_; }

 private:
  friend class FrontDoor;
  Place(FrontDoor* door, SlotIndex slot, int32_t tenant, int64_t tokens)
      : door_(door), tokens_(tokens), slot_(slot), tenant_(tenant) {}
  FrontDoor* door_;
  int64_t tokens_;
  SlotIndex slot_;
  int32_t tenant_;
};

// What the door counts for one tenant; the engine counts the rest (message/tenants.h). Relaxed atomics, any thread.
struct TenantCounters {
  std::atomic<uint64_t> admitted{0};       // sequences
  std::atomic<uint64_t> output_tokens{0};  // that reached the io thread
  std::atomic<uint64_t> refusals[static_cast<size_t>(Refusal::kCount)]{};
};

class FrontDoor {
 public:
  FrontDoor(const FrontDoorOptions& options, Gateway* gateway);
  ~FrontDoor();  // REQUIRES: every Place is back

  // The first look, before a body is parsed or tokenised, so that refusing under overload costs neither.
  // ERRORS: those that admit() would give for one short sequence.
  Result<Knock> knock(Visitor visitor = {});

  // All sequences of a request, or none; the knock becomes them. ERRORS: kInvalidArgument (can never fit; the numbers are in the message),
  // kResourceExhausted (full now), kUnavailable (loading, draining or short of memory); reason() is refusal_name().
  // The caller counts what it sends to a client (count_refusal), so that a second look is not counted twice.
  // The prompt tokens of every sequence are charged to the tenant. REQUIRES: the knock is of the same tenant.
  Result<std::vector<Place>> admit(const Demand& demand, Knock knock = {});
  // For a place that was given and never reached the engine: it and its prompt tokens go back. Allocates nothing.
  void take_back(Place place);

  // One tenant's limits and weight from now on; what it holds stays. close_tenant: nobody can come as it any more, so no
  // room is kept for it. After a round of these, deal_shares(). The door begins with tenant 0 alone, without limits.
  void set_tenant(const Visitor& tenant, const TenantLimits& limits, int64_t weight_milli);
  void close_tenant(int32_t tenant);
  void deal_shares();
  // Output tokens, charged when they were produced. No lock.
  void note_output(int32_t tenant, uint64_t tokens) { add_to(counters_of(tenant).output_tokens, tokens); }
  TenantView tenant_view(Visitor visitor) const;
  // Until the tenant's bucket has a token again; 0: it has, or there is no such limit.
  Micros tokens_wait_us(Visitor visitor) const;
  // Of levels.size() tenants from `first` on: tokens of the bucket, negative: debt; nothing without a limit. One
  // lock for all of them, so a caller that wants many asks in pieces of kLevelsPerLock.
  static constexpr size_t kLevelsPerLock = 64;
  void bucket_levels(Visitor first, std::span<std::optional<int64_t>> levels) const;
  const TenantCounters& tenant_counters(int32_t tenant) const { return counters_[static_cast<size_t>(tenant)]; }

  void count_refusal(std::string_view reason, int32_t tenant = -1);  // by name; an unknown one counts as bad_request
  // tenant: -1 where nobody knows it.
  void count_refusal(Refusal refusal, int32_t tenant = -1) {
    add_to(refusals_[static_cast<size_t>(refusal)], 1);
    if (tenant >= 0) add_to(counters_of(tenant).refusals[static_cast<size_t>(refusal)], 1);
  }
  uint64_t refusals(Refusal refusal) const {
    return refusals_[static_cast<size_t>(refusal)].load(std::memory_order_relaxed);
  }

  // Whole seconds, [1, 60]: until a request of this class would start (p90), as the engine forecasts it; where nothing is
  // forecast yet, waiting sequences times the measured time between sequence ends. At least kPressureRetrySeconds while
  // memory is short, which passes no faster than that. class_index: -1 where it is not known.
  static constexpr int kPressureRetrySeconds = 5;
  int retry_after_seconds(int class_index = -1) const;
  // The same for one that is being sent away now: those of one moment are spread over the time in which places become
  // free (RetrySpread).
  int next_retry_after_seconds(int class_index = -1);
  // Of one that came now; its prompt is not known.
  StartEstimate estimate(int class_index) const;

  void set_ready() { state_.store(State::kServing, std::memory_order_release); }
  void start_draining() { state_.store(State::kDraining, std::memory_order_release); }
  bool ready() const { return state_.load(std::memory_order_acquire) == State::kServing; }
  bool draining() const { return state_.load(std::memory_order_acquire) == State::kDraining; }

  // The governor's: refuses what is not admitted yet, and leaves alone what is. Any thread.
  void refuse_for_memory(bool on) { refusing_for_memory_.store(on, std::memory_order_release); }
  bool refusing_for_memory() const { return refusing_for_memory_.load(std::memory_order_acquire); }

  // The last rung of the brown-out ladder: refuses what is not admitted yet. Any thread.
  void refuse_for_brown_out(bool on) { browned_out_.store(on, std::memory_order_release); }
  bool refusing_for_brown_out() const { return browned_out_.load(std::memory_order_acquire); }
  // The adaptive limit: places that are given now, where they are fewer than running_max; 0: none. Any thread.
  void set_adaptive_limit(int places) { adaptive_limit_.store(places, std::memory_order_relaxed); }

  int admitted() const { return admitted_.load(std::memory_order_relaxed); }  // places given out
  FrontDoorOptions options() const;
  // Sequences that may run together, as the server was started or as it was raised since: a request above it never
  // fits.
  int running_max_ever() const;
  // From now on; what was admitted stays. REQUIRES: running_max + queued_max <= the gateway's slots.
  void set_options(const FrontDoorOptions& options);

 private:
  friend class Place;
  friend class Knock;
  enum class State : uint8_t { kLoading, kServing, kDraining };
  Status could_ever_fit(const Demand& demand) const;     // REQUIRES: mutex_ held
  Status fits_under(const FrontDoorOptions& limits, const Demand& demand) const;  // REQUIRES: mutex_ held
  Status fits_now(const Demand& demand) const;                                    // REQUIRES: mutex_ held
  FrontDoorOptions ever() const;                                                  // REQUIRES: mutex_ held
  Status state_status() const;
  int places_now() const;                                // REQUIRES: mutex_ held
  int waiting_now() const;                               // REQUIRES: mutex_ held
  int unseen() const;                                    // REQUIRES: mutex_ held
  Micros retry_after_us(int class_index) const;          // REQUIRES: mutex_ held
  int whole_seconds(Micros us) const;
  Status tenant_room(const Visitor& visitor, int sequences) const;                       // REQUIRES: mutex_ held
  Status room_for(const Visitor& visitor, int sequences, int64_t tokens) const;          // REQUIRES: mutex_ held
  TokenBucket& bucket(const Visitor& visitor) const;                                     // REQUIRES: mutex_ held
  void end_knock(int32_t tenant);                                                        // REQUIRES: mutex_ held
  void end_place(const Place& place);                                                    // REQUIRES: mutex_ held
  void give_back(const Place& place);
  void forget_knock(int32_t tenant);
  TenantCounters& counters_of(int32_t tenant) { return counters_[static_cast<size_t>(tenant)]; }
  static void add_to(std::atomic<uint64_t>& counter, uint64_t amount) {
    counter.fetch_add(amount, std::memory_order_relaxed);
  }

  const FrontDoorOptions started_;  // a limit that was lowered since may rise to these again
  FrontDoorOptions options_;     // guarded by mutex_
  Gateway* const gateway_;
  std::atomic<State> state_{State::kLoading};
  std::atomic<bool> refusing_for_memory_{false}, browned_out_{false};
  std::atomic<int> adaptive_limit_{0};
  mutable std::mutex mutex_;
  std::vector<SlotIndex> free_slots_;
  RetrySpread retry_spread_;     // guarded by mutex_
  int knocks_ = 0;               // requests whose text is becoming tokens
  int64_t admitted_tokens_ = 0;  // prompt tokens of all places given out
  std::atomic<int> admitted_{0};
  mutable TenantGate tenants_;   // guarded by mutex_; looking settles a bucket
  const std::unique_ptr<TenantCounters[]> counters_;  // [kTenantsMax]
  std::atomic<uint64_t> refusals_[static_cast<size_t>(Refusal::kCount)]{};
};

}  // namespace weir
