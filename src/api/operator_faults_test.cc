// What an operator asks for is what happens: a dry run changes nothing, an abort ends one tenant's request, and a
// limit that was lowered for a moment sends clients away for a moment.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>

#include "api/world_test.h"

namespace weir::api {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kPath = "/v1/completions";

const LiveLimits kLimits{.cache_max_entry_count = "0.8", .kv_blocks = 40, .max_concurrent_requests = 2};

// Counts what it was asked to change.
struct Operator {
  std::mutex mutex;
  std::vector<LimitsPatch> patches;
  int reloads = 0;
  World world;

  explicit Operator(WorldOptions options = {}) : world(with_admin(this, std::move(options))) {}

  static WorldOptions with_admin(Operator* self, WorldOptions options) {
    options.admin_key = "root";
    options.patch_limits = [self](const LimitsPatch& patch) -> Result<LiveLimits> {
      const std::lock_guard lock(self->mutex);
      self->patches.push_back(patch);
      return kLimits;
    };
    options.live_limits = [] { return kLimits; };
    options.reload_tenants = [self]() -> Result<TenantsLoaded> {
      const std::lock_guard lock(self->mutex);
      ++self->reloads;
      return TenantsLoaded{};
    };
    return options;
  }
  std::shared_ptr<FakeExchange> order(const char* method, const char* path, const char* query,
                                      const std::string& body) {
    http::Request request = make_request(method, path, body);
    request.query = query;
    request.headers.emplace_back("authorization", "Bearer root");
    const auto exchange = world.send(std::move(request));
    world.run_until([&] { return exchange->done; });
    return exchange;
  }
  std::shared_ptr<FakeExchange> abort(const std::string& body) { return order("POST", "/admin/abort", "", body); }
  std::shared_ptr<FakeExchange> ask(const char* key, const char* id, const char* body = R"({"prompt":"abc"})",
                                    int io = 0) {
    http::Request request = make_request("POST", kPath, body);
    request.headers.emplace_back("authorization", std::string("Bearer ") + key);
    request.headers.emplace_back("x-request-id", id);
    return world.send(std::move(request), false, io);
  }
};

TEST(Faults, dry_run_is_real) {
  Operator admin;
  for (const char* query : {"dry_run=1", "dry_run", "dry_run=true&x=1", "=1"}) {
    const auto got = admin.order("PATCH", "/admin/limits", query, R"({"max_queued_requests":1})");
    EXPECT_EQ(got->status, 400) << query;
  }
  const auto named = admin.order("PATCH", "/admin/limits", "dry_run=1", R"({"max_queued_requests":1})");
  EXPECT_EQ(named->error().at("param"), "dry_run");
  EXPECT_THAT(named->body, HasSubstr("body")) << "where it may be said";
  EXPECT_TRUE(admin.patches.empty());

  const auto dry = admin.order("PATCH", "/admin/limits", "", R"({"max_queued_requests":1,"dry_run":true})");
  EXPECT_EQ(dry->status, 200);
  EXPECT_EQ(dry->json().at("dry_run"), true);
  ASSERT_EQ(admin.patches.size(), 1u);
  EXPECT_TRUE(admin.patches[0].dry_run);
  const auto real = admin.order("PATCH", "/admin/limits", "", R"({"max_queued_requests":1,"dry_run":false})");
  EXPECT_EQ(real->json().as_object().count("dry_run"), 0u);
  EXPECT_FALSE(admin.patches.back().dry_run);
  EXPECT_EQ(admin.order("PATCH", "/admin/limits", "", R"({"dry_run":"yes"})")->error().at("param"), "dry_run");
}

// Every other order: a word that would have been passed over in silence is refused, and nothing was done.
TEST(Faults, an_order_with_an_unknown_word_is_refused) {
  Operator admin;
  const auto waiting = admin.ask("any", "me");
  admin.world.settle(3);
  EXPECT_EQ(admin.order("POST", "/admin/abort", "dry_run=1", R"({"id":"me"})")->status, 400);
  EXPECT_EQ(admin.order("POST", "/admin/abort", "", R"({"id":"me","dry_run":true})")->error().at("param"),
            "dry_run");
  EXPECT_EQ(waiting->status, 0);
  EXPECT_EQ(admin.order("POST", "/admin/reload", "dry_run=1", "")->status, 400);
  EXPECT_EQ(admin.order("POST", "/admin/reload", "", R"({"dry_run":true})")->error().at("param"), "dry_run");
  EXPECT_EQ(admin.order("POST", "/admin/reload", "", "nonsense")->status, 400);
  EXPECT_EQ(admin.reloads, 0);
  EXPECT_EQ(admin.order("POST", "/admin/reload", "", "{}")->status, 200);
  EXPECT_EQ(admin.reloads, 1);
  EXPECT_EQ(admin.order("GET", "/admin/limits", "format=text", "")->error().at("param"), "format");
  EXPECT_EQ(admin.order("GET", "/admission", "limits=3", "")->error().at("param"), "limits");
  EXPECT_EQ(admin.order("GET", "/admission", "limit=3", "")->status, 200);
  admin.world.finish(waiting);
}

TenantPolicy policy(std::string name, const std::string& key) {
  return {.name = std::move(name), .keys = {sha256(key)}, .class_index = 1};
}

WorldOptions two_tenants(int io_threads = 1) {
  WorldOptions options;
  options.io_threads = io_threads;
  options.tenants = {policy("acme", "a"), policy("other", "b")};
  return options;
}

void stall(World* world) {
  world->engine.set_script([](const RequestSpec&, int, int) -> std::optional<TokenEvent> { return {}; });
}

void run_out(Operator* admin, const std::vector<std::shared_ptr<FakeExchange>>& all) {
  admin->world.engine.set_script(say("ok"));
  for (const auto& exchange : all) admin->world.finish(exchange);
}

TEST(Faults, abort_across_tenants) {
  for (const int threads : {1, 2}) {
    Operator admin(two_tenants(threads));
    stall(&admin.world);
    const auto mine = admin.ask("a", "same");
    const auto theirs = admin.ask("b", "same", R"({"prompt":"abc"})", threads - 1);
    const auto alone = admin.ask("b", "alone");
    admin.world.run_until([&] { return admin.world.engine.submits == 3; });

    const auto unclear = admin.abort(R"({"id":"same"})");
    EXPECT_EQ(unclear->status, 409);
    EXPECT_EQ(unclear->error().at("code"), "ambiguous_id");
    EXPECT_EQ(unclear->error().at("param"), "tenant");
    EXPECT_THAT(unclear->body, AllOf(HasSubstr("acme"), HasSubstr("other")));
    EXPECT_EQ(mine->status, 0);
    EXPECT_EQ(theirs->status, 0);

    EXPECT_EQ(admin.abort(R"({"id":"same","tenant":"acme"})")->json().at("aborted"), 1);
    EXPECT_EQ(mine->status, 409);
    EXPECT_EQ(theirs->status, 0) << "it is another tenant's";
    admin.world.run_until([&] { return mine->done; });
    EXPECT_EQ(admin.abort(R"({"id":"same","tenant":"acme"})")->status, 404);
    EXPECT_EQ(admin.abort(R"({"id":"alone","tenant":"acme"})")->status, 404);
    EXPECT_EQ(admin.abort(R"({"id":"same"})")->json().at("aborted"), 1) << "no doubt is left";
    EXPECT_EQ(theirs->status, 409);
    const auto nobody = admin.abort(R"({"id":"alone","tenant":"nobody"})");
    EXPECT_EQ(nobody->status, 404);
    EXPECT_EQ(nobody->error().at("param"), "tenant");
    EXPECT_EQ(alone->status, 0);
    run_out(&admin, {alone});
    EXPECT_EQ(alone->status, 200);
  }
}

TEST(Faults, all_requests_of_a_tenant_with_that_id_end) {
  Operator admin(two_tenants());
  stall(&admin.world);
  const auto first = admin.ask("a", "same"), second = admin.ask("a", "same"), other = admin.ask("b", "same");
  admin.world.run_until([&] { return admin.world.engine.submits == 3; });
  EXPECT_EQ(admin.abort(R"({"id":"same","tenant":"acme"})")->json().at("aborted"), 2);
  EXPECT_EQ(other->status, 0);
  run_out(&admin, {first, second, other});
}

// Whose request it is is known from its head on, and an id that was only announced without a key makes no order
// unclear.
TEST(Faults, abort_across_tenants_while_bodies_are_read) {
  Operator admin(two_tenants());
  const auto upload = [&](const char* key) {
    http::Request request = make_request("POST", kPath, R"({"prompt":"abc"})");
    request.id = "same";
    if (*key != 0) request.headers.emplace_back("authorization", std::string("Bearer ") + key);
    request.watch = admin.world.api->hooks().watch_body(request, 0);
    return request;
  };
  http::Request mine = upload("a"), theirs = upload("b"), stranger = upload("");
  EXPECT_EQ(admin.abort(R"({"id":"same"})")->status, 409);
  EXPECT_EQ(admin.abort(R"({"id":"same","tenant":"acme"})")->json().at("aborted"), 1);
  EXPECT_TRUE(mine.watch->verdict().has_value());
  EXPECT_FALSE(theirs.watch->verdict().has_value());
  mine = {};
  EXPECT_EQ(admin.abort(R"({"id":"same"})")->status, 200) << "a stranger's upload makes it no one's";
  EXPECT_TRUE(theirs.watch->verdict().has_value());
}

TEST(Faults, n_above_a_patched_limit) {
  Operator admin({.running_max = 4, .queued_max = 4});
  FrontDoorOptions lowered = admin.world.door.options();
  const FrontDoorOptions usual = lowered;
  lowered.running_max = 1;
  admin.world.door.set_options(lowered);
  const auto got = admin.world.ask(kPath, R"({"prompt":"abc","n":3})");
  EXPECT_EQ(got->status, 429);
  EXPECT_EQ(got->error().at("reason"), "limit_lowered");
  EXPECT_NE(got->header("Retry-After"), "");
  EXPECT_EQ(admin.world.door.refusals(Refusal::kLimitLowered), 1u);
  const auto many = admin.world.ask(kPath, R"({"prompt":["a","b"],"n":2})");
  EXPECT_EQ(many->error().at("reason"), "limit_lowered");
  const auto never = admin.world.ask(kPath, R"({"prompt":"abc","n":5})");
  EXPECT_EQ(never->status, 400) << "above what the server was started with";
  EXPECT_EQ(never->error().at("reason"), "too_many_sequences");
  admin.world.door.set_options(usual);
  EXPECT_EQ(admin.world.ask(kPath, R"({"prompt":"abc","n":3})")->status, 200);
}

TEST(Faults, a_prompt_above_a_patched_limit) {
  Operator admin;
  FrontDoorOptions lowered = admin.world.door.options();
  const FrontDoorOptions usual = lowered;
  lowered.queued_tokens_max = 2;
  admin.world.door.set_options(lowered);
  EXPECT_EQ(admin.world.ask(kPath, R"({"prompt":"abcdef"})")->error().at("reason"), "limit_lowered");
  lowered = usual;
  lowered.pool_tokens = 4;
  admin.world.door.set_options(lowered);
  const auto got = admin.world.ask(kPath, R"({"prompt":"abcdef"})");
  EXPECT_EQ(got->status, 429);
  EXPECT_EQ(got->error().at("reason"), "limit_lowered");
  EXPECT_NE(got->header("Retry-After"), "");
  const auto streamed = admin.world.ask(kPath, R"({"prompt":"abcdef","stream":true})");
  EXPECT_EQ(streamed->status, 429) << "no stream has begun";
  admin.world.door.set_options(usual);
  EXPECT_EQ(admin.world.ask(kPath, R"({"prompt":"abcdef"})")->status, 200);
}

}  // namespace
}  // namespace weir::api
