// GET /admission and the refusals that come of predictions, through the whole room.
#include "api/admission_view.h"

#include <gtest/gtest.h>

#include "api/world_test.h"
#include "base/sha256.h"

namespace weir::api {
namespace {

std::shared_ptr<FakeExchange> ask_as(World* world, std::string_view key, http::Request request) {
  request.headers.emplace_back("authorization", "Bearer " + std::string(key));
  request.headers.emplace_back("x-request-id", "of-" + std::string(key));
  return world->send(std::move(request));
}

std::shared_ptr<FakeExchange> look(World* world, std::string_view key, std::string query = "") {
  http::Request request = make_request("GET", "/admission");
  request.query = std::move(query);
  return ask_as(world, key, std::move(request));
}

TEST(AdmissionView, TellsWhoRunsAndWhoWaitsWhileEverythingIsFull) {
  World world({.running_max = 1, .queued_max = 1});
  http::Request first = make_request("POST", "/v1/completions", R"({"prompt":"abc","max_tokens":40,"stream":true})");
  first.headers.emplace_back("x-request-id", "first-\xC3\xA4");
  http::Request named = make_request("POST", "/v1/completions", R"({"prompt":"abcd","max_tokens":7})");
  named.headers.emplace_back("x-request-id", "second");
  const auto running = world.send(std::move(first));
  world.run_until([&] { return world.gateway.load().running.load() == 1; });
  world.engine.frozen = true;
  const auto waiting = world.send(std::move(named));
  world.run_until([&] { return world.gateway.load().waiting.load() == 1; });
  EXPECT_EQ(world.ask("/v1/completions", R"({"prompt":"a"})")->status, 429) << "it is full";

  SlotIndex slot = 0;
  while (world.gateway.channel(slot).wait.reason.load() == WaitReason::kNone) ++slot;
  WaitView& wait = world.gateway.channel(slot).wait;
  wait.reason = WaitReason::kPlace;
  wait.start_p50_us = world.clock.now_us() + 1'500'000;
  wait.start_p90_us = world.clock.now_us() + 2'500'000;
  world.clock.advance_us(500'000);
  const auto got = world.get("/admission");
  ASSERT_EQ(got->status, 200) << got->body;
  const auto json = got->json().as_object();
  EXPECT_EQ(json.at("running").as_int64(), 1);
  EXPECT_EQ(json.at("waiting").as_int64(), 1);
  EXPECT_EQ(json.at("limits").at("max_queued_requests").as_int64(), 1);
  EXPECT_EQ(json.at("totals").at("places_held").as_int64(), 2);
  EXPECT_EQ(json.at("classes").as_array().size(), 3u);
  const auto& sequences = json.at("sequences").as_array();
  ASSERT_EQ(sequences.size(), 2u);
  EXPECT_EQ(sequences[0].at("state"), "running");
  EXPECT_EQ(sequences[0].at("max_tokens").as_int64(), 40);
  EXPECT_FALSE(sequences[0].as_object().contains("why"));
  EXPECT_EQ(sequences[1].at("id"), "second");
  EXPECT_EQ(sequences[1].at("why"), "place");
  EXPECT_EQ(sequences[1].at("prompt_tokens").as_int64(), 4);
  EXPECT_NEAR(sequences[1].at("age_seconds").as_double(), 0.5, 0.01);
  EXPECT_NEAR(sequences[1].at("start_in_seconds").at("p90").as_double(), 2.0, 0.001);
  EXPECT_TRUE(sequences[1].at("first_token_in_seconds").is_null()) << "not known is not a time";
  EXPECT_EQ(json.at("left_out").as_int64(), 0);
  EXPECT_EQ(json.at("brown_out").at("rung"), "clamp_background");
  EXPECT_EQ(json.at("adaptive").at("mode"), "shadow");
  EXPECT_EQ(json.at("adaptive").at("changes").at(0).at("to").as_int64(), 3);

  world.engine.frozen = false;
  world.finish(running);
  world.finish(waiting);
  EXPECT_TRUE(world.get("/admission")->json().at("sequences").as_array().empty());
}

TenantPolicy tenant_with_key(const std::string& name) {
  return {.name = name, .keys = {sha256(name)}, .class_index = 1, .classes = 0b111};
}

TEST(AdmissionView, OnesOwnAloneWithoutTheAdminKey) {
  WorldOptions options{.running_max = 4, .admin_key = "chief"};
  options.tenants = {tenant_with_key("anna"), tenant_with_key("ben")};
  options.ledger.groups = kTenantsMax;
  World world(options);
  const std::string body = R"({"prompt":"a","max_tokens":30})";
  world.engine.frozen = true;
  const auto annas = ask_as(&world, "anna", make_request("POST", "/v1/completions", body));
  const auto bens = ask_as(&world, "ben", make_request("POST", "/v1/completions", body));
  world.run_until([&] { return world.gateway.load().waiting.load() == 2; });
  EXPECT_EQ(look(&world, "anna")->json().at("sequences").as_array().size(), 1u);
  EXPECT_EQ(look(&world, "anna")->json().at("scope"), "own");
  EXPECT_EQ(look(&world, "anna")->json().at("sequences").at(0).at("tenant"), "anna");
  EXPECT_EQ(look(&world, "anna")->json().at("sequences").at(0).at("id"), "of-anna");
  EXPECT_EQ(look(&world, "ben")->json().at("sequences").at(0).at("id"), "of-ben");
  const auto all = look(&world, "chief");
  EXPECT_EQ(all->json().at("sequences").as_array().size(), 2u);
  EXPECT_EQ(all->json().at("scope"), "all");
  EXPECT_EQ(look(&world, "chief", "limit=1")->json().at("left_out").as_int64(), 1);
  EXPECT_EQ(look(&world, "nobody")->status, 401);
  EXPECT_EQ(world.get("/admission")->status, 401) << "without a key";
  world.engine.frozen = false;
  world.finish(annas);
  world.finish(bens);
}

TEST(AdmissionView, BadLimitsSayWhatIsRight) {
  World world;
  for (const char* limit : {"0", "-1", "257", "1x", "99999999999999999999", "%00"}) {
    const auto got = world.get("/admission", std::string("limit=") + limit);
    EXPECT_EQ(got->status, 400) << limit;
    EXPECT_EQ(got->error().at("param"), "limit");
  }
  EXPECT_EQ(world.get("/admission", "limit=256")->status, 200);
  EXPECT_EQ(world.send(make_request("POST", "/admission"))->status, 405);
}

TEST(AdmissionView, ABrownOutIsARefusalThatSaysWhenToComeBack) {
  World world;
  world.gateway.load().finish_interval_us = 1'500'000;
  world.door.refuse_for_brown_out(true);
  const auto refused = world.ask("/v1/completions", R"({"prompt":"a"})");
  EXPECT_EQ(refused->status, 503);
  EXPECT_EQ(refused->error().at("reason"), "brown_out");
  EXPECT_EQ(refused->header("Retry-After"), "2");
  EXPECT_EQ(world.get("/health/ready")->status, 200) << "busy is not unhealthy";
  EXPECT_EQ(world.door.refusals(Refusal::kBrownOut), 1u);
  world.door.refuse_for_brown_out(false);
  EXPECT_EQ(world.ask("/v1/completions", R"({"prompt":"a","max_tokens":2})")->status, 200);
}

TEST(AdmissionView, OverTheSloIsRefusedWithBothNumbers) {
  World world;
  FrontDoorOptions options = world.door.options();
  options.ttft_slo_us = 2'000'000;
  world.door.set_options(options);
  const auto running = world.post("/v1/completions", R"({"prompt":"a","max_tokens":9})");
  world.run_until([&] { return world.gateway.load().running.load() == 1; });
  world.gateway.load().start_in_us_p90[0] = 7'000'000;
  const auto refused = world.ask("/v1/completions", R"({"prompt":"a"})");
  EXPECT_EQ(refused->status, 503);
  EXPECT_EQ(refused->error().at("reason"), "over_ttft_slo");
  EXPECT_NE(refused->error().at("message").as_string().find("7.0 s"), std::string::npos);
  EXPECT_EQ(refused->header("Retry-After"), "7");
  world.finish(running);
}

}  // namespace
}  // namespace weir::api
