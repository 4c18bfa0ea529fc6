// The table of report.h.
#include <cstdarg>
#include <cstdio>

#include "base/units.h"
#include "load/report.h"

namespace weir::load {
namespace {

constexpr double kBusyShare = 0.8;  // of a core and thread; above it the tester may be what limits

__attribute__((format(printf, 2, 3))) void append(std::string* out, const char* form, ...) {
  char line[512];
  va_list arguments;
  va_start(arguments, form);
  const int length = std::vsnprintf(line, sizeof line, form, arguments);
  va_end(arguments);
  out->append(line, static_cast<size_t>(std::min<int>(std::max(length, 0), sizeof line - 1)));
}

double ms(double us) { return us / 1000; }

void append_latencies(const Report& report, std::string* out) {
  append(out, "\n%-22s %10s %10s %10s %10s %10s %10s   (ms)\n", "", "mean", "p50", "p90", "p95", "p99", "max");
  const char* names[] = {"time to first token", "time per output token", "between tokens", "end to end", "refusal",
                         "our own lateness",    "our own loop's turn"};
  size_t at = 0;
  for (const auto& [key, summary] : latency_rows(report)) {
    const char* name = names[at++];
    if (summary.count == 0) continue;
    append(out, "%-22s %10.2f %10.2f %10.2f %10.2f %10.2f %10.2f\n", name, ms(summary.mean),
           ms(static_cast<double>(summary.p50)), ms(static_cast<double>(summary.p90)),
           ms(static_cast<double>(summary.p95)), ms(static_cast<double>(summary.p99)),
           ms(static_cast<double>(summary.max)));
  }
}

void append_goodput(const Report& report, std::string* out) {
  const Targets& targets = report.options.targets;
  append(out, "goodput                %.2f requests/s (%.1f %% of what was sent", report.goodput_per_s,
         report.met_fraction * 100);
  if (targets.ttft_us > 0) append(out, ", first token within %.0f ms", ms(static_cast<double>(targets.ttft_us)));
  if (targets.tpot_us > 0) append(out, ", %.1f ms a token", ms(static_cast<double>(targets.tpot_us)));
  if (targets.ttft_us == 0 && targets.tpot_us == 0) append(out, "; no targets set");
  append(out, ")\n");
}

void append_refusals(const Meter& meter, std::string* out) {
  if (meter.refused == 0) return;
  append(out, "\nrefusals: %s, %s of them with Retry-After\n", format_count(meter.refused).c_str(),
         format_count(meter.with_retry_after).c_str());
  for (const auto& [kind, count] : meter.refusals) {
    append(out, "  %10s  %d %s %s\n", format_count(count).c_str(), kind.status, kind.reason.c_str(),
           kind.code.c_str());
  }
}

void append_failures(const Meter& meter, std::string* out) {
  if (meter.failed == 0) return;
  append(out, "\nerrors: %s\n", format_count(meter.failed).c_str());
  for (size_t i = 0; i < meter.failures.size(); ++i) {
    if (meter.failures[i] == 0) continue;
    append(out, "  %10s  %s\n", format_count(meter.failures[i]).c_str(), failure_name(static_cast<Failure>(i)));
  }
}

void append_tenants(const Report& report, std::string* out) {
  if (report.tenants.size() < 2) return;
  append(out, "\n%-16s %8s %10s %10s %10s %12s %14s\n", "tenant", "weight", "sent", "completed", "refused",
         "output tok", "service/weight");
  constexpr size_t kShown = 20;
  for (size_t i = 0; i < std::min(kShown, report.tenants.size()); ++i) {
    const TenantLine& line = report.tenants[i];
    append(out, "%-16s %8.2f %10s %10s %10s %12s %14.0f\n", line.name.c_str(), line.weight,
           format_count(line.count.sent).c_str(), format_count(line.count.completed).c_str(),
           format_count(line.count.refused).c_str(),
           format_count(static_cast<uint64_t>(line.count.output_tokens)).c_str(), line.service);
  }
  if (report.tenants.size() > kShown)
    append(out, "... and %zu more (--json has them)\n", report.tenants.size() - kShown);
  append(out, "Jain index %.4f\n", report.jain);
}

}  // namespace

std::string report_text(const Report& report) {
  const Meter& meter = report.result.meter;
  std::string out = report.target + ", model " + report.model + "\n" + report.load + "\n" + report.content + "\n\n";
  append(&out, "requests               %s sent: %s completed, %s refused, %s failed, %s left on purpose",
         format_count(meter.sent).c_str(), format_count(meter.completed).c_str(),
         format_count(meter.refused).c_str(), format_count(meter.failed).c_str(),
         format_count(meter.aborted).c_str());
  if (meter.interrupted > 0) append(&out, ", %s cut off at the end", format_count(meter.interrupted).c_str());
  if (meter.slow > 0) append(&out, "; %s read slowly", format_count(meter.slow).c_str());
  append(&out, "\nwindow                 %.2f s%s\n", report.window_s,
         report.result.stopped ? " (stopped early)" : "");
  append(&out, "throughput             %.2f requests/s, %.1f output tokens/s, %.1f prompt tokens/s\n",
         report.requests_per_s, report.output_tokens_per_s, report.prompt_tokens_per_s);
  append_goodput(report, &out);
  append_latencies(report, &out);
  append_refusals(meter, &out);
  append_failures(meter, &out);
  append_tenants(report, &out);
  append(
      &out,
      "\nthis tester: %.1f %% of a core on %d thread%s, %s connections opened, %s of them anew for a closed one\n",
      report.cpu_fraction * 100, report.options.threads, report.options.threads == 1 ? "" : "s",
      format_count(meter.connects).c_str(), format_count(meter.reconnects).c_str());
  if (report.cpu_fraction > kBusyShare * report.options.threads) {
    append(&out, "warning: the tester itself was busy; give it more --threads or a machine of its own\n");
  }
  return out;
}

}  // namespace weir::load
