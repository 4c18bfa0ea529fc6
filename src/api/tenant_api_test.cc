// Tenants and classes at the API: whose key it is, what its requests may ask for, its limits and their headers,
// reloads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/rate_limit.h"
#include "api/text_quota.h"
#include "api/world_test.h"

namespace weir::api {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kCompletionPath = "/v1/completions";
constexpr const char* kChatPath = "/v1/chat/completions";
constexpr const char* kAsk = R"({"prompt":"abc","max_tokens":2})";
constexpr const char* kLimitHeaders[] = {"x-ratelimit-limit-requests",   "x-ratelimit-remaining-requests",
                                         "x-ratelimit-reset-requests",   "x-ratelimit-limit-tokens",
                                         "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"};

TenantPolicy policy(std::string name, const std::string& key, TenantLimits limits = {}) {
  return {.name = std::move(name), .keys = {sha256(key)}, .class_index = 1, .classes = 0b110, .limits = limits};
}

// Two tenants: "acme" (key a, with the limits given) and "other" (key b).
WorldOptions two_tenants(TenantLimits limits = {}) {
  WorldOptions options;
  options.queued_max = 6;
  options.tenants = {policy("acme", "a", limits), policy("other", "b")};
  options.ledger.groups = kTenantsMax;
  return options;
}

class TenantApi : public ::testing::Test {
 protected:
  void begin(WorldOptions options) { world_ = std::make_unique<World>(std::move(options)); }

  std::shared_ptr<FakeExchange> post(const std::string& key, const std::string& body = kAsk,
                                     const char* path = kCompletionPath, bool hold_last_byte = false) {
    http::Request request = make_request("POST", path, body);
    if (!key.empty()) request.headers.emplace_back("authorization", "Bearer " + key);
    return world_->send(std::move(request), hold_last_byte);
  }
  std::shared_ptr<FakeExchange> ask(const std::string& key, const std::string& body = kAsk,
                                    const char* path = kCompletionPath) {
    auto exchange = post(key, body, path);
    world_->finish(exchange);
    return exchange;
  }
  // Posts and waits until the engine has all of its sequences.
  std::shared_ptr<FakeExchange> admit(const std::string& key, const std::string& body = kAsk,
                                      uint64_t sequences = 1) {
    const uint64_t before = world_->engine.submits;
    auto exchange = post(key, body);
    world_->run_until([&] { return world_->engine.submits == before + sequences || exchange->ended; });
    return exchange;
  }
  void stall() {
    world_->engine.set_script([](const RequestSpec&, int, int) -> std::optional<TokenEvent> { return {}; });
  }
  void finish(const std::vector<std::shared_ptr<FakeExchange>>& held) {
    world_->engine.set_script(say("ok"));
    for (const auto& exchange : held) world_->finish(exchange);
  }
  std::string metrics() { return world_->get("/metrics")->body; }

  std::unique_ptr<World> world_;
};

TEST_F(TenantApi, TheKeyDecidesTenantAndClass) {
  WorldOptions options = two_tenants();
  options.api_keys = {"plain"};
  options.tenants[0].class_index = 2;
  begin(std::move(options));
  EXPECT_EQ(ask("b")->status, 200);
  EXPECT_EQ(ask("a")->status, 200);
  EXPECT_EQ(ask("plain")->status, 200);
  const auto& seen = world_->engine.seen;
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[0].tenant, 2);
  EXPECT_EQ(seen[0].class_index, 1);
  EXPECT_EQ(seen[1].tenant, 1);
  EXPECT_EQ(seen[1].class_index, 2);
  EXPECT_EQ(seen[2].tenant, 0) << "plain keys are of the tenant default";
}

TEST_F(TenantApi, WithoutKeysEverybodyIsDefault) {
  begin({});
  EXPECT_EQ(ask("")->status, 200);
  EXPECT_EQ(ask("any")->status, 200);
  EXPECT_EQ(world_->engine.seen[1].tenant, 0);
  EXPECT_EQ(world_->engine.seen[1].class_index, 1);
}

TEST_F(TenantApi, AWrongKeyIsNobodys) {
  begin(two_tenants({.concurrent = 1, .queued = 0, .tokens_per_minute = 60}));
  for (const char* key : {"", "c", "A", "ab"}) {
    for (const char* path : {kCompletionPath, kChatPath, "/tokenize"}) {
      const auto got = post(key, "{ this is not looked at", path);
      EXPECT_EQ(got->status, 401) << key << path;
      for (const char* header : kLimitHeaders) EXPECT_EQ(got->header(header), "");
    }
  }
  EXPECT_EQ(world_->door.refusals(Refusal::kUnauthenticated), 12u);
  EXPECT_THAT(metrics(), Not(HasSubstr("weir_tenant_refusals_total{")));
  EXPECT_EQ(ask("a")->status, 200) << "nothing was held or charged";
}

TEST_F(TenantApi, PriorityNamesAClass) {
  begin(two_tenants());
  const auto ask_for = [&](const std::string& priority) {
    return ask("a", R"({"prompt":"abc","max_tokens":1,"priority":)" + priority + "}");
  };
  for (const char* own : {"null", "0", "0.0", "\"normal\"", "\"batch\""})
    EXPECT_EQ(ask_for(own)->status, 200) << own;
  const auto& seen = world_->engine.seen;
  EXPECT_EQ(seen[2].class_index, 1);
  EXPECT_EQ(seen[4].class_index, 2);
  for (const char* unknown : {"\"urgent\"", "\"\"", "\"Batch\"", "1", "-1", "true", "[]"}) {
    const auto got = ask_for(unknown);
    EXPECT_EQ(got->status, 400) << unknown;
    EXPECT_EQ(got->error().at("param"), "priority");
    EXPECT_THAT(got->body, HasSubstr("interactive, normal, batch"));
  }
  const auto closed = ask_for("\"interactive\"");
  EXPECT_EQ(closed->status, 403);
  EXPECT_EQ(closed->error().at("code"), "priority_not_allowed");
  EXPECT_THAT(closed->body, HasSubstr("it may ask for normal, batch"));
  EXPECT_EQ(ask("a", R"({"messages":[{"role":"user","content":"x"}],"priority":"batch","max_tokens":1})", kChatPath)
                ->status,
            200);
  EXPECT_EQ(seen.back().class_index, 2) << "chat reads it too";
}

TEST_F(TenantApi, OneTenantsLimitIsNobodyElses) {
  begin(two_tenants({.concurrent = 1, .queued = 1}));
  stall();
  std::vector<std::shared_ptr<FakeExchange>> held = {admit("a"), admit("a")};
  for (const char* path : {kCompletionPath, kChatPath}) {
    const auto got = post("a", R"({"prompt":"a","messages":[]})", path);
    EXPECT_EQ(got->status, 429) << path;
    EXPECT_EQ(got->error().at("reason"), "tenant_queue_full");
    EXPECT_EQ(got->error().at("code"), "slow_down");
    EXPECT_FALSE(got->header("Retry-After").empty());
    EXPECT_EQ(got->header("x-ratelimit-limit-requests"), "2");
    EXPECT_EQ(got->header("x-ratelimit-remaining-requests"), "0");
  }
  held.push_back(admit("b"));
  EXPECT_FALSE(held.back()->ended);
  finish(held);
  EXPECT_EQ(ask("a")->status, 200) << "places are back";
  EXPECT_THAT(metrics(), HasSubstr("weir_tenant_refusals_total{tenant=\"acme\",reason=\"tenant_queue_full\"} 2\n"));
}

// The trap's name at this level: every sequence of n and of a list counts for the tenant.
TEST(Traps, n_counts_as_one) {
  WorldOptions options = two_tenants({.concurrent = 2, .queued = 1});
  World world(std::move(options));
  const auto send = [&](const char* body) {
    http::Request request = make_request("POST", kCompletionPath, body);
    request.headers.emplace_back("authorization", "Bearer a");
    return world.send(std::move(request));
  };
  world.engine.frozen = true;
  const auto two = send(R"({"prompt":["a","b"],"max_tokens":1})");
  world.run_until([&] { return world.engine.submits == 2; });
  const auto refused = send(R"({"prompt":"a","n":2,"max_tokens":1})");
  world.run_until([&] { return refused->ended; });
  EXPECT_EQ(refused->error().at("reason"), "tenant_queue_full");
  EXPECT_EQ(refused->header("x-ratelimit-remaining-requests"), "1");
  world.engine.frozen = false;
  world.finish(two);
}

TEST_F(TenantApi, AStreamHoldsItsTenantsPlaceToTheLastByte) {
  begin(two_tenants({.concurrent = 1, .queued = 0}));
  const auto stream = post("a", R"({"prompt":"abc","max_tokens":2,"stream":true})", kCompletionPath, true);
  world_->run_until([&] { return stream->ended; });
  for (int i = 0; i < 5; ++i) world_->engine.step();
  EXPECT_EQ(post("a")->error().at("reason"), "tenant_queue_full") << "generated, but not yet with the client";
  EXPECT_EQ(stream->header("x-ratelimit-remaining-requests"), "0") << "streams carry the headers too";
  stream->send_last_byte();
  world_->finish(stream);
  EXPECT_EQ(ask("a")->status, 200);
}

TEST_F(TenantApi, AFloodOfOneTenantLeavesRoomForAnother) {
  begin(two_tenants());  // two run, six wait; half of the queue is kept
  stall();
  std::vector<std::shared_ptr<FakeExchange>> held;
  while (held.empty() || !held.back()->ended) held.push_back(admit("a"));
  EXPECT_EQ(held.size(), 6u + 1) << "five for its own, three for the other's share, less the refused one";
  EXPECT_EQ(held.back()->error().at("reason"), "queue_full");
  held.pop_back();
  for (int i = 0; i < 2; ++i) {
    held.push_back(admit("b"));
    EXPECT_FALSE(held.back()->ended) << i;
  }
  finish(held);
}

TEST_F(TenantApi, TokensPerMinuteRefuseUntilThereAreSome) {
  begin(two_tenants({.tokens_per_minute = 60}));
  world_->engine.set_script(say(std::string(60, 'x')));
  const auto first = ask("a", R"({"prompt":"0123456789","max_tokens":60})");
  ASSERT_EQ(first->status, 200);
  EXPECT_EQ(first->header("x-ratelimit-limit-tokens"), "60");
  EXPECT_EQ(first->header("x-ratelimit-remaining-tokens"), "0");
  EXPECT_EQ(first->header("x-ratelimit-reset-tokens"), "1m10s") << "ten of the prompt and sixty of the answer";
  EXPECT_EQ(first->header("x-ratelimit-limit-requests"), "") << "no such limit";
  const auto refused = post("a");
  EXPECT_EQ(refused->status, 429);
  EXPECT_EQ(refused->error().at("reason"), "tenant_tokens_per_minute");
  EXPECT_EQ(refused->error().at("type"), "tokens");
  EXPECT_EQ(refused->header("Retry-After"), "11") << "ten seconds until zero, and then some";
  EXPECT_THAT(metrics(), HasSubstr("weir_tenant_bucket_tokens{tenant=\"acme\"} -10\n"));
  EXPECT_EQ(ask("b")->status, 200);
  world_->clock.advance_us(11'000'000);
  EXPECT_EQ(ask("a", R"({"prompt":"a","max_tokens":1})")->status, 200) << "the wait it told was the real one";
}

TEST_F(TenantApi, HostBytesOfATenantAreItsOwn) {
  WorldOptions options = two_tenants();
  options.ledger.total_bytes_max = 32 << 20;
  options.ledger.request_bytes_max = 16 << 20;
  begin(std::move(options));
  world_->ledger->set_group_max(1, 20'000);
  stall();
  std::vector<std::shared_ptr<FakeExchange>> held;
  while (held.empty() || !held.back()->ended) held.push_back(admit("a"));
  EXPECT_EQ(held.back()->status, 429);
  EXPECT_EQ(held.back()->error().at("reason"), "tenant_host_bytes");
  EXPECT_FALSE(held.back()->header("Retry-After").empty());
  held.pop_back();
  EXPECT_LE(world_->ledger->group_used(1), 20'000u);
  held.push_back(admit("b"));
  EXPECT_FALSE(held.back()->ended);
  finish(held);
  const std::string large = R"({"prompt":")" + std::string(30'000, 'x') + R"("})";
  for (const char* path : {kCompletionPath, "/tokenize"}) {
    const auto never = ask("a", large, path);
    EXPECT_EQ(never->status, 413) << path << ": alone more than the tenant may have, so no later try can pass";
    EXPECT_EQ(never->error().at("reason"), "tenant_host_bytes");
  }
  EXPECT_EQ(ask("b", large, "/tokenize")->status, 200);
  EXPECT_EQ(world_->ledger->group_used(1), 0u);
}

TEST_F(TenantApi, EveryAnswerOfAGenerationRequestTellsWhatIsLeft) {
  begin(two_tenants({.concurrent = 2, .queued = 1, .tokens_per_minute = 600}));
  for (const char* body : {kAsk, R"({"prompt":"abc","max_tokens":2,"stream":true})", "{", R"({"prompt":7})",
                           R"({"prompt":"a","priority":"none"})", R"({"prompt":"a","model":"another"})"}) {
    const auto got = ask("a", body);
    for (const char* header : kLimitHeaders) EXPECT_NE(got->header(header), "") << header << " of " << body;
  }
  const auto other = ask("b");
  for (const char* header : kLimitHeaders) EXPECT_EQ(other->header(header), "") << "no limits, no headers";
  http::Request models = make_request("GET", "/v1/models");
  models.headers.emplace_back("authorization", "Bearer a");
  EXPECT_EQ(world_->send(std::move(models))->header("x-ratelimit-limit-requests"), "");
}

TEST_F(TenantApi, AReloadTakesKeysAwayAndLetsWhatRunsGoOn) {
  begin(two_tenants());
  stall();
  const auto running = admit("a");
  ASSERT_TRUE(world_->tenants.replace({policy("other", "b2")}, true, world_->clock.now_us()).ok());
  EXPECT_EQ(post("a")->status, 401);
  EXPECT_EQ(post("b")->status, 401);
  EXPECT_FALSE(running->ended);
  finish({running});
  EXPECT_EQ(running->status, 200);
  EXPECT_EQ(ask("b2")->status, 200);
  EXPECT_THAT(metrics(), HasSubstr("weir_tenant_admitted_total{tenant=\"acme\"} 1\n")) << "counters stay";
}

TEST_F(TenantApi, MetricsHaveALineForEachTenant) {
  begin(two_tenants({.tokens_per_minute = 60'000}));
  TenantGauges& gauges = world_->gateway.tenants().gauges[2];
  gauges.running = 3, gauges.waiting = 4, gauges.prompt_tokens = 50, gauges.output_tokens = 60;
  ask("a");
  world_->tenants.count_reload(true);
  world_->tenants.count_reload(false);
  const std::string text = metrics();
  for (const char* line :
       {"weir_tenant_admitted_total{tenant=\"acme\"} 1\n", "weir_tenant_admitted_total{tenant=\"default\"} 0\n",
        "weir_tenant_running{tenant=\"other\"} 3\n", "weir_tenant_waiting{tenant=\"other\"} 4\n",
        "weir_tenant_tokens_total{tenant=\"other\",kind=\"prompt\"} 50\n",
        "weir_tenant_tokens_total{tenant=\"other\",kind=\"output\"} 60\n",
        "weir_tenant_bucket_tokens{tenant=\"acme\"} 59995\n", "weir_tenant_host_bytes{tenant=\"acme\"} 0\n",
        "weir_tenant_reloads_total{result=\"ok\"} 1\n", "weir_tenant_reloads_total{result=\"refused\"} 1\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  EXPECT_THAT(text, Not(HasSubstr("weir_tenant_bucket_tokens{tenant=\"other\"}"))) << "it has no bucket";
}

TEST(AdminReload, TellsWhatItBroughtOrWhatIsWrong) {
  Result<TenantsLoaded> answer = TenantsLoaded{.tenants = 2, .keys = 3};
  World world({.admin_key = "open", .reload_tenants = [&] { return answer; }});
  const auto send = [&](World* to, const char* method, const char* key) {
    http::Request request = make_request(method, "/admin/reload");
    request.headers.emplace_back("authorization", std::string("Bearer ") + key);
    const auto exchange = to->send(std::move(request));
    to->run_until([&] { return exchange->done; });
    return exchange;
  };
  EXPECT_EQ(send(&world, "POST", "open")->body, R"({"tenants":2,"keys":3})");
  EXPECT_EQ(send(&world, "POST", "user")->status, 401);
  EXPECT_EQ(send(&world, "GET", "open")->status, 405);
  answer = not_found("keys.toml: does not exist");
  const auto refused = send(&world, "POST", "open");
  EXPECT_EQ(refused->status, 400);
  EXPECT_THAT(refused->body, HasSubstr("keys.toml: does not exist"));
  World without({.admin_key = "open"});
  EXPECT_THAT(send(&without, "POST", "open")->body, HasSubstr("--api-keys FILE.toml"));
}

TEST(TextQuotaTest, AStormOfOneTenantLeavesRoomForAnother) {
  TextQuota quota(4);
  std::vector<TextQuota::Ticket> held;
  for (int i = 0; i < 2; ++i) held.push_back(quota.try_enter(1, false));
  EXPECT_TRUE(held[1]);
  EXPECT_FALSE(quota.try_enter(1, false)) << "half is its own";
  for (int i = 0; i < 2; ++i) held.push_back(quota.try_enter(2, false));
  EXPECT_TRUE(held[3]);
  EXPECT_FALSE(quota.try_enter(3, false)) << "full";
  held[0] = {};
  EXPECT_TRUE(quota.try_enter(3, false)) << "what was refused holds nothing";
  held.clear();
  for (int i = 0; i < 4; ++i) held.push_back(quota.try_enter(0, true));
  EXPECT_TRUE(held[3]) << "alone it has all";
  EXPECT_FALSE(quota.try_enter(0, true));
}

TEST(RateLimit, DurationsAreWrittenAsOpenAiDoes) {
  EXPECT_EQ(format_reset(0), "0s");
  EXPECT_EQ(format_reset(1), "1ms");
  EXPECT_EQ(format_reset(120'000), "120ms");
  EXPECT_EQ(format_reset(999'001), "1s");
  EXPECT_EQ(format_reset(1'000'000), "1s");
  EXPECT_EQ(format_reset(1'000'001), "2s") << "never too early";
  EXPECT_EQ(format_reset(360'000'000), "6m0s");
  EXPECT_EQ(format_reset(3'661'000'000), "1h1m1s");
}

}  // namespace
}  // namespace weir::api
