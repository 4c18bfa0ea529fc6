// POST /admin/abort: a request ends wherever it is, on whatever io thread, and nobody else notices. And the names that the
// watchdog asks the io threads for.
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <thread>

#include "api/world_test.h"

namespace weir::api {
namespace {

constexpr const char* kPath = "/v1/completions";
constexpr const char* kAsk = R"({"prompt":"abc"})";
constexpr const char* kAskStream = R"({"prompt":"abc","stream":true})";

http::Request ask_by(std::string id, const char* body = kAsk) {
  http::Request request = make_request("POST", kPath, body);
  request.headers.emplace_back("x-request-id", std::move(id));
  return request;
}

void stall(World* world) {
  world->engine.set_script([](const RequestSpec&, int, int) -> std::optional<TokenEvent> { return {}; });
}

WorldOptions with_admin(int io_threads = 1) {
  WorldOptions options;
  options.admin_key = "root";
  options.io_threads = io_threads;
  return options;
}

std::shared_ptr<FakeExchange> abort(World* world, const std::string& body, const char* key = "Bearer root") {
  http::Request request = make_request("POST", "/admin/abort", body);
  request.headers.emplace_back("authorization", key);
  const auto got = world->send(std::move(request));
  world->run_until([&] { return got->done; });
  return got;
}

std::shared_ptr<FakeExchange> abort_id(World* world, const std::string& id) {
  return abort(world, R"({"id":")" + id + R"("})");
}

void expect_aborted(const std::shared_ptr<FakeExchange>& got) {
  EXPECT_EQ(got->status, 409);
  EXPECT_EQ(got->error().at("code"), "aborted");
  EXPECT_EQ(got->error().at("reason"), "aborted");
  EXPECT_EQ(got->header("x-request-id"), "me");
}

TEST(Abort, WhileItsBodyIsRead) {
  World world(with_admin());
  http::Request request = ask_by("me");
  request.id = "me";
  request.watch = world.api->hooks().watch_body(request, 0);
  EXPECT_EQ(abort_id(&world, "me")->json().at("aborted"), 1);
  const auto fault = request.watch->verdict();
  ASSERT_TRUE(fault.has_value());
  EXPECT_EQ(fault->status, 409);
  EXPECT_STREQ(fault->code, "aborted");
  const auto got = world.send(std::move(request));
  expect_aborted(got);
  EXPECT_EQ(world.engine.submits, 0u);
  EXPECT_EQ(abort_id(&world, "me")->status, 404) << "it is over";
}

TEST(Abort, WhileItsPromptBecomesTokens) {
  World world(with_admin());
  const auto got = world.send(ask_by("me"));
  EXPECT_EQ(abort_id(&world, "me")->json().at("aborted"), 1);
  world.finish(got);
  expect_aborted(got);
  world.run_until([&] { return world.api->live_requests() == 0; });
  EXPECT_LE(world.engine.submits, 1u);
  EXPECT_EQ(world.door.refusals(Refusal::kAborted), 1u);
}

TEST(Abort, WhileItWaitsWhileItRunsAndMidWrite) {
  World world(with_admin());
  stall(&world);
  const auto running = world.send(ask_by("me", R"({"prompt":["a","b"]})"));
  world.run_until([&] { return world.engine.submits == 2; });
  const auto waiting = world.send(ask_by("other"));
  world.run_until([&] { return world.engine.submits == 3; });
  EXPECT_EQ(abort_id(&world, "nobody")->status, 404);
  EXPECT_EQ(abort_id(&world, "other")->json().at("aborted"), 1);
  EXPECT_EQ(waiting->status, 409);
  world.finish(waiting);
  EXPECT_EQ(running->answers, 0);
  EXPECT_EQ(abort_id(&world, "me")->json().at("aborted"), 1) << "a request, whatever its sequences";
  world.finish(running);
  expect_aborted(running);
  EXPECT_EQ(world.door.admitted(), 0);
  EXPECT_EQ(world.engine.finishes, 3u);
}

TEST(Abort, AStreamGetsAnEventAndACompleteAnswerIsCutOff) {
  World world(with_admin());
  world.engine.set_script([](const RequestSpec&, int, int k) -> std::optional<TokenEvent> {
    return k < 1 ? std::optional(TokenEvent{.token = 'a'}) : std::nullopt;
  });
  const auto stream = world.send(ask_by("me", kAskStream));
  world.run_until([&] { return stream->answers == 1; });
  EXPECT_EQ(abort_id(&world, "me")->json().at("aborted"), 1);
  world.finish(stream);
  const auto events = stream->events();
  EXPECT_EQ(events.back().at("error").at("code"), "aborted");
  EXPECT_EQ(world.door.admitted(), 0);
  world.engine.set_script(say("ok"));
  const auto unread = world.send(ask_by("me"), true);
  world.run_until([&] { return unread->ended; });
  world.settle(2);
  EXPECT_EQ(world.door.admitted(), 1) << "its last byte is not out";
  EXPECT_EQ(abort_id(&world, "me")->json().at("aborted"), 1);
  EXPECT_EQ(unread->gone(), http::Gone::kCut);
  world.finish(unread);
  EXPECT_EQ(world.door.admitted(), 0);
  EXPECT_NE(world.get("/metrics")->body.find("weir_requests_abandoned_total{why=\"aborted\"} 1\n"), std::string::npos);
}

TEST(Abort, ReachesEveryIoThreadAndEveryDuplicate) {
  World world(with_admin(3));
  stall(&world);
  std::vector<std::shared_ptr<FakeExchange>> all;
  for (int io = 0; io < 3; ++io) {
    all.push_back(world.send(ask_by(io == 1 ? "other" : "me"), false, io));
    world.run_until([&] { return world.engine.submits == static_cast<uint64_t>(io) + 1; });
  }
  EXPECT_EQ(abort_id(&world, "me")->json().at("aborted"), 2);
  for (const int io : {0, 2}) {
    world.finish(all[static_cast<size_t>(io)]);
    expect_aborted(all[static_cast<size_t>(io)]);
  }
  EXPECT_EQ(all[1]->answers, 0);
  world.engine.set_script(say("ok"));
  world.finish(all[1]);
  EXPECT_EQ(all[1]->status, 200);
}

TEST(Abort, BadOrdersEndNobody) {
  World world(with_admin());
  stall(&world);
  const auto running = world.send(ask_by("me"));
  world.run_until([&] { return world.engine.submits == 1; });
  for (const char* bad : {"", "[]", "{}", R"({"id":7})", R"({"id":""})", R"({"id":"a b"})", R"({"id":null})"}) {
    const auto got = abort(&world, bad);
    EXPECT_EQ(got->status, 400) << bad;
  }
  EXPECT_EQ(abort(&world, R"({"id":")" + std::string(200, 'x') + R"("})")->status, 400);
  EXPECT_EQ(abort(&world, R"({"id":"me"})", "Bearer wrong")->status, 401);
  EXPECT_EQ(world.get("/admin/abort")->status, 405);
  EXPECT_EQ(running->answers, 0);
  world.engine.set_script(say("ok"));
  world.finish(running);
  World closed;
  EXPECT_EQ(abort(&closed, R"({"id":"me"})")->status, 403);
}

TEST(Abort, AServerWhoseIoThreadsHaveEndedStillAnswers) {
  World world(with_admin());
  world.post_io = [](int, http::Callback) { return false; };
  EXPECT_EQ(abort_id(&world, "me")->status, 404);
}

TEST(RequestIdsOfSlots, NameWhatTheEngineComputes) {
  World world(with_admin(2));
  stall(&world);
  const auto two = world.send(ask_by("two", R"({"prompt":["a","b"]})"), false, 1);
  world.run_until([&] { return world.engine.submits == 2; });
  const auto one = world.send(ask_by("one"));
  world.run_until([&] { return world.engine.submits == 3; });
  std::map<SlotIndex, std::string> names;
  std::atomic<bool> done{false};
  std::thread watchdog([&] {
    names = world.api->request_ids(60'000'000);
    done = true;
  });
  world.run_until([&] { return done.load(); });
  watchdog.join();
  std::multiset<std::string> ids;
  for (const auto& [slot, id] : names) ids.insert(id);
  EXPECT_EQ(ids, (std::multiset<std::string>{"one", "two", "two"}));
  EXPECT_TRUE(world.api->request_ids(0).empty()) << "nobody waits for threads that do not answer";
  world.engine.set_script(say("ok"));
  for (const auto& exchange : {one, two}) world.finish(exchange);
}

}  // namespace
}  // namespace weir::api
