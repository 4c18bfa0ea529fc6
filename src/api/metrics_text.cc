#include "api/metrics_text.h"

#include <algorithm>

#include "api/json_out.h"
#include "api/metrics_tenants.h"
#include "api/prom_text.h"
#include "base/alloc_guard.h"
#include "base/output_lane.h"

namespace weir::api {
namespace {

void write_engine(const LoadGauges& load, PromText* out) {
  out->gauge("weir_requests_running", "Sequences that hold a running place.", read(load.running));
  out->gauge("weir_requests_waiting", "Sequences that wait for a running place.", read(load.waiting));
  out->gauge("weir_waiting_tokens", "Prompt tokens of the waiting sequences.",
             static_cast<double>(read(load.waiting_tokens)));
  out->family("weir_kv_blocks", "gauge", "Blocks of the KV pool; evictable ones hold only cached prefixes.");
  out->labelled("state", "live", not_negative(read(load.blocks_live)));
  out->labelled("state", "free", not_negative(read(load.blocks_free)));
  out->labelled("state", "evictable", not_negative(read(load.blocks_evictable)));
  out->counter("weir_steps_total", "Steps of the engine.", read(load.steps));
  out->family("weir_step_seconds_total", "counter", "Time spent in steps.");
  out->sample(static_cast<double>(read(load.step_us_total)) * 1e-6);
  out->counter("weir_prompt_tokens_total", "Prompt tokens computed.", read(load.prompt_tokens));
  out->counter("weir_output_tokens_total", "Tokens produced.", read(load.output_tokens));
  out->counter("weir_spec_drafted_tokens_total", "Tokens guessed by --speculative and computed.", read(load.spec_drafted_tokens));
  out->counter("weir_spec_accepted_tokens_total", "Of these, right: tokens that cost no step of their own.",
               read(load.spec_accepted_tokens));
  out->counter("weir_spec_steps_total", "Steps with guessed tokens.", read(load.spec_steps));
  out->counter("weir_spec_switched_off_total", "Times a sequence stopped guessing for a while because it did not pay.",
               read(load.spec_switched_off));
  out->counter("weir_preemptions_total", "Sequences put back for want of blocks or of a place.", read(load.preemptions));
  out->counter("weir_place_preemptions_total", "Of these, background sequences that gave their place to urgent ones.",
               read(load.place_preemptions));
  out->counter("weir_passes_total", "Sequences that started before one that was first and did not fit the pool.",
               read(load.passes));
  out->counter("weir_lifts_total", "Sequences that waited so long that they count as of the next higher class.",
               read(load.lifts));
  out->counter("weir_prefill_cuts_total",
               "Steps beside streams that were late, after which prefill got half as much.",
               read(load.prefill_cuts));
  out->gauge("weir_queue_stands", "1 while urgent work expires because the queue does not drain.", read(load.queue_stands) ? 1 : 0);
  out->counter("weir_recomputed_tokens_total", "Tokens computed again after a preemption.", read(load.recomputed_tokens));
  const uint64_t produced = read(load.prompt_tokens) + read(load.output_tokens);
  out->gauge("weir_recompute_ratio", "Tokens computed again per token of prompt or answer.",
             produced == 0 ? 0 : static_cast<double>(read(load.recomputed_tokens)) / static_cast<double>(produced));
  out->counter("weir_sequences_started_total", "Sequences that got a running place.", read(load.started_sequences));
  out->counter("weir_overcommit_overflows_total", "Sequences that ran out of blocks although the forecast had let them in.",
               read(load.overflows));
  const uint64_t started = read(load.started_sequences);
  out->gauge("weir_overcommit_overflow_ratio", "Overflows per sequence started.",
             started == 0 ? 0 : static_cast<double>(read(load.overflows)) / static_cast<double>(started));
  out->counter("weir_prefix_lookup_tokens_total", "Prompt tokens looked up in the prefix cache.", read(load.prefix_lookup_tokens));
  out->counter("weir_prefix_hit_tokens_total", "Of these, found and shared.", read(load.prefix_hit_tokens));
  out->counter("weir_prefix_waits_total", "Sequences that waited for a prefix that another was computing.",
               read(load.prefix_waits));
  out->counter("weir_prefix_evictions_total", "Cached blocks given up for new ones.", read(load.prefix_evictions));
  out->counter("weir_block_copies_total", "Blocks copied: on write to a shared one, and when the pool shrank.",
               read(load.block_copies));
  out->counter("weir_pool_resizes_total", "Changes of the pool's size while serving.", read(load.pool_resizes));
  out->counter("weir_ring_stalls_total", "Steps a sequence sat out because its events were not read.",
               read(load.ring_stalls));
  out->family("weir_sequences_finished_total", "counter", "Sequences ended, by the engine's reason.");
  for (int reason = static_cast<int>(FinishReason::kStop); reason < kFinishReasons; ++reason) {
    out->labelled("reason", finish_reason_name(static_cast<FinishReason>(reason)),
                  read(load.finished_by_reason[reason]));
  }
}

void write_door(const FrontDoor& door, PromText* out) {
  out->gauge("weir_places_held", "Places given out by the front door, waiting and running.", door.admitted());
  out->gauge("weir_ready", "1 when new work could be taken, whether the queue is full or not.", door.ready() && !door.refusing_for_memory() ? 1 : 0);
  out->family("weir_refusals_total", "counter", "Requests refused, by reason.");
  for (size_t i = 0; i < static_cast<size_t>(Refusal::kCount); ++i) {
    const auto refusal = static_cast<Refusal>(i);
    out->labelled("reason", refusal_name(refusal), door.refusals(refusal));
  }
}

void write_http(const http::Server::Stats& stats, PromText* out) {
  out->gauge("weir_http_connections", "Open connections.", static_cast<double>(stats.connections));
  out->counter("weir_http_accepted_total", "Connections accepted.", stats.accepted);
  out->counter("weir_http_refused_connections_total", "Connections refused for want of a slot.", stats.refused_connections);
  out->counter("weir_http_requests_total", "Requests read.", stats.requests);
  out->counter("weir_http_bad_requests_total", "Requests that were no valid HTTP or over a limit.", stats.bad_requests);
  out->counter("weir_http_timeouts_total", "Connections that ran into a deadline.", stats.timeouts);
  out->counter("weir_http_client_gone_total", "Clients that left before their answer was complete.", stats.client_gone);
  out->counter("weir_http_slow_readers_total", "Clients cut off because they did not read.", stats.slow_readers);
  out->counter("weir_http_gave_way_total",
               "Idle or keyless connections closed because a newer one wanted the slot.", stats.gave_way);
  out->counter("weir_http_held_total",
               "Times that a connection was held back to keep refusals and keyless answers at their pace.",
               stats.held);
  out->counter("weir_http_dropped_answers_total",
               "Answers whose reader did not read and whose bytes found no room.", stats.dropped_answers);
  out->counter("weir_http_bytes_in_total", "Bytes read from clients.", stats.bytes_in);
  out->counter("weir_http_bytes_out_total", "Bytes written to clients.", stats.bytes_out);
}

void write_memory(const MemoryNow& memory, PromText* out) {
  out->gauge("weir_memory_rss_bytes", "Resident memory of the process.", static_cast<double>(memory.rss_bytes));
  out->gauge("weir_memory_peak_bytes", "Highest resident memory so far.", static_cast<double>(memory.peak_bytes));
  out->gauge("weir_memory_plan_bytes", "What the plan promises not to exceed.", static_cast<double>(memory.plan_bytes));
  out->gauge("weir_host_unaccounted_bytes",
             "Resident memory beyond the plan's resident lines and what requests hold: program, stacks, allocator, leaks.",
             static_cast<double>(memory.unaccounted_bytes));
  out->gauge("weir_memory_limit_bytes", "What the machine, its cgroups and --memory-limit allow.",
             static_cast<double>(memory.limit_bytes));
  out->gauge("weir_memory_huge_page_bytes", "Memory that the kernel gave as huge pages, looked at after start.",
             static_cast<double>(memory.huge_page_bytes));
  out->gauge("weir_memory_age_seconds", "Since the process was looked at: how old the figures of its memory are.",
             static_cast<double>(memory.age_us) * 1e-6);
}

void write_log(PromText* out) {
  out->family("weir_log_dropped_total", "counter",
              "Lines of the log and of other output (text) that could not be written in time, or at all.");
  for (const LogLevel level :
       {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarning, LogLevel::kError, LogLevel::kOff}) {
    out->labelled("level", log_level_word(level), dropped_lines(level));
  }
}

// Left out where nothing counts: a zero would say more than is known.
void write_sealed(PromText* out) {
  if (!alloc_guard_linked()) return;
  out->family("weir_sealed_allocations_total", "counter",
              "Heap allocations of threads that promised none after their start; anything but 0 is a bug.");
  std::array<SealedThread, kSealedNamesMax> memory;
  for (const SealedThread& thread : sealed_threads(&memory)) {
    out->labelled("thread", thread.name, thread.allocations);
  }
}

void write_pressure(const PressureNow& pressure, PromText* out) {
  out->gauge("weir_memory_pressure", "How near memory is to running out: 0.5 with one reserve of room, 1 with none.",
             pressure.level);
  out->family("weir_memory_room_bytes", "gauge", "Room under the tightest limit; absent where no limit is known.");
  if (pressure.room_bytes) out->sample(*pressure.room_bytes);
  out->gauge("weir_memory_stage", "Stage of the memory governor, 0 (calm) to 5 (cancel_newest).", pressure.stage);
  out->family("weir_memory_stage_entered_total", "counter", "How often each stage was entered, upwards or downwards.");
  for (const auto& [stage, count] : pressure.entered) out->labelled("stage", stage, count);
  out->family("weir_memory_source_info", "gauge", "1 with what decides the pressure as its label.");
  std::string labels = "{source=";
  append_json_string(pressure.source, &labels);
  out->sample(uint64_t{1}, labels.append("}"));
}

// Left out where the system does not tell: a zero would say that all is well.
void write_cpu(const CpuNow& cpu, PromText* out) {
  out->gauge("weir_compute_threads", "Threads that compute: --threads.", cpu.threads);
  if (cpu.run_seconds && cpu.wait_seconds) {
    out->family("weir_cpu_run_seconds_total", "counter", "Time that the compute threads were on a CPU.");
    out->sample(*cpu.run_seconds);
    out->family("weir_cpu_wait_seconds_total", "counter", "Time that the compute threads could have run and had no CPU.");
    out->sample(*cpu.wait_seconds);
  }
  if (cpu.throttled_periods) {
    out->counter("weir_cpu_throttled_periods_total", "Periods in which the CPU quota of the cgroup ran out.",
                 *cpu.throttled_periods);
  }
}

void write_host(const Ledger& ledger, PromText* out) {
  out->family("weir_host_bytes", "gauge", "Host bytes that requests hold, by what they are for.");
  for (size_t i = 0; i < kHostKinds; ++i) {
    const auto kind = static_cast<HostKind>(i);
    out->labelled("kind", host_kind_name(kind), ledger.used_bytes(kind));
  }
  out->bytes_gauge("weir_host_bytes_peak", "Most host bytes that requests held at one moment.", ledger.peak_bytes());
  out->bytes_gauge("weir_host_bytes_limit", "Host bytes that all requests together may hold: --host-request-bytes.",
             ledger.options().total_bytes_max);
  out->family("weir_host_refusals_total", "counter", "Charges refused, by the limit that was reached.");
  out->labelled("limit", "total", ledger.refusals(Grant::kTotalFull));
  out->labelled("limit", "request", ledger.refusals(Grant::kRequestFull));
  out->labelled("limit", "tenant", ledger.refusals(Grant::kGroupFull) + ledger.refusals(Grant::kOverGroup));
}

double milli(const std::atomic<int64_t>& thousandths) { return static_cast<double>(read(thousandths)) / 1000; }

void write_quantiles(std::string_view name, std::string_view help, double p50, double p90, PromText* out) {
  out->family(name, "gauge", help);
  out->sample(p50, "{quantile=\"0.5\"}");
  out->sample(p90, "{quantile=\"0.9\"}");
}

void write_predictions(const LoadGauges& load, PromText* out) {
  write_quantiles("weir_step_prediction_error_ratio", "Of |predicted / took - 1| over the last steps; 0 while there are none.",
                  milli(load.step_error_milli_p50), milli(load.step_error_milli_p90), out);
  out->gauge("weir_step_pace_ratio", "Time that steps take over what is predicted, smoothed; 1 is as expected.",
             milli(load.step_pace_milli));
  out->gauge("weir_step_drag_ratio",
             "Time that steps take over the processor time that they cost, smoothed; 1 is a machine of our own.",
             milli(load.step_drag_milli));
  write_quantiles("weir_start_prediction_error_ratio",
                  "Of waited / predicted before correction by experience, over the last starts; 1 is exact.",
                  milli(load.start_ratio_milli_p50), milli(load.start_ratio_milli_p90), out);
  out->gauge("weir_start_in_time_ratio", "The part of the last starts that came by the p90 that was predicted; 0.9 is the aim.",
             milli(load.start_within_p90_milli));
}

void write_classes(const ApiContext& context, PromText* out) {
  const LoadGauges& load = context.gateway->load();
  const size_t count = std::min(context.classes.size(), static_cast<size_t>(kClassesMax));
  out->family("weir_waiting_by_class", "gauge", "Sequences that wait for a running place, by class.");
  for (size_t i = 0; i < count; ++i) {
    out->sample(static_cast<double>(read(load.waiting_by_class[i])), "{class=\"" + context.classes[i].name + "\"}");
  }
  out->family("weir_predicted_start_seconds", "gauge", "When a request of the class that came now would start; 0: at once.");
  for (size_t i = 0; i < count; ++i) {
    const StartEstimate estimate = context.door->estimate(static_cast<int>(i));
    const std::string labels = "{class=\"" + context.classes[i].name + "\",quantile=\"";
    out->sample(static_cast<double>(estimate.start_p50_us) * 1e-6, labels + "0.5\"}");
    out->sample(static_cast<double>(estimate.start_p90_us) * 1e-6, labels + "0.9\"}");
  }
}

void write_overload(const OverloadNow& now, PromText* out) {
  out->gauge("weir_adaptive_limit", "Places of the adaptive limit, in force or in shadow.", now.limit);
  out->gauge("weir_adaptive_acting", "1 when the adaptive limit is in force (--adaptive on).", now.adaptive == "on" ? 1 : 0);
  out->gauge("weir_adaptive_signal_ratio", "Mean step time of the last second over its target; 0 when no step ran.", now.signal);
  out->family("weir_adaptive_changes_total", "counter", "Changes of the adaptive limit, by reason.");
  for (size_t i = 0; i < now.changes.size(); ++i) {
    out->labelled("reason", limit_reason_name(static_cast<LimitReason>(i)), now.changes[i]);
  }
  out->gauge("weir_brown_out_level", "How overloaded the server is; the rungs are entered at 0.5, 0.65, 0.8, 0.9 and 1.1.", now.level);
  out->family("weir_brown_out_active", "gauge", "1 for each rung of the brown-out ladder that is in force.");
  for (size_t i = 1; i < kRungs; ++i) {
    out->labelled("rung", rung_name(static_cast<Rung>(i)), static_cast<size_t>(now.rung) >= i ? 1 : 0);
  }
  out->family("weir_brown_out_entered_total", "counter", "How often each rung of the brown-out ladder was entered.");
  for (size_t i = 1; i < kRungs; ++i) out->labelled("rung", rung_name(static_cast<Rung>(i)), now.entered[i]);
}

void write_own(const ApiMetrics& metrics, PromText* out) {
  out->counter("weir_metrics_texts_total",
               "Texts of /metrics that were made; other scrapes got a copy of the last one.",
               read(metrics.texts_made));
  out->counter("weir_requests_dropped_total",
               "Requests that an exception ended and that were answered with a bare 500.", read(metrics.dropped));
  out->family("weir_requests_abandoned_total", "counter", "Admitted requests whose client went before the last byte.");
  for (size_t i = 1; i < std::size(metrics.gone); ++i) {
    out->labelled("why", http::gone_name(static_cast<http::Gone>(i)), read(metrics.gone[i]));
  }
  out->histogram("weir_queue_seconds", "From the request's arrival to its running place, per sequence.", metrics.queue);
  out->histogram("weir_time_to_first_token_seconds", "From the request's arrival to its first token, queue included.",
                 metrics.first_token);
  out->histogram("weir_time_per_output_token_seconds", "Mean time between the tokens of a sequence after its first.",
                 metrics.token_gap);
  out->histogram("weir_request_seconds", "From the request's arrival to its last byte, admitted requests.",
                 metrics.request);
}

void write_watchdog(const WatchdogNow& now, PromText* out) {
  out->counter("weir_watchdog_stalls_total", "Steps that took longer than --watchdog-timeout, and stops of the loop between two.",
               now.stalls);
  out->counter("weir_watchdog_abandoned_steps_total", "Of these, steps that ended when they were told to.", now.abandoned_steps);
  out->counter("weir_watchdog_culprits_total", "Sequences that did not come to an end alone and were ended.", now.culprits);
}

// The names that routers and gateways read from vLLM.
void write_aliases(const ApiContext& context, PromText* out) {
  const LoadGauges& load = context.gateway->load();
  std::string labels = "{model_name=";
  append_json_string(context.model_name, &labels);
  labels.push_back('}');
  out->family("vllm:num_requests_running", "gauge", "Alias of weir_requests_running.");
  out->sample(static_cast<double>(read(load.running)), labels);
  out->family("vllm:num_requests_waiting", "gauge", "Alias of weir_requests_waiting.");
  out->sample(static_cast<double>(read(load.waiting)), labels);
  const int64_t total = read(load.blocks_total);
  out->family("vllm:kv_cache_usage_perc", "gauge", "Live blocks over all blocks, 0 to 1.");
  out->sample(total > 0 ? static_cast<double>(read(load.blocks_live)) / static_cast<double>(total) : 0.0, labels);
}

}  // namespace

std::string metrics_text(const ApiContext& context, const ApiMetrics& metrics, size_t expected_bytes) {
  PromText out(expected_bytes);
  write_engine(context.gateway->load(), &out);
  write_door(*context.door, &out);
  if (context.http_stats) write_http(context.http_stats(), &out);
  if (context.memory_now) write_memory(context.memory_now(), &out);
  if (context.pressure_now) write_pressure(context.pressure_now(), &out);
  if (context.cpu_now) write_cpu(context.cpu_now(), &out);
  write_predictions(context.gateway->load(), &out);
  write_classes(context, &out);
  if (context.overload_now) write_overload(context.overload_now(), &out);
  write_watchdog(context.watchdog_now ? context.watchdog_now() : WatchdogNow{}, &out);
  write_sealed(&out);
  write_log(&out);
  write_host(*context.ledger, &out);
  write_tenants(context, &out);
  write_own(metrics, &out);
  write_aliases(context, &out);
  return out.take();
}

}  // namespace weir::api
