// x-ratelimit-*: what a client is told of its tenant's limits, as OpenAI writes it. Pure functions; any thread.
#pragma once

#include <string>

#include "admission/tenant_gate.h"
#include "http/server.h"

namespace weir::api {

// "120ms", "1s", "6m0s", "1h0m5s", as OpenAI writes durations: milliseconds below a second and whole seconds above,
// rounded up. time: not negative.
std::string format_reset(Micros time);

// Three lines for sequences ("requests") and three for tokens, each only where the tenant has that limit.
void append_rate_limits(const TenantView& view, http::Headers* headers);

}  // namespace weir::api
