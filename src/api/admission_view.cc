#include "api/admission_view.h"

#include <algorithm>
#include <charconv>
#include <functional>

#include <fmt/format.h>

#include "api/admin.h"
#include "api/json_out.h"
#include "api/routes.h"

namespace weir::api {
namespace {

template <class T>
T read(const std::atomic<T>& value) {
  return value.load(std::memory_order_relaxed);
}

double seconds(Micros us) { return static_cast<double>(us) * 1e-6; }
double milli(int64_t thousandths) { return static_cast<double>(thousandths) * 1e-3; }

// {"p50":..,"p90":..}, or null where nothing is known. Times of the server's clock become seconds from now.
std::string in_seconds(Micros p50_at, Micros p90_at, Micros now) {
  if (p90_at == 0) return "null";
  return fmt::format(R"({{"p50":{:.3f},"p90":{:.3f}}})", seconds(std::max<Micros>(p50_at - now, 0)),
                     seconds(std::max<Micros>(p90_at - now, 0)));
}

std::string_view class_name(const ApiContext& context, int32_t index) {
  const auto i = static_cast<size_t>(index);
  return i < context.classes.size() ? std::string_view(context.classes[i].name) : std::string_view("unnamed");
}

void append_sequence(const ApiContext& context, const std::vector<std::string>& tenants, const Roster::Seen& one, Micros now,
                     std::string* out) {
  const bool runs = one.why == WaitReason::kNone;
  out->append(R"({"id":)");
  append_json_string(one.request_id, out);
  out->append(fmt::format(R"(,"choice":{},"tenant":)", one.entry.choice));
  append_json_string(tenants[static_cast<size_t>(one.entry.tenant)], out);  // names are never taken back
  out->append(R"(,"class":)");
  append_json_string(class_name(context, one.entry.class_index), out);
  out->append(fmt::format(R"(,"state":"{}","age_seconds":{:.3f})", runs ? "running" : "waiting",
                          seconds(std::max<Micros>(now - one.entry.arrival_us, 0))));
  if (!runs) {
    out->append(fmt::format(R"(,"why":"{}","ahead":{},"start_in_seconds":{},"first_token_in_seconds":{})",
                            wait_reason_name(one.why), one.ahead, in_seconds(one.start_p50_us, one.start_p90_us, now),
                            in_seconds(one.first_token_p50_us, one.first_token_p90_us, now)));
  }
  out->append(fmt::format(R"(,"prompt_tokens":{},"output_tokens":{},"max_tokens":{}}})", one.entry.prompt_tokens,
                          one.output_tokens, one.entry.max_tokens));
}

void append_totals(const ApiContext& context, std::string* out) {
  const LoadGauges& load = context.gateway->load();
  const FrontDoorOptions limits = context.door->options();
  out->append(fmt::format(R"("totals":{{"running":{},"waiting":{},"waiting_tokens":{},"places_held":{}}},)", read(load.running),
                          read(load.waiting), read(load.waiting_tokens), context.door->admitted()));
  out->append(fmt::format(R"("limits":{{"max_concurrent_requests":{},"max_queued_requests":{},"max_queued_tokens":{}}},)",
                          limits.running_max, limits.queued_max, limits.queued_tokens_max));
}

void append_classes(const ApiContext& context, std::string* out) {
  const LoadGauges& load = context.gateway->load();
  out->append(R"("classes":[)");
  for (size_t i = 0; i < context.classes.size() && i < static_cast<size_t>(kClassesMax); ++i) {
    out->append(i > 0 ? R"(,{"class":)" : R"({"class":)");
    append_json_string(context.classes[i].name, out);
    const StartEstimate estimate = context.door->estimate(static_cast<int>(i));
    out->append(fmt::format(R"(,"waiting":{},"start_in_seconds":{{"p50":{:.3f},"p90":{:.3f}}}}})",
                            read(load.waiting_by_class[i]), seconds(estimate.start_p50_us), seconds(estimate.start_p90_us)));
  }
  out->append("],");
}

void append_predictions(const LoadGauges& load, std::string* out) {
  out->append(fmt::format(R"("prediction":{{"step_error":{{"p50":{:.3f},"p90":{:.3f}}},"start_ratio":{{"p50":{:.3f},"p90":{:.3f}}},)"
                          R"("started_by_p90":{:.3f}}},)",
                          milli(read(load.step_error_milli_p50)), milli(read(load.step_error_milli_p90)),
                          milli(read(load.start_ratio_milli_p50)), milli(read(load.start_ratio_milli_p90)),
                          milli(read(load.start_within_p90_milli))));
}

void append_overload(const OverloadNow& now, Micros clock_us, std::string* out) {
  out->append(fmt::format(R"("brown_out":{{"on":{},"rung":"{}","level":{:.3f}}},)", now.brown_out, rung_name(now.rung), now.level));
  out->append(fmt::format(R"("adaptive":{{"mode":"{}","limit":{},"min":{},"max":{},"signal":{:.3f},"changes":[)", now.adaptive,
                          now.limit, now.limit_min, now.limit_max, now.signal));
  for (size_t i = 0; i < now.last_changes.size(); ++i) {
    const LimitChange& change = now.last_changes[i];
    out->append(fmt::format(R"({}{{"seconds_ago":{:.3f},"from":{},"to":{},"signal":{:.3f},"queue_delay_seconds":{:.3f},"reason":"{}"}})",
                            i > 0 ? "," : "", seconds(std::max<Micros>(clock_us - change.at_us, 0)), change.from, change.to,
                            change.signal, seconds(change.queue_delay_us), limit_reason_name(change.reason)));
  }
  out->append("]},");
}

std::string admission_json(const Service& service, std::optional<int32_t> tenant, size_t most) {
  const ApiContext& context = service.context;
  const Roster::View view = service.roster.collect(*context.gateway, tenant, most);
  const Micros now = service.now_us();
  std::string out = "{";
  append_totals(context, &out);
  append_classes(context, &out);
  append_predictions(context.gateway->load(), &out);
  if (context.overload_now) append_overload(context.overload_now(), now, &out);
  out.append(fmt::format(R"("scope":"{}","running":{},"waiting":{},"sequences":[)", tenant ? "own" : "all", view.running,
                         view.waiting));
  const auto tenants = context.tenants->names();
  for (size_t i = 0; i < view.seen.size(); ++i) {
    if (i > 0) out.push_back(',');
    append_sequence(context, *tenants, view.seen[i], now, &out);
  }
  const size_t all = view.running + view.waiting;
  out.append(fmt::format(R"(],"left_out":{}}})", all - std::min(all, view.seen.size())));
  return out;
}

// RETURNS: nothing where the query asks for what there is not.
std::optional<size_t> shown_limit(std::string_view query) {
  const std::string text = query_value(query, "limit");
  if (text.empty()) return kShownDefault;
  size_t limit = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
  if (error != std::errc() || end != text.data() + text.size() || limit < 1 || limit > kShownMax) return {};
  return limit;
}

}  // namespace

void answer_admission(const Service& service, const http::Request& request, Reply reply) {
  const std::string_view authorization = request.header("authorization");
  std::optional<int32_t> tenant;
  if (admin_refusal(service, authorization)) {
    const Result<Caller> caller = identify(*service.context.tenants->directory(), authorization);
    if (!caller.ok()) return reply.error({.status = caller.status()});
    tenant = caller->tenant;
  }
  if (const std::string word = unknown_query_word(request.query, {"limit"}); !word.empty()) {
    return reply.error(bad_param(word, word + " is no query parameter of this route; there is limit"));
  }
  const auto limit = shown_limit(request.query);
  if (!limit) {
    return reply.error(bad_param("limit", fmt::format("is no number from 1 to {}; it says how many sequences are shown", kShownMax)));
  }
  reply.json(200, admission_json(service, tenant, *limit));
}

}  // namespace weir::api
