// TenantGate: what each tenant holds at the door and may still take: sequences, tokens per minute, its share of the
// queue. It only counts; FrontDoor asks it before it gives anything out.
//
// Owner: FrontDoor; every member under its mutex. Sized for kTenantsMax at construction and allocates nothing
// later. No clock of its own: callers say what time it is.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "admission/queue_shares.h"
#include "admission/token_bucket.h"
#include "message/tenants.h"

namespace weir {

// Those that hold at the door. Absent: no limit of the tenant's own.
struct TenantLimits {
  std::optional<int64_t> concurrent;  // sequences that run at once (the engine holds it); counts here with `queued`
  std::optional<int64_t> queued;      // sequences that may wait: concurrent, or all places, and these are admitted
  std::optional<int64_t> tokens_per_minute;
  bool operator==(const TenantLimits&) const = default;
};

// What a client is told of its limits in x-ratelimit-*; absent where there is none.
struct TenantView {
  struct Limit {
    int64_t most = 0, left = 0;
    Micros reset_us = 0;  // until all of it is there again; of sequences an estimate, at least a second
  };
  std::optional<Limit> sequences, tokens;
};

class TenantGate {
 public:
  TenantGate();

  void set_room(int running_max, int queued_max, int64_t queued_tokens_max);
  // weight_milli: above 0. produced: see bucket().
  void set(int tenant, const TenantLimits& limits, int64_t weight_milli, uint64_t produced, Micros now);
  // Nobody can come as this tenant any more, so no room is kept for it; what it holds, and its limits, stay.
  void close(int tenant);
  void recount();  // after a round of set() and close()

  // int64's largest where there is no limit. running_max: what runs at once of a tenant without `concurrent`.
  int64_t sequences_max(int tenant, int64_t running_max) const;
  int64_t sequences_max(int tenant) const { return sequences_max(tenant, running_max_); }
  bool has_room(int tenant, int64_t sequences) const { return held(tenant) + sequences <= sequences_max(tenant); }
  int64_t held(int tenant) const { return places_.held(tenant); }
  int64_t places_kept(int tenant, int64_t more) const { return places_.kept_from(tenant, more); }
  int64_t tokens_kept(int tenant, int64_t more) const { return tokens_.kept_from(tenant, more); }
  // Sequences with a knock or a place, and their prompt tokens; negative amounts give back.
  void hold(int tenant, int64_t sequences, int64_t tokens);

  // produced: all output tokens of the tenant so far, those not yet charged are taken now.
  TokenBucket& bucket(int tenant, uint64_t produced, Micros now);
  // finish_interval_us: between the ends of two sequences; 0: not known.
  TenantView view(int tenant, uint64_t produced, Micros now, Micros finish_interval_us);

 private:
  struct Tenant {
    TenantLimits limits;
    TokenBucket bucket;
    uint64_t charged = 0;  // output tokens
  };
  Tenant& at(int tenant) { return tenants_[static_cast<size_t>(tenant)]; }
  const Tenant& at(int tenant) const { return tenants_[static_cast<size_t>(tenant)]; }

  std::vector<Tenant> tenants_;
  QueueShares places_{kTenantsMax}, tokens_{kTenantsMax};
  int64_t running_max_ = 0;
};

}  // namespace weir
