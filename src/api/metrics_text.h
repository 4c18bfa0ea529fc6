// /metrics: Prometheus text format 0.0.4 over everything that counts, read at the moment of the scrape.
//
// Any thread; reads atomics and calls the context's functions. One allocation of the usual size. Every series exists
// from the first scrape on, at 0, so that rates and alerts work before the first refusal.
#pragma once

#include <string>

#include "api/api.h"
#include "api/metrics.h"

namespace weir::api {

std::string metrics_text(const ApiContext& context, const ApiMetrics& metrics);

}  // namespace weir::api
