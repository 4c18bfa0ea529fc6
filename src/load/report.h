// Report: a finished load test as numbers, and as a table, JSON or one HTML page. Pure, any thread.
//
// The window of all rates is from the end of the warm-up to the end of the last measured answer, so a server that
// answers late is not flattered; answers that we read slowly on purpose do not stretch it. Goodput counts completed
// requests that met every target, in requests a second.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "load/run.h"

namespace weir::load {

struct TenantLine {
  std::string name;
  double weight = 1;
  TenantCount count;
  double service = 0;  // prompt tokens + 2 x output tokens, as VTC charges them (OSDI'24), over the weight
};

struct Report {
  Report(const RunOptions& run_options, const Workload& workload, RunResult run_result);

  RunOptions options;
  std::string target, model;  // where to, and what was asked for
  std::string load;           // one line: how requests arrived
  std::string content;        // one line: what they were
  bool stream = true;
  uint64_t seed = 0;
  RunResult result;
  double window_s = 0;
  double requests_per_s = 0, output_tokens_per_s = 0, prompt_tokens_per_s = 0, goodput_per_s = 0;
  double met_fraction = 0;  // of all measured requests
  double cpu_fraction = 0;  // of one core, over all workers
  double jain = 1;          // over tenants' services
  std::vector<TenantLine> tenants;
};

// In the order of the table. Those without a count were not measured.
std::vector<std::pair<const char*, Summary>> latency_rows(const Report& report);

std::string report_text(const Report& report);  // ends with a newline
std::string report_json(const Report& report);  // one document, ends with a newline
std::string report_html(const Report& report);  // self-contained: no script, no link elsewhere

}  // namespace weir::load
