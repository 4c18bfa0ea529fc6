// What reaches a request from outside while it is under way: its deadline, and the clock that keeps its stream
// alive. An operator is in abort_test.
#include <gtest/gtest.h>

#include "api/deadline.h"
#include "api/world_test.h"

namespace weir::api {
namespace {

constexpr const char* kPath = "/v1/completions";
constexpr const char* kAsk = R"({"prompt":"abc"})";
constexpr const char* kAskStream = R"({"prompt":"abc","stream":true})";
constexpr Micros kSecond = 1'000'000;

http::Request ask_with(const char* name, std::string value, const char* body = kAsk) {
  http::Request request = make_request("POST", kPath, body);
  request.headers.emplace_back(name, std::move(value));
  return request;
}

http::Request ask_within(std::string ms, const char* body = kAsk) {
  return ask_with("x-request-deadline-ms", std::move(ms), body);
}

void stall(World* world) {
  world->engine.set_script([](const RequestSpec&, int, int) -> std::optional<TokenEvent> { return {}; });
}

std::string message(const std::shared_ptr<FakeExchange>& got) { return std::string(got->error().at("message").as_string()); }

bool says(const std::shared_ptr<FakeExchange>& got, const char* text) {
  return message(got).find(text) != std::string::npos;
}

TEST(Deadline, NumbersAndNonsense) {
  const DeadlineMoment moment{.arrival_us = 50 * kSecond, .now_us = 60 * kSecond, .unix_ms = 1'700'000'000'000};
  const auto parse = [&](const char* text) { return parse_deadline(text, moment); };
  EXPECT_EQ(*parse("1"), 50 * kSecond + 1000) << "from arrival, not from now";
  EXPECT_EQ(*parse("1000000000000"), 50 * kSecond + 1'000'000'000'000'000) << "still a duration";
  EXPECT_EQ(*parse("1700000005000"), 65 * kSecond) << "a unix time";
  EXPECT_EQ(*parse("1699999999000"), 59 * kSecond) << "in the past";
  EXPECT_EQ(*parse("1000000000001"), 1) << "long ago";
  EXPECT_GT(*parse("9000000000000000000"), 60 * kSecond) << "far away, and no overflow";
  for (const char* bad : {"", "0", "-5", "+5", "1.5", "1e3", " 5", "5 ", "5ms", "soon", "99999999999999999999", "\xff"}) {
    EXPECT_EQ(parse(bad).status().code(), Code::kInvalidArgument) << bad;
  }
  EXPECT_NE(parse("x").status().message().find("milliseconds"), std::string::npos);
}

TEST(Deadline, NonsenseIsA400AndThePastA504) {
  World world;
  for (const char* bad : {"0", "-1", "soon"}) {
    const auto got = world.send(ask_within(bad));
    EXPECT_EQ(got->status, 400) << bad;
    EXPECT_EQ(got->error().at("code"), "invalid_deadline");
    EXPECT_TRUE(says(got, "X-Request-Deadline-Ms"));
  }
  const auto late = world.send(ask_within("1699999999999"));
  EXPECT_EQ(late->status, 504);
  EXPECT_EQ(late->error().at("code"), "timeout");
  EXPECT_EQ(late->error().at("reason"), "deadline");
  EXPECT_TRUE(says(late, "before any work was done"));
  EXPECT_EQ(world.door.refusals(Refusal::kDeadline), 1u);
  EXPECT_EQ(world.door.refusals(Refusal::kBadRequest), 3u);
  EXPECT_EQ(world.api->live_requests(), 0);
}

TEST(Deadline, TheEarlierOfHeaderAndServerCountsFromTheHead) {
  WorldOptions options;
  options.request_timeout_us = 10 * kSecond;
  World world(options);
  world.clock.advance_us(100 * kSecond);
  const Micros now = world.clock.now_us();
  http::Request slow = ask_within("5000");
  slow.age_us = 2 * kSecond;
  world.finish(world.send(std::move(slow)));
  http::Request plain = make_request("POST", kPath, kAsk);
  plain.age_us = 3 * kSecond;
  world.finish(world.send(std::move(plain)));
  world.finish(world.send(ask_within("60000")));
  world.finish(world.send(ask_within("1700000004000")));
  ASSERT_EQ(world.engine.seen.size(), 4u);
  EXPECT_EQ(world.engine.seen[0].arrival_us, now - 2 * kSecond);
  EXPECT_EQ(world.engine.seen[0].deadline_us, now + 3 * kSecond);
  EXPECT_EQ(world.engine.seen[1].deadline_us, now + 7 * kSecond);
  EXPECT_EQ(world.engine.seen[2].deadline_us, now + 10 * kSecond);
  EXPECT_EQ(world.engine.seen[3].deadline_us, now + 4 * kSecond);
}

TEST(Deadline, WithoutOneThereIsNone) {
  World world;
  world.ask(kPath, kAsk);
  EXPECT_EQ(world.engine.seen[0].deadline_us, 0);
}

TEST(Deadline, AWallClockThatJumpsMovesNothing) {
  World world;
  stall(&world);
  const auto got = world.send(ask_within("1700000004000"));
  world.unix_ms += 3'600'000;
  world.run_until([&] { return world.engine.submits == 1; });
  EXPECT_EQ(world.engine.seen[0].deadline_us, world.clock.now_us() + 4 * kSecond);
  world.unix_ms -= 7'200'000;
  world.clock.advance_us(3 * kSecond);
  world.tick();
  world.engine.step();
  world.settle(2);
  EXPECT_EQ(got->answers, 0) << "a second is left";
  world.clock.advance_us(2 * kSecond);
  world.finish(got);
  EXPECT_EQ(got->status, 504);
}

// What the engine does not know of yet ends by the tick, however long the tokeniser takes.
TEST(Deadline, PassesWhileThePromptBecomesTokens) {
  for (const bool by_tick : {true, false}) {
    World world;
    const auto got = world.send(ask_within("1000", kAskStream));
    world.clock.advance_us(kSecond);
    if (by_tick) {
      world.tick();
      EXPECT_TRUE(got->ended) << "at once";
    }
    world.finish(got);
    EXPECT_EQ(got->status, 504);
    EXPECT_TRUE(says(got, "turned into tokens")) << message(got);
    EXPECT_EQ(world.engine.submits, 0u);
    EXPECT_EQ(world.door.refusals(Refusal::kDeadline), 1u);
    world.run_until([&] { return world.api->live_requests() == 0; });
  }
}

TEST(Deadline, SaysHowFarItGot) {
  World world;
  world.engine.frozen = true;
  const auto queued = world.send(ask_within("1000"));
  world.run_until([&] { return world.engine.submits == 1; });
  world.clock.advance_us(kSecond + 1);
  world.finish(queued);
  EXPECT_EQ(queued->status, 504);
  EXPECT_TRUE(says(queued, "waited in the queue; none of 3 prompt tokens")) << message(queued);
  world.engine.frozen = false;
  world.engine.set_script([&](const RequestSpec&, int, int k) -> std::optional<TokenEvent> {
    return k < 2 ? std::optional(TokenEvent{.token = 'a'}) : std::nullopt;
  });
  const auto decoding = world.send(ask_within("1000", kAskStream));
  world.run_until([&] { return decoding->answers == 1 && world.engine.submits == 2; });
  world.engine.step();
  world.settle(2);
  world.clock.advance_us(kSecond + 1);
  world.finish(decoding);
  EXPECT_EQ(decoding->status, 200) << "the stream had begun";
  const auto events = decoding->events();
  EXPECT_EQ(events.back().at("error").at("reason"), "deadline");
  EXPECT_NE(decoding->body.find("after 2 tokens of the answer"), std::string::npos) << decoding->body;
}

// ---- While the body is read ----

TEST(Upload, EndsByItsDeadline) {
  World world;
  http::Request head = ask_within("1000", "");
  head.id = "me";
  const auto watch = world.api->hooks().watch_body(head, 0);
  ASSERT_NE(watch, nullptr);
  EXPECT_FALSE(watch->verdict().has_value());
  world.clock.advance_us(kSecond);
  const auto fault = watch->verdict();
  ASSERT_TRUE(fault.has_value());
  EXPECT_EQ(fault->status, 504);
  EXPECT_STREQ(fault->code, "timeout");
  EXPECT_STREQ(fault->reason, "deadline");
  EXPECT_NE(fault->message.find("while its body was being read"), std::string::npos);
  EXPECT_EQ(world.door.refusals(Refusal::kDeadline), 1u);
}

TEST(Upload, ABadDeadlineIsToldBeforeTheBodyIsRead) {
  World world;
  const auto fault = world.api->hooks().watch_body(ask_within("soon", ""), 0)->verdict();
  ASSERT_TRUE(fault.has_value());
  EXPECT_EQ(fault->status, 400);
  EXPECT_STREQ(fault->code, "invalid_deadline");
  EXPECT_EQ(world.door.refusals(Refusal::kBadRequest), 1u);
}

TEST(Upload, OnlyWhatGeneratesIsWatched) {
  World world;
  EXPECT_EQ(world.api->hooks().watch_body(make_request("POST", "/tokenize"), 0), nullptr);
  EXPECT_EQ(world.api->hooks().watch_body(make_request("GET", kPath), 0), nullptr);
  EXPECT_NE(world.api->hooks().watch_body(make_request("POST", "/v1/chat/completions"), 0), nullptr);
}

TEST(Upload, TheDeadlineOfTheHeadGoesOnWithTheBody) {
  World world;
  http::Request request = ask_within("5000");
  request.id = "me";
  const Micros deadline = world.clock.now_us() + 5 * kSecond;
  request.watch = world.api->hooks().watch_body(request, 0);
  world.clock.advance_us(3 * kSecond);
  world.unix_ms += 1'000'000;
  request.age_us = 3 * kSecond;
  const auto got = world.send(std::move(request));
  world.finish(got);
  EXPECT_EQ(got->status, 200);
  EXPECT_EQ(got->header("x-request-id"), "me");
  EXPECT_EQ(world.engine.seen[0].deadline_us, deadline);
  http::Request late = ask_within("5000");
  late.watch = world.api->hooks().watch_body(late, 0);
  world.clock.advance_us(5 * kSecond);
  const auto refused = world.send(std::move(late));
  EXPECT_EQ(refused->status, 504);
  EXPECT_TRUE(says(refused, "while its body was being read"));
}

TEST(Traps, metrics_start_too_late_for_slow_bodies) {
  World world;
  http::Request request = make_request("POST", kPath, kAsk);
  request.age_us = 2 * kSecond;
  world.engine.frozen = true;
  const auto got = world.send(std::move(request));
  world.run_until([&] { return world.engine.submits == 1; });
  world.clock.advance_us(3 * kSecond);
  world.engine.frozen = false;
  world.finish(got);
  const std::string text = world.get("/metrics")->body;
  EXPECT_NE(text.find("weir_time_to_first_token_seconds_sum 5\n"), std::string::npos);
  EXPECT_NE(text.find("weir_queue_seconds_sum 5\n"), std::string::npos);
}

// ---- Keep-alive ----

WorldOptions with_keepalive() {
  WorldOptions options;
  options.queue_keepalive_us = kSecond;
  return options;
}

TEST(KeepAlive, AStreamThatWaitsIsOpenedEarly) {
  World world(with_keepalive());
  stall(&world);
  std::vector<std::shared_ptr<FakeExchange>> all;
  for (uint64_t i = 1; i <= 4; ++i) {  // two run, two wait
    all.push_back(world.post(kPath, kAskStream));
    world.run_until([&] { return world.engine.submits == i; });
  }
  world.tick();
  EXPECT_EQ(all[3]->answers, 0) << "its time has not come";
  world.clock.advance_us(kSecond);
  world.tick();
  world.tick();
  EXPECT_EQ(all[0]->body, ": computing the prompt\n\n");
  EXPECT_EQ(all[2]->body, ": waiting, 0 ahead\n\n");
  EXPECT_EQ(all[3]->body, ": waiting, 1 ahead\n\n") << "once an interval";
  EXPECT_EQ(all[3]->status, 200);
  EXPECT_EQ(all[3]->content_type, "text/event-stream");
  EXPECT_FALSE(all[3]->header("x-request-id").empty());
  world.clock.advance_us(kSecond);
  world.tick();
  EXPECT_EQ(all[3]->body, ": waiting, 1 ahead\n\n: waiting, 1 ahead\n\n");
  world.engine.set_script(say("ok"));
  for (const auto& exchange : all) {
    world.finish(exchange);
    const auto events = exchange->events();
    EXPECT_EQ(events.back(), "[DONE]");
    EXPECT_EQ(events[0].at("choices").at(0).at("text"), "o");
  }
}

TEST(KeepAlive, ErrorsAfterItAreEvents) {
  WorldOptions options = with_keepalive();
  options.queue_timeout_us = 5 * kSecond;
  World world(options);
  world.engine.frozen = true;
  const auto got = world.post(kPath, kAskStream);
  world.run_until([&] { return world.engine.submits == 1; });
  world.clock.advance_us(kSecond);
  world.tick();
  world.clock.advance_us(5 * kSecond);
  world.finish(got);
  EXPECT_EQ(got->status, 200);
  const auto events = got->events();
  ASSERT_EQ(events.size(), 1u) << "an error and no [DONE]";
  EXPECT_EQ(events[0].at("error").at("reason"), "queue_timeout");
}

TEST(KeepAlive, NotForWholeAnswersNorOnceThereAreTokensNorUnasked) {
  for (const bool wanted : {true, false}) {
    World world(wanted ? with_keepalive() : WorldOptions{});
    world.engine.set_script([](const RequestSpec&, int, int k) -> std::optional<TokenEvent> {
      return k < 1 ? std::optional(TokenEvent{.token = 'a'}) : std::nullopt;
    });
    const auto stream = world.post(kPath, kAskStream);
    world.run_until([&] { return stream->answers == 1; });
    const auto whole = world.post(kPath, kAsk);
    world.run_until([&] { return world.engine.submits == 2; });
    std::shared_ptr<FakeExchange> waiting = world.post(kPath, kAskStream);
    world.run_until([&] { return world.engine.submits == 3; });
    world.clock.advance_us(10 * kSecond);
    world.tick();
    EXPECT_TRUE(stream->body[0] != ':' && stream->body.find("\n:") == std::string::npos) << stream->body;
    EXPECT_EQ(whole->answers, 0);
    EXPECT_EQ(waiting->answers, wanted ? 1 : 0);
    world.engine.set_script(say("ok"));
    for (const auto& exchange : {stream, whole, waiting}) world.finish(exchange);
  }
}

TEST(KeepAlive, AFullHostEndsItAsItEndsAnyStream) {
  World world(with_keepalive());
  world.engine.frozen = true;
  const auto got = world.post(kPath, kAskStream);
  world.run_until([&] { return world.engine.submits == 1; });
  got->leave();
  world.clock.advance_us(kSecond);
  world.tick();
  EXPECT_EQ(got->answers, 0) << "nobody reads it";
  world.run_until([&] { return world.api->live_requests() == 0; });
}

// Clients that give up and ask again: what they gave up is over within one step, what does not fit costs no tokeniser.
TEST(Traps, retry_storm) {
  World world;
  stall(&world);
  std::vector<std::shared_ptr<FakeExchange>> clients;
  uint64_t submitted = 0;
  constexpr int kRounds = 30, kClients = 7;
  for (int round = 0; round < kRounds; ++round) {
    for (const auto& exchange : clients) exchange->leave();
    world.run_until([&] { return world.api->live_requests() == 0; });
    EXPECT_EQ(world.engine.submits, world.engine.finishes) << "nothing goes on for nobody";
    clients.clear();
    for (int i = 0; i < kClients; ++i) clients.push_back(world.post(kPath, i % 2 ? kAsk : kAskStream));
    for (int i = 0; i < kClients; ++i) {
      EXPECT_EQ(clients[static_cast<size_t>(i)]->status, i < 4 ? 0 : 429);
      EXPECT_EQ(clients[static_cast<size_t>(i)]->header("Retry-After").empty(), i < 4);
    }
    submitted += 4;
    world.run_until([&] { return world.engine.submits == submitted; });
    EXPECT_EQ(world.door.admitted(), 4);
  }
  EXPECT_EQ(world.door.refusals(Refusal::kQueueFull), uint64_t{kRounds} * (kClients - 4));
  world.engine.set_script(say("ok"));
  for (const auto& exchange : clients) world.finish(exchange);
}

}  // namespace
}  // namespace weir::api
