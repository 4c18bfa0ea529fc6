#include "admission/front_door.h"

#include <algorithm>

#include <fmt/format.h>

namespace weir {
namespace {

Status refuse(Code code, Refusal refusal, std::string message) {
  return {code, std::move(message), refusal_name(refusal)};
}

}  // namespace

const char* refusal_name(Refusal refusal) {
  switch (refusal) {
    case Refusal::kPromptTooLong: return "prompt_too_long";
    case Refusal::kPromptOverPool: return "prompt_over_pool";
    case Refusal::kGuaranteeOverPool: return "guarantee_over_pool";
    case Refusal::kTooManySequences: return "too_many_sequences";
    case Refusal::kOverQueueTokens: return "over_queue_tokens";
    case Refusal::kLimitLowered:
      return "limit_lowered";
    case Refusal::kQueueFull: return "queue_full";
    case Refusal::kQueueTokensFull: return "queue_tokens_full";
    case Refusal::kTextPoolFull: return "text_pool_full";
    case Refusal::kHostBytesFull: return "host_bytes_full";
    case Refusal::kOverHostBytes: return "over_host_bytes";
    case Refusal::kNotReady: return "not_ready";
    case Refusal::kDraining: return "draining";
    case Refusal::kMemoryPressure: return "memory_pressure";
    case Refusal::kQueueTimeout: return "queue_timeout";
    case Refusal::kDeadline: return "deadline";
    case Refusal::kDeadlineUnmeetable: return "deadline_unmeetable";
    case Refusal::kOverTtftSlo: return "over_ttft_slo";
    case Refusal::kExpired: return "expired";
    case Refusal::kStuck: return "stuck";
    case Refusal::kAborted: return "aborted";
    case Refusal::kBrownOut: return "brown_out";
    case Refusal::kTenantQueueFull: return "tenant_queue_full";
    case Refusal::kTenantTokens: return "tenant_tokens_per_minute";
    case Refusal::kTenantHostBytes: return "tenant_host_bytes";
    case Refusal::kOutOfMemory:
      return "out_of_memory";
    case Refusal::kUnexpected:
      return "unexpected";
    case Refusal::kConnections:
      return "connections";
    case Refusal::kPeerConnections:
      return "peer_connections";
    case Refusal::kTenantConnections:
      return "tenant_connections";
    case Refusal::kHeadMemory:
      return "head_memory";
    case Refusal::kBodyMemory:
      return "body_memory";
    case Refusal::kUnknownHost:
      return "unknown_host";
    case Refusal::kOriginNotAllowed:
      return "origin_not_allowed";
    case Refusal::kNotJson:
      return "not_json";
    case Refusal::kUnauthenticated: return "unauthenticated";
    case Refusal::kBadRequest: return "bad_request";
    case Refusal::kCount: break;
  }
  return "unknown";
}

Place::~Place() {
  if (door_) door_->give_back(*this);
}

FrontDoor::FrontDoor(const FrontDoorOptions& options, Gateway* gateway)
    : started_(options),
      options_(options),
      gateway_(gateway),
      counters_(std::make_unique<TenantCounters[]>(kTenantsMax)) {
  WEIR_CHECK(gateway->slots() >= options.running_max + options.queued_max);
  for (SlotIndex slot = gateway->slots(); slot-- > 0;) free_slots_.push_back(slot);
  tenants_.set_room(options.running_max, options.queued_max, options.queued_tokens_max);
  set_tenant({}, {}, 1000);
  deal_shares();
}

FrontDoorOptions FrontDoor::options() const {
  std::lock_guard lock(mutex_);
  return options_;
}

void FrontDoor::set_options(const FrontDoorOptions& options) {
  WEIR_CHECK(options.running_max >= 1 && gateway_->slots() >= options.running_max + options.queued_max);
  std::lock_guard lock(mutex_);
  options_ = options;
  tenants_.set_room(options.running_max, options.queued_max, options.queued_tokens_max);
}

void FrontDoor::set_tenant(const Visitor& tenant, const TenantLimits& limits, int64_t weight_milli) {
  std::lock_guard lock(mutex_);
  const uint64_t produced = tenant_counters(tenant.tenant).output_tokens.load(std::memory_order_relaxed);
  tenants_.set(tenant.tenant, limits, weight_milli, produced, tenant.now_us);
}

void FrontDoor::close_tenant(int32_t tenant) {
  std::lock_guard lock(mutex_);
  tenants_.close(tenant);
}

void FrontDoor::deal_shares() {
  std::lock_guard lock(mutex_);
  tenants_.recount();
}

TokenBucket& FrontDoor::bucket(const Visitor& visitor) const {
  const uint64_t produced = tenant_counters(visitor.tenant).output_tokens.load(std::memory_order_relaxed);
  return tenants_.bucket(visitor.tenant, produced, visitor.now_us);
}

Micros FrontDoor::tokens_wait_us(Visitor visitor) const {
  std::lock_guard lock(mutex_);
  return bucket(visitor).until_tokens_us(visitor.now_us);
}

void FrontDoor::bucket_levels(Visitor first, std::span<std::optional<int64_t>> levels) const {
  std::lock_guard lock(mutex_);
  for (std::optional<int64_t>& level : levels) {
    const TokenBucket& tokens = bucket(first);
    level = tokens.limited() ? std::optional(tokens.tokens()) : std::nullopt;
    ++first.tenant;
  }
}

TenantView FrontDoor::tenant_view(Visitor visitor) const {
  const uint64_t produced = tenant_counters(visitor.tenant).output_tokens.load(std::memory_order_relaxed);
  const Micros interval = gateway_->load().finish_interval_us.load(std::memory_order_relaxed);
  std::lock_guard lock(mutex_);
  return tenants_.view(visitor.tenant, produced, visitor.now_us, interval);
}

FrontDoor::~FrontDoor() { WEIR_CHECK_MSG(admitted() == 0, "a Place outlived the FrontDoor"); }

Status FrontDoor::state_status() const {
  switch (state_.load(std::memory_order_acquire)) {
    case State::kServing: break;
    case State::kLoading: return refuse(Code::kUnavailable, Refusal::kNotReady, "the model is still loading; try again");
    case State::kDraining:
      return refuse(Code::kUnavailable, Refusal::kDraining, "the server is shutting down; use another one");
  }
  if (refusing_for_memory()) {
    return refuse(Code::kUnavailable, Refusal::kMemoryPressure,
                  "the machine is short of memory and new requests are refused until it has room again; try again later");
  }
  if (!refusing_for_brown_out()) return ok_status();
  return refuse(Code::kUnavailable, Refusal::kBrownOut,
                "more is asked of the server than it can do in time and new requests are refused for now; try again later");
}

int FrontDoor::places_now() const {
  const int adaptive = adaptive_limit_.load(std::memory_order_relaxed);
  return adaptive > 0 ? std::min(adaptive, options_.running_max) : options_.running_max;
}

// Admitted since the engine made its forecast.
int FrontDoor::unseen() const {
  return std::max(0, waiting_now() - gateway_->load().waiting.load(std::memory_order_relaxed));
}

StartEstimate FrontDoor::estimate(int class_index) const {
  std::lock_guard lock(mutex_);
  return estimate_start(gateway_->load(), class_index < 0 ? options_.default_class : class_index, 0, unseen());
}

// Whoever is admitted runs as soon as a place is free, so as long as memory does not hold the queue up, what waits is
// what exceeds the places, whatever the engine has noticed yet. When memory does, only what really runs counts.
int FrontDoor::waiting_now() const {
  const LoadGauges& load = gateway_->load();
  const bool blocked = load.head_blocked.load(std::memory_order_relaxed);
  const int running = blocked ? load.running.load(std::memory_order_relaxed) : places_now();
  return std::max(0, admitted() + knocks_ - running);
}

// A tenant's own limits come first: whoever reaches one of them is told so, whatever the others do.
Status FrontDoor::tenant_room(const Visitor& visitor, int sequences) const {
  if (!tenants_.has_room(visitor.tenant, sequences)) {
    return refuse(Code::kResourceExhausted, Refusal::kTenantQueueFull,
                  fmt::format("this key's tenant has {} of {} sequences running and waiting; try again later",
                              tenants_.held(visitor.tenant), tenants_.sequences_max(visitor.tenant)));
  }
  const TokenBucket& tokens = bucket(visitor);
  if (tokens.has_tokens()) return ok_status();
  return refuse(Code::kResourceExhausted, Refusal::kTenantTokens,
                fmt::format("this key's tenant has used up its {} tokens per minute; try again in {:.1f} s",
                            tokens.tokens_per_minute(), static_cast<double>(tokens.until_tokens_us(visitor.now_us)) * 1e-6));
}

Status FrontDoor::room_for(const Visitor& visitor, int sequences, int64_t tokens) const {
  WEIR_RETURN_IF_ERROR(tenant_room(visitor, sequences));
  const LoadGauges& load = gateway_->load();
  const int waiting = waiting_now();
  const bool blocked = load.head_blocked.load(std::memory_order_relaxed);
  const int start_room = blocked ? 0 : std::max(0, places_now() - admitted() - knocks_);
  const int64_t kept = tenants_.places_kept(visitor.tenant, sequences);
  if (static_cast<size_t>(sequences + knocks_) > free_slots_.size() ||
      waiting + sequences > options_.queued_max + start_room - kept) {
    return refuse(Code::kResourceExhausted, Refusal::kQueueFull,
                  fmt::format("{} requests run and {} of {} wait{}; try again later", admitted() + knocks_ - waiting,
                              waiting, options_.queued_max,
                              kept > 0 ? ", and this key's tenant has more than its share of them" : ""));
  }
  const int64_t waiting_tokens =
      std::max<int64_t>(0, admitted_tokens_ - load.running_prompt_tokens.load(std::memory_order_relaxed));
  const int64_t kept_tokens = tenants_.tokens_kept(visitor.tenant, tokens);
  if (sequences > start_room && waiting_tokens + tokens > options_.queued_tokens_max - kept_tokens) {
    return refuse(Code::kResourceExhausted, Refusal::kQueueTokensFull,
                  fmt::format("{} of {} prompt tokens wait{}; try again later", waiting_tokens,
                              options_.queued_tokens_max,
                              kept_tokens > 0 ? ", and this key's tenant has more than its share of them" : ""));
  }
  return ok_status();
}

Knock& Knock::operator=(Knock&& other) noexcept {
  if (this != &other && door_) door_->forget_knock(tenant_);
  door_ = std::exchange(other.door_, nullptr);
  tenant_ = other.tenant_;
  return *this;
}

Knock::~Knock() {
  if (door_) door_->forget_knock(tenant_);
}

void FrontDoor::end_knock(int32_t tenant) {
  --knocks_;
  tenants_.hold(tenant, -1, 0);
}

void FrontDoor::forget_knock(int32_t tenant) {
  std::lock_guard lock(mutex_);
  end_knock(tenant);
}

Result<Knock> FrontDoor::knock(Visitor visitor) {
  WEIR_RETURN_IF_ERROR(state_status());
  std::lock_guard lock(mutex_);
  WEIR_RETURN_IF_ERROR(room_for(visitor, 1, 1));
  // Neither its class nor its prompt is known: what would be too late for the highest class is so for all.
  WEIR_RETURN_IF_ERROR(check_in_time(estimate_start(gateway_->load(), 0, 1, unseen()), {}, options_.ttft_slo_us));
  ++knocks_;
  tenants_.hold(visitor.tenant, 1, 0);
  return Knock(this, visitor.tenant);
}

Result<std::vector<Place>> FrontDoor::admit(const Demand& demand, Knock knock) {
  const Visitor& visitor = demand.visitor;
  WEIR_CHECK(knock.door_ == nullptr || knock.tenant_ == visitor.tenant);
  std::lock_guard lock(mutex_);
  WEIR_RETURN_IF_ERROR(could_ever_fit(demand));
  WEIR_RETURN_IF_ERROR(state_status());
  WEIR_RETURN_IF_ERROR(fits_now(demand));
  int64_t total = 0;
  for (const int64_t tokens : demand.prompt_tokens) total += tokens * demand.n;
  if (knock.door_) end_knock(knock.tenant_);  // it becomes the places below; refused or not, it is over
  knock.door_ = nullptr;
  WEIR_RETURN_IF_ERROR(room_for(visitor, demand.sequences(), total));
  const auto longest = std::max_element(demand.prompt_tokens.begin(), demand.prompt_tokens.end());
  if (longest != demand.prompt_tokens.end()) {
    const auto estimate = estimate_start(gateway_->load(), demand.timing.class_index, *longest, unseen());
    WEIR_RETURN_IF_ERROR(check_in_time(estimate, demand.timing, options_.ttft_slo_us));
  }
  std::vector<Place> places;
  places.reserve(static_cast<size_t>(demand.sequences()));
  for (const int64_t tokens : demand.prompt_tokens) {
    for (int i = 0; i < demand.n; ++i) {
      places.push_back(Place(this, free_slots_.back(), visitor.tenant, tokens));
      free_slots_.pop_back();
    }
  }
  admitted_.fetch_add(demand.sequences(), std::memory_order_relaxed);
  admitted_tokens_ += total;
  tenants_.hold(visitor.tenant, demand.sequences(), total);
  bucket(visitor).take(total);
  add_to(counters_of(visitor.tenant).admitted, static_cast<uint64_t>(demand.sequences()));
  return places;
}

void FrontDoor::take_back(Place place) {
  if (place.door_ == nullptr) return;
  std::lock_guard lock(mutex_);
  bucket({place.tenant_, 0}).put_back(place.tokens_);
  end_place(place);
  place.door_ = nullptr;
}

void FrontDoor::give_back(const Place& place) {
  std::lock_guard lock(mutex_);
  end_place(place);
}

void FrontDoor::end_place(const Place& place) {
  free_slots_.push_back(place.slot_);
  tenants_.hold(place.tenant_, -1, -place.tokens_);
  admitted_.fetch_sub(1, std::memory_order_relaxed);
  admitted_tokens_ -= place.tokens_;
}

void FrontDoor::count_refusal(std::string_view reason, int32_t tenant) {
  for (size_t i = 0; i < static_cast<size_t>(Refusal::kCount); ++i) {
    if (reason == refusal_name(static_cast<Refusal>(i))) return count_refusal(static_cast<Refusal>(i), tenant);
  }
  count_refusal(Refusal::kBadRequest, tenant);
}

Micros FrontDoor::retry_after_us(int class_index) const {
  const LoadGauges& load = gateway_->load();
  const int index = class_index < 0 ? options_.default_class : class_index;
  const Micros forecast = estimate_start(load, index, 0, unseen()).start_p90_us;
  if (forecast > 0) return forecast;
  return int64_t{waiting_now() + 1} * load.finish_interval_us.load(std::memory_order_relaxed);
}

int FrontDoor::whole_seconds(Micros us) const {
  const int64_t least = refusing_for_memory() ? kPressureRetrySeconds : 1;
  return static_cast<int>(std::clamp<int64_t>((us + 999'999) / 1'000'000, least, 60));
}

int FrontDoor::retry_after_seconds(int class_index) const {
  std::lock_guard lock(mutex_);
  return whole_seconds(retry_after_us(class_index));
}

// The engine's heartbeat is the clock here: it moves twice a second at least.
int FrontDoor::next_retry_after_seconds(int class_index) {
  const LoadGauges& load = gateway_->load();
  std::lock_guard lock(mutex_);
  return whole_seconds(retry_spread_.next(retry_after_us(class_index), load.finish_interval_us.load(std::memory_order_relaxed),
                                          load.heartbeat_us.load(std::memory_order_relaxed)));
}

}  // namespace weir
