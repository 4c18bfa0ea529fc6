#include "sim/run.h"

#include <fmt/format.h>

#include "sim/report.h"
#include "sim/svg.h"
#include "sim/world.h"

namespace weir::sim {

std::string Violation::text() const {
  return fmt::format("step {} at {:.6f} s: {}", step, static_cast<double>(at_us) / 1e6, what);
}

RunReport run_and_report(const RunOptions& options, const StepProfile& profile, const Load& load,
                         const ReportContext& context) {
  const Outcome outcome = World({options, {}}, &profile, &load).run();
  RunReport report;
  if (outcome.violation) {
    report.violation = outcome.violation->text();
    return report;
  }
  const Summary summary = summarise(outcome, context);
  report.table = report_table(outcome, summary, context);
  report.json = report_json(outcome, summary, context);
  if (options.sample_us > 0) report.svg = plot_svg(outcome, context);
  return report;
}

}  // namespace weir::sim
