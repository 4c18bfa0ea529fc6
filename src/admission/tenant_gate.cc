#include "admission/tenant_gate.h"

#include <algorithm>

namespace weir {

namespace {

constexpr Micros kResetLeast = 1'000'000;  // where the time between ends is not known, or says less

}  // namespace

TenantGate::TenantGate() : tenants_(kTenantsMax) {}

void TenantGate::set_room(int running_max, int queued_max, int64_t queued_tokens_max) {
  running_max_ = running_max;
  const int64_t places = (int64_t{queued_max} + 1) / 2, tokens = (queued_tokens_max + 1) / 2;
  places_.set_room(running_max + places, places);
  tokens_.set_room(tokens, tokens);
  recount();
}

void TenantGate::set(int tenant, const TenantLimits& limits, int64_t weight_milli, uint64_t produced, Micros now) {
  at(tenant).limits = limits;
  bucket(tenant, produced, now).set_rate(limits.tokens_per_minute.value_or(0), now);
  places_.set_weight(tenant, weight_milli);
  tokens_.set_weight(tenant, weight_milli);
}

void TenantGate::close(int tenant) {
  places_.set_weight(tenant, 0);
  tokens_.set_weight(tenant, 0);
}

void TenantGate::recount() {
  places_.recount();
  tokens_.recount();
}

int64_t TenantGate::sequences_max(int tenant, int64_t running_max) const {
  const TenantLimits& limits = at(tenant).limits;
  if (!limits.queued) return std::numeric_limits<int64_t>::max();
  return limits.concurrent.value_or(running_max) + *limits.queued;
}

void TenantGate::hold(int tenant, int64_t sequences, int64_t tokens) {
  places_.add(tenant, sequences);
  tokens_.add(tenant, tokens);
}

TokenBucket& TenantGate::bucket(int tenant, uint64_t produced, Micros now) {
  Tenant& one = at(tenant);
  one.bucket.settle(now);
  one.bucket.take(static_cast<int64_t>(produced - one.charged));
  one.charged = produced;
  return one.bucket;
}

TenantView TenantGate::view(int tenant, uint64_t produced, Micros now, Micros finish_interval_us) {
  TenantView view;
  if (const int64_t most = sequences_max(tenant); at(tenant).limits.queued) {
    view.sequences = {.most = most,
                      .left = std::max<int64_t>(most - held(tenant), 0),
                      .reset_us = held(tenant) > 0 ? std::max(held(tenant) * finish_interval_us, kResetLeast) : 0};
  }
  if (const TokenBucket& tokens = bucket(tenant, produced, now); tokens.limited()) {
    view.tokens = {.most = tokens.tokens_per_minute(),
                   .left = std::max<int64_t>(tokens.tokens(), 0),
                   .reset_us = tokens.until_full_us(now)};
  }
  return view;
}

}  // namespace weir
