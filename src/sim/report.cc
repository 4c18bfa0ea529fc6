#include "sim/report.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace weir::sim {
namespace {

Group group_of(std::string name, const Outcome& outcome, const ReportContext& context,
               const std::function<bool(const SequenceRecord&)>& belongs) {
  Group group{.name = std::move(name)};
  std::vector<double> waits, ttft, tpot, e2e;
  for (const SequenceRecord& one : outcome.records) {
    if (!belongs(one)) continue;
    ++group.sequences;
    group.output_tokens += one.output_tokens;
    group.late += one.late;
    if (one.start_wait_us >= 0) waits.push_back(static_cast<double>(one.start_wait_us) / 1e3);
    if (!one.answered() || one.first_token_us < 0) continue;
    ++group.answered;
    const double gap = one.token_gap_us();
    ttft.push_back(static_cast<double>(one.first_token_us) / 1e3);
    e2e.push_back(static_cast<double>(one.last_token_us) / 1e3);
    if (gap >= 0) tpot.push_back(gap / 1e3);
    const bool in_time = (context.ttft_slo_us == 0 || one.first_token_us <= context.ttft_slo_us) &&
                         (context.tpot_slo_us == 0 || gap <= static_cast<double>(context.tpot_slo_us));
    group.good += in_time && !one.late;
  }
  group.start_wait = percentiles_of(&waits);
  group.ttft = percentiles_of(&ttft);
  group.tpot = percentiles_of(&tpot);
  group.e2e = percentiles_of(&e2e);
  return group;
}

double share_of(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

Percentiles percentiles_of(std::vector<double>* values) {
  Percentiles result{.count = static_cast<int64_t>(values->size())};
  if (values->empty()) return result;
  std::sort(values->begin(), values->end());
  const auto rank = [&](double share) {
    const double at = std::ceil(share * static_cast<double>(values->size()));
    return (*values)[static_cast<size_t>(std::max(at, 1.0)) - 1];
  };
  result.p50 = rank(0.5);
  result.p90 = rank(0.9);
  result.p99 = rank(0.99);
  return result;
}

double jain_index(const std::vector<double>& shares) {
  double sum = 0, squares = 0;
  for (const double share : shares) {
    sum += share;
    squares += share * share;
  }
  return squares == 0 ? 0 : sum * sum / (static_cast<double>(shares.size()) * squares);
}

Summary summarise(const Outcome& outcome, const ReportContext& context) {
  Summary summary;
  summary.groups.push_back(group_of("all", outcome, context, [](const SequenceRecord&) { return true; }));
  const auto add = [&](const std::string& name, const std::function<bool(const SequenceRecord&)>& belongs) {
    Group group = group_of(name, outcome, context, belongs);
    if (group.sequences > 0 && group.sequences < summary.groups[0].sequences)
      summary.groups.push_back(std::move(group));
  };
  for (size_t i = 0; i < context.shape.classes.size(); ++i) {
    add("class " + context.shape.classes[i].name,
        [i](const SequenceRecord& one) { return one.class_index == static_cast<int32_t>(i); });
  }
  std::vector<double> shares;
  for (size_t i = 0; i < context.shape.tenants.size(); ++i) {
    add("tenant " + context.shape.tenants[i].name,
        [i](const SequenceRecord& one) { return one.tenant == static_cast<int32_t>(i); });
    shares.push_back(outcome.tenants[i].contended / context.shape.tenants[i].weight);
  }
  summary.jain = shares.size() > 1 ? jain_index(shares) : 0;
  summary.seconds = static_cast<double>(outcome.simulated_us) / 1e6;
  if (summary.seconds > 0) {
    summary.goodput_per_second = static_cast<double>(summary.groups[0].good) / summary.seconds;
    summary.output_tokens_per_second = static_cast<double>(outcome.output_tokens) / summary.seconds;
    summary.busy_share = static_cast<double>(outcome.busy_us) / static_cast<double>(outcome.simulated_us);
  }
  summary.waste_share = share_of(outcome.recomputed_tokens,
                                 outcome.prompt_tokens + outcome.output_tokens + outcome.recomputed_tokens);
  summary.hit_share = share_of(outcome.prefix_hit_tokens, outcome.prefix_lookup_tokens);
  summary.speed = outcome.real_seconds > 0 ? summary.seconds / outcome.real_seconds : 0;
  return summary;
}

}  // namespace weir::sim
