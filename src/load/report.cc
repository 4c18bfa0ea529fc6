#include "load/report.h"

#include <algorithm>
#include <cstdio>

#include "load/json_text.h"

namespace weir::load {
namespace {

std::string number(double value) { return JsonWriter().value(value).take(); }

std::string span(Micros us) { return number(static_cast<double>(us) / 1e6) + " s"; }

std::string load_line(const RunOptions& options, const Workload& workload) {
  std::string line;
  if (options.concurrency > 0) {
    line = "closed loop, " + std::to_string(options.concurrency) + " places";
    if (options.ramp_us > 0) line += " over " + span(options.ramp_us);
  } else if (workload.options().trace) {
    line = "open loop, trace of " + std::to_string(workload.options().trace->rows.size()) + " requests at " +
           number(options.trace_speed) + "x";
  } else {
    line = "open loop, " + number(options.rate) + " requests/s, " + options.arrivals.text;
  }
  if (options.requests > 0) line += ", " + std::to_string(options.requests) + " requests";
  if (options.duration_us > 0) line += ", for " + span(options.duration_us);
  if (options.warmup_us > 0) line += " after " + span(options.warmup_us) + " of warm-up";
  return line;
}

std::string content_line(const WorkloadOptions& options) {
  std::string line = options.endpoint == Endpoint::kChat ? "chat" : "completions";
  line += options.stream ? ", streamed" : ", not streamed";
  if (options.trace) return line + ", lengths of the trace";
  line += options.prompts.empty() ? ", prompt " + options.prompt_tokens.text()
                                  : ", " + std::to_string(options.prompts.size()) + " prompts of a file";
  line += ", output " + options.output_tokens.text();
  if (options.shared_prefix_tokens > 0) {
    line += ", prefix of " + std::to_string(options.shared_prefix_tokens) + " tokens in " +
            std::to_string(options.prefix_groups) + " groups";
  }
  return line;
}

double per_second(double count, double seconds) { return seconds > 0 ? count / seconds : 0; }

}  // namespace

Report::Report(const RunOptions& run_options, const Workload& workload, RunResult run_result)
    : options(run_options),
      target(workload.options().server.text()),
      model(workload.options().model),
      load(load_line(run_options, workload)),
      content(content_line(workload.options())),
      stream(workload.options().stream),
      seed(workload.options().seed),
      result(std::move(run_result)) {
  const Meter& meter = result.meter;
  const Micros end_us = meter.last_end_us > 0 ? meter.last_end_us : meter.last_slow_end_us;
  window_s = static_cast<double>(std::max<Micros>(0, end_us - options.warmup_us)) / 1e6;
  requests_per_s = per_second(static_cast<double>(meter.completed), window_s);
  output_tokens_per_s = per_second(static_cast<double>(meter.output_tokens), window_s);
  prompt_tokens_per_s = per_second(static_cast<double>(meter.prompt_tokens), window_s);
  goodput_per_s = per_second(static_cast<double>(meter.met), window_s);
  met_fraction = per_second(static_cast<double>(meter.met), static_cast<double>(meter.sent));
  cpu_fraction = per_second(result.cpu_seconds, static_cast<double>(result.wall_us) / 1e6);
  std::vector<double> services;
  for (size_t i = 0; i < meter.tenants.size(); ++i) {
    const Tenant& tenant = workload.tenants()[i];
    const TenantCount& count = meter.tenants[i];
    const double service = static_cast<double>(count.prompt_tokens + 2 * count.output_tokens) / tenant.weight;
    tenants.push_back({tenant.name, tenant.weight, count, service});
    services.push_back(service);
  }
  jain = jain_index(services);
}

std::vector<std::pair<const char*, Summary>> latency_rows(const Report& report) {
  const Meter& meter = report.result.meter;
  return {{"ttft", meter.ttft.summary()},       {"tpot", meter.tpot.summary()},
          {"itl", meter.gap.summary()},         {"e2e", meter.whole.summary()},
          {"refusal", meter.refusal.summary()}, {"lateness", meter.lateness.summary()},
          {"loop_turn", meter.turn.summary()}};
}

}  // namespace weir::load
