// What a setting changes in the plan, on the demo model: `weir plan` without its output.
#include "server/blueprint.h"

#include <gmock/gmock.h>

namespace weir {
namespace {

using testing::HasSubstr;

Settings demo(int quant_policy, std::string cache) {
  Settings settings;
  settings.model = "models/weir-demo";
  settings.threads = 1;
  settings.pin_threads = false;
  settings.max_batch_size = settings.max_concurrent_requests = 4;
  settings.quant_policy = quant_policy;
  settings.cache_max_entry_count = std::move(cache);
  return settings;
}

MemoryPlan plan_of(const Settings& settings) {
  auto blueprint = draw_blueprint(settings);
  EXPECT_TRUE(blueprint.ok()) << blueprint.status().message();
  return blueprint.ok() ? blueprint->plan : MemoryPlan{};
}

// The trap: the budget uses the real precision of the cache.
TEST(KvPlan, kv_precision_counted) {
  const Blueprint b = std::move(draw_blueprint(demo(0, "64"))).value();
  const auto heads = static_cast<uint64_t>(b.spec.layers * b.spec.kv_heads);
  const auto dim = static_cast<uint64_t>(b.spec.head_dim);
  const MemoryPlan wide = b.plan, int8 = plan_of(demo(8, "64")), int4 = plan_of(demo(4, "64"));
  ASSERT_EQ(dim % 32, 0u) << "no padding, so that the next lines are whole";
  EXPECT_EQ(wide.lines.back().bytes, 64 * 64 * heads * 4 * dim);
  EXPECT_EQ(int8.lines.back().bytes, 64 * 64 * heads * (2 * dim + 6));
  EXPECT_EQ(int4.lines.back().bytes, 64 * 64 * heads * (dim + 6));
  EXPECT_EQ(wide.total_bytes - int8.total_bytes, wide.lines.back().bytes - int8.lines.back().bytes);
  EXPECT_THAT(wide.lines.back().formula, HasSubstr(" x " + format_count(heads * 4 * dim) + " bytes a token as bf16: "));
  EXPECT_THAT(int8.lines.back().formula, HasSubstr(" bytes a token as int8: "));
  EXPECT_THAT(int4.lines.back().formula, HasSubstr(" bytes a token as int4: "));
  // The same bytes hold more tokens.
  const MemoryPlan bytes_wide = plan_of(demo(0, "4MiB")), bytes_int8 = plan_of(demo(8, "4MiB"));
  EXPECT_GT(bytes_int8.kv_tokens, bytes_wide.kv_tokens * 17 / 10);
  EXPECT_LE(bytes_int8.lines.back().bytes, 4 * kMiB);
}

TEST(KvPlan, ARefusalOffersTheQuantisedCache) {
  const auto block = plan_of(demo(0, "64")).lines.back().bytes / 64;
  const auto session = static_cast<uint64_t>(draw_blueprint(demo(0, "64"))->model.blocks_per_sequence());
  Settings tight = demo(0, std::to_string(session * block * 3 / 4) + "B");
  tight.session_len = 1024;
  EXPECT_THAT(draw_blueprint(tight).status().message(), HasSubstr("--quant-policy 8"));
  tight.quant_policy = 8;
  EXPECT_TRUE(draw_blueprint(tight).ok());
  tight.cache_max_entry_count = std::to_string(session * block / 8) + "B";
  EXPECT_THAT(draw_blueprint(tight).status().message(), Not(HasSubstr("--quant-policy")));
}

}  // namespace
}  // namespace weir
