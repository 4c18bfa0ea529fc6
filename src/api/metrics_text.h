// /metrics: Prometheus text format 0.0.4 over everything that counts, read at the moment of the scrape.
//
// Any thread; reads atomics and calls the context's functions, which read no files. One allocation of the size that
// is expected. Every series exists from the first scrape on, at 0, so that rates and alerts work before the first
// refusal.
#pragma once

#include <cstdint>
#include <string>

#include "api/api.h"
#include "api/metrics.h"

namespace weir::api {

std::string metrics_text(const ApiContext& context, const ApiMetrics& metrics, size_t expected_bytes);

// What a text can have at most with so many tenants, for the plan: names of 64 characters, every reason occurred.
constexpr uint64_t metrics_bytes_max(uint64_t tenants) {
  constexpr uint64_t kFixedBytes = uint64_t{64} << 10, kTenantBytes = uint64_t{6} << 10;
  return kFixedBytes + tenants * kTenantBytes;
}

}  // namespace weir::api
