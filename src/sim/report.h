// Report: an Outcome as percentiles, a table for people, JSON for programs.
//
// Pure functions. Times are those of the simulated clients: from the arrival of the request, waiting included.
#pragma once

#include <string>
#include <vector>

#include "sim/outcome.h"
#include "sim/run.h"

namespace weir::sim {

struct Percentiles {
  int64_t count = 0;
  double p50 = 0, p90 = 0, p99 = 0;  // milliseconds; 0 where count is 0
};
// MODIFIES: the order of `values`. The nearest-rank percentiles.
Percentiles percentiles_of(std::vector<double>* values);

struct Group {
  std::string name;  // "all", "class interactive", "tenant a"
  int64_t sequences = 0, answered = 0, good = 0, late = 0;
  int64_t output_tokens = 0;
  Percentiles start_wait, ttft, tpot, e2e;  // of those that were answered; start_wait of all that started
};

struct Summary {
  std::vector<Group> groups;  // all, then the classes and tenants that occur, where there are several
  double seconds = 0, goodput_per_second = 0, output_tokens_per_second = 0;
  double waste_share = 0;  // recomputed tokens of all that were computed
  double hit_share = 0;    // prompt tokens that were shared, of those that were looked up
  double busy_share = 0;
  double speed = 0;  // simulated over real seconds
  // Jain, Chiu and Hawe, DEC-TR-301 (1984), over service / weight in the steps before which every tenant had
  // someone waiting; 0: there was no such step.
  double jain = 0;
};
double jain_index(const std::vector<double>& shares);
Summary summarise(const Outcome& outcome, const ReportContext& context);

std::string report_table(const Outcome& outcome, const Summary& summary, const ReportContext& context);
std::string report_json(const Outcome& outcome, const Summary& summary, const ReportContext& context);

}  // namespace weir::sim
