// Lines of the plan that follow what was promised: the queue in requests, and /metrics in tenants.
#include "server/plan_lines.h"

#include <gtest/gtest.h>

#include "api/host_bytes.h"
#include "api/metrics_text.h"
#include "config/parse.h"
#include "message/tenants.h"
#include "server/blueprint.h"

namespace weir {
namespace {

MemoryPlan plan_with(void (*change)(Settings*)) {
  Settings settings;
  settings.model = "models/weir-demo";
  settings.threads = 1;
  settings.pin_threads = false;
  settings.max_concurrent_requests = 2;
  change(&settings);
  std::vector<std::string> warnings;
  EXPECT_TRUE(resolve_settings(&settings, &warnings).ok());
  auto blueprint = draw_blueprint(settings);
  EXPECT_TRUE(blueprint.ok()) << blueprint.status().message();
  return blueprint.ok() ? blueprint->plan : MemoryPlan{};
}

uint64_t line(const MemoryPlan& plan, const std::string& name) {
  for (const PlanLine& one : plan.lines) {
    if (one.name == name) return one.bytes;
  }
  ADD_FAILURE() << "no line " << name;
  return 0;
}

TEST(Faults, waiting_streams_refused) {
  const uint64_t floor = line(plan_with([](Settings*) {}), "requests");
  const uint64_t most = line(plan_with([](Settings* s) { s->max_queued_requests = 10'000; }), "requests");
  EXPECT_EQ(most - floor, (10'000 - 1'024) * api::kWaitingRequestBytes)
      << "1,024 can wait after a patch in any case";
  const uint64_t tokens = line(plan_with([](Settings* s) {
                                 s->max_queued_requests = 10'000;
                                 s->max_queued_tokens = 1'000'000;
                               }),
                               "requests");
  EXPECT_GE(tokens, 10'000 * api::kWaitingRequestBytes + 1'000'000 * sizeof(int32_t));
  EXPECT_EQ(line(plan_with([](Settings* s) { s->host_request_bytes = 40 << 20; }), "requests"), uint64_t{40} << 20)
      << "the operator's own number is taken as it is";
}

TEST(PlanLines, TwoTextsOfMetricsAreInThePlan) {
  EXPECT_EQ(line(plan_with([](Settings*) {}), "metrics"), 2 * api::metrics_bytes_max(1));
}

}  // namespace
}  // namespace weir
