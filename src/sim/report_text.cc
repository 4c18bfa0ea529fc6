// The table and the JSON of a report. Names are those of classes and tenants, which the options have checked.
#include <fmt/format.h>

#include <functional>

#include "sim/report.h"

namespace weir::sim {
namespace {

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out + '"';
}

std::string percentiles_json(const Percentiles& p) {
  return fmt::format(R"({{"count": {}, "p50": {:.3f}, "p90": {:.3f}, "p99": {:.3f}}})", p.count, p.p50, p.p90,
                     p.p99);
}

std::string group_json(const Group& group) {
  return fmt::format(
      R"({{"name": {}, "sequences": {}, "answered": {}, "good": {}, "late": {}, "output_tokens": {}, "start_wait_ms": {}, )"
      R"("ttft_ms": {}, "tpot_ms": {}, "e2e_ms": {}}})",
      quoted(group.name), group.sequences, group.answered, group.good, group.late, group.output_tokens,
      percentiles_json(group.start_wait), percentiles_json(group.ttft), percentiles_json(group.tpot),
      percentiles_json(group.e2e));
}

template <class Each>
std::string joined(size_t count, const Each& each) {
  std::string out;
  for (size_t i = 0; i < count; ++i) {
    const std::string one = each(i);
    if (!one.empty()) out += (out.empty() ? "" : ", ") + one;
  }
  return out;
}

// "queue_full 3", or as JSON members; what did not happen is left out.
std::string counts_text(size_t count, bool as_json,
                        const std::function<std::pair<const char*, uint64_t>(size_t)>& at) {
  return joined(count, [&](size_t i) {
    const auto [name, number] = at(i);
    if (number == 0) return std::string();
    return as_json ? fmt::format("\"{}\": {}", name, number) : fmt::format("{} {}", name, number);
  });
}

std::string refusals_text(const Outcome& outcome, bool as_json) {
  return counts_text(outcome.refusals.size(), as_json, [&](size_t i) {
    return std::pair{refusal_name(static_cast<Refusal>(i)), outcome.refusals[i]};
  });
}

std::string finishes_text(const Outcome& outcome, bool as_json) {
  return counts_text(outcome.finishes.size(), as_json, [&](size_t i) {
    return std::pair{finish_reason_name(static_cast<FinishReason>(i)), outcome.finishes[i]};
  });
}

}  // namespace

std::string report_table(const Outcome& outcome, const Summary& summary, const ReportContext& context) {
  const Group& all = summary.groups[0];
  std::string out = fmt::format("server    {} places, {} may wait, {} tokens a step, session {}, {} blocks of {}\n",
                                context.shape.running_max, context.shape.queued_max, context.shape.step_tokens_max,
                                context.shape.session_tokens, context.shape.blocks, context.shape.block_tokens);
  out += fmt::format("steps     {}\nload      {}\n\n", context.profile, context.load);
  out += fmt::format("{:<22}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}\n", "", "answered", "good",
                     "TTFT p50", "p90", "p99", "TPOT p50", "p90", "p99", "E2E p50", "p99");
  for (const Group& group : summary.groups) {
    out +=
        fmt::format("{:<22}{:>9}{:>9}{:>9.1f}{:>9.1f}{:>9.1f}{:>9.2f}{:>9.2f}{:>9.2f}{:>9.0f}{:>9.0f}\n",
                    group.name.substr(0, 21), group.answered, group.good, group.ttft.p50, group.ttft.p90,
                    group.ttft.p99, group.tpot.p50, group.tpot.p90, group.tpot.p99, group.e2e.p50, group.e2e.p99);
  }
  out += "(milliseconds)\n\n";
  out += fmt::format(
      "goodput   {:.2f} requests/s, {:.0f} output tokens/s; {} of {} offered requests, {} answered late\n",
      summary.goodput_per_second, summary.output_tokens_per_second, all.good, outcome.offered, all.late);
  const std::string refused = refusals_text(outcome, false);
  out += fmt::format("refused   {}\n", refused.empty() ? "none" : refused);
  out += fmt::format("ended     {}\n", finishes_text(outcome, false));
  if (summary.jain > 0)
    out += fmt::format("fairness  Jain {:.4f} of service / weight while all tenants wait\n", summary.jain);
  out += fmt::format("waste     {} preemptions, {} tokens computed again ({:.2f}% of all)\n", outcome.preemptions,
                     outcome.recomputed_tokens, 100 * summary.waste_share);
  out += fmt::format("prefix    {:.1f}% of {} prompt tokens shared, {} blocks evicted\n", 100 * summary.hit_share,
                     outcome.prefix_lookup_tokens, outcome.prefix_evictions);
  out += fmt::format("time      {:.1f} s simulated in {:.2f} s ({:.0f}x), {} steps, engine busy {:.1f}%\n",
                     summary.seconds, outcome.real_seconds, summary.speed, outcome.steps, 100 * summary.busy_share);
  out += fmt::format("seed      {}, events {:016x}\n", context.seed, outcome.event_hash);
  return out;
}

std::string report_json(const Outcome& outcome, const Summary& summary, const ReportContext& context) {
  const std::string groups = joined(summary.groups.size(), [&](size_t i) { return group_json(summary.groups[i]); });
  std::string out = "{\n";
  out += fmt::format(R"(  "seed": {}, "event_hash": "{:016x}", "profile": {}, "load": {},)", context.seed,
                     outcome.event_hash, quoted(context.profile), quoted(context.load));
  out += fmt::format("\n  \"offered\": {}, \"submitted\": {}, \"ended\": {}, \"gone_before_admission\": {},",
                     outcome.offered, outcome.submitted, outcome.ended, outcome.gone_before_admission);
  out += fmt::format("\n  \"refused\": {{{}}},", refusals_text(outcome, true));
  out += fmt::format("\n  \"finished\": {{{}}},", finishes_text(outcome, true));
  out += fmt::format("\n  \"groups\": [{}],", groups);
  out += fmt::format("\n  \"goodput_per_second\": {:.6f}, \"output_tokens_per_second\": {:.3f}, \"jain\": {:.6f},",
                     summary.goodput_per_second, summary.output_tokens_per_second, summary.jain);
  out += fmt::format("\n  \"preemptions\": {}, \"recomputed_tokens\": {}, \"waste_share\": {:.6f},",
                     outcome.preemptions, outcome.recomputed_tokens, summary.waste_share);
  out += fmt::format(
      "\n  \"prompt_tokens\": {}, \"output_tokens\": {}, \"prefix_hit_share\": {:.6f}, \"prefix_evictions\": {},",
      outcome.prompt_tokens, outcome.output_tokens, summary.hit_share, outcome.prefix_evictions);
  out += fmt::format(
      "\n  \"steps\": {}, \"busy_share\": {:.6f}, \"simulated_seconds\": {:.6f}, \"real_seconds\": {:.3f}, "
      "\"speed\": {:.1f}",
      outcome.steps, summary.busy_share, summary.seconds, outcome.real_seconds, summary.speed);
  return out + "\n}\n";
}

}  // namespace weir::sim
