// A scrape in a loop: its text is made as often as it may cost and no more, never under a lock, and 1,024 tenants
// fit the plan.
#include "api/metrics_page.h"

#include <gtest/gtest.h>

#include <limits>
#include <stdexcept>
#include <thread>

#include "api/metrics_text.h"
#include "api/world_test.h"

namespace weir::api {
namespace {

Micros g_cpu_us = 0;
Micros fake_cpu_us() { return g_cpu_us; }

struct Counted {
  int made = 0;
  Micros cost_us = 0;
  MetricsPage page{[this](size_t) {
                     g_cpu_us += cost_us;
                     return "text " + std::to_string(++made);
                   },
                   fake_cpu_us};
};

TEST(Faults, metrics_block_the_door_in_a_loop) {
  Counted counted;
  counted.cost_us = 2'000;
  for (Micros now = 0; now < 1'000'000; now += 100) counted.page.text(now);
  EXPECT_EQ(counted.made, 25) << "2 ms of 40 ms: one part in twenty";
}

TEST(MetricsPage, ACheapTextIsAlwaysNewAndADearOneAtMostATenthOfASecondOld) {
  Counted cheap;
  EXPECT_EQ(cheap.page.text(5), "text 1");
  EXPECT_EQ(cheap.page.text(5), "text 2");
  Counted dear;
  dear.cost_us = 1'000'000;
  EXPECT_EQ(dear.page.text(1), "text 1");
  EXPECT_EQ(dear.page.text(100'000), "text 1");
  EXPECT_EQ(dear.page.text(100'001), "text 2");
}

TEST(MetricsPage, AFailureIsOneScrapesAndTheLastTextStays) {
  int made = 0;
  bool fails = false;
  MetricsPage page(
      [&](size_t) -> std::string {
        if (fails) throw std::runtime_error("no");
        return std::to_string(++made);
      },
      fake_cpu_us);
  EXPECT_EQ(page.text(1), "1");
  fails = true;
  EXPECT_THROW(page.text(2), std::runtime_error);
  fails = false;
  EXPECT_EQ(page.text(3), "2") << "the page is not left in the belief that a text is being made";
}

TEST(MetricsPage, WhileATextIsMadeOthersGetTheLastOne) {
  MetricsPage* itself = nullptr;
  int made = 0;
  std::string meanwhile;
  MetricsPage page(
      [&](size_t) {
        if (++made == 2) std::thread([&] { meanwhile = itself->text(100); }).join();  // would hang under a lock
        return std::to_string(made);
      },
      fake_cpu_us);
  itself = &page;
  EXPECT_EQ(page.text(1), "1");
  EXPECT_EQ(page.text(100), "2");
  EXPECT_EQ(meanwhile, "1");
}

TEST(Faults, metrics_of_all_tenants_fit_the_plan) {
  WorldOptions options;
  for (int i = 0; i + 1 < kTenantsMax; ++i) {
    std::string name = std::to_string(i);
    name.insert(0, 64 - name.size(), 't');
    options.tenants.push_back(
        {.name = name, .keys = {sha256(name)}, .class_index = 1, .limits = {.tokens_per_minute = 1'000'000'000}});
  }
  options.ledger.groups = kTenantsMax;
  World world(options);
  for (int32_t tenant = 0; tenant < kTenantsMax; ++tenant) {
    for (size_t reason = 0; reason < static_cast<size_t>(Refusal::kCount); ++reason) {
      for (int times = 0; times < 10; ++times) world.door.count_refusal(static_cast<Refusal>(reason), tenant);
    }
    TenantGauges& gauges = world.gateway.tenants().gauges[static_cast<size_t>(tenant)];
    gauges.prompt_tokens = gauges.output_tokens = std::numeric_limits<uint64_t>::max();
    gauges.running = gauges.waiting = std::numeric_limits<int32_t>::max();
  }
  const std::string text = world.get("/metrics")->body;
  EXPECT_LE(text.size(), metrics_bytes_max(kTenantsMax));
  EXPECT_GE(text.size(), metrics_bytes_max(kTenantsMax) / 3) << "and the plan is no multiple of it";
  EXPECT_NE(text.find("weir_memory_age_seconds 0\n"), std::string::npos);
}

TEST(MetricsPage, BucketsAreReadInPiecesAndInOrder) {
  WorldOptions options;
  for (int i = 0; i < 150; ++i) {
    TenantPolicy policy{.name = "t" + std::to_string(i), .keys = {sha256(std::to_string(i))}, .class_index = 1};
    if (i % 3 == 0) policy.limits.tokens_per_minute = 100 + i;
    options.tenants.push_back(std::move(policy));
  }
  World world(options);
  const std::string text = world.get("/metrics")->body;
  const auto has = [&](const std::string& line) { return text.find(line) != std::string::npos; };
  for (const int i : {0, 63, 66, 129, 147}) {
    EXPECT_TRUE(
        has("weir_tenant_bucket_tokens{tenant=\"t" + std::to_string(i) + "\"} " + std::to_string(100 + i) + "\n"))
        << i;
  }
  EXPECT_FALSE(has("weir_tenant_bucket_tokens{tenant=\"t64\"}"));
}

}  // namespace
}  // namespace weir::api
