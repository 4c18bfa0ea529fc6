// Traps that other servers fell into, and the errors and control endpoints around them.
#include <gtest/gtest.h>

#include "api/world_test.h"

namespace weir::api {
namespace {

constexpr const char* kCompletionPath = "/v1/completions";
constexpr const char* kAsk = R"({"prompt":"abc"})";
constexpr const char* kAskStream = R"({"prompt":"abc","stream":true})";

// Fills every place of the door. REQUIRES: nothing is admitted and nothing will finish by itself.
std::vector<std::shared_ptr<FakeExchange>> fill(World* world) {
  std::vector<std::shared_ptr<FakeExchange>> held;
  const uint64_t before = world->engine.submits;
  for (int i = 1; i <= world->gateway.slots(); ++i) {
    held.push_back(world->post(kCompletionPath, kAsk));
    world->run_until([&] { return world->engine.submits == before + static_cast<uint64_t>(i); });
  }
  return held;
}

// Two run without producing, two wait.
void stall(World* world) {
  world->engine.set_script([](const RequestSpec&, int, int) -> std::optional<TokenEvent> { return {}; });
}

void finish_all(World* world, const std::vector<std::shared_ptr<FakeExchange>>& held) {
  world->engine.set_script(say("ok"));
  for (const auto& exchange : held) world->finish(exchange);
}

TEST(Traps, streaming_is_limited_too) {
  World world;
  std::vector<std::shared_ptr<FakeExchange>> streams;
  for (int i = 0; i < 2; ++i) streams.push_back(world.post(kCompletionPath, kAskStream, true));
  world.run_until([&] { return streams[0]->ended && streams[1]->ended; });
  for (int i = 0; i < 5; ++i) world.engine.step();
  EXPECT_EQ(world.door.admitted(), 2) << "everything was generated, but the last bytes are not out";
  EXPECT_EQ(world.engine.releases, 0u);
  const auto third = world.post(kCompletionPath, kAsk);
  world.run_until([&] { return world.engine.submits == 3; });
  for (int i = 0; i < 5; ++i) world.engine.step();
  EXPECT_EQ(third->answers, 0) << "it must wait for a place";
  streams[0]->send_last_byte();
  world.finish(third);
  EXPECT_EQ(third->status, 200);
  streams[1]->send_last_byte();
  world.finish(streams[1]);
}

TEST(Traps, whole_answers_hold_their_places_too) {
  World world;
  const auto got = world.post(kCompletionPath, kAsk, true);
  world.run_until([&] { return got->ended; });
  world.settle();
  EXPECT_EQ(world.door.admitted(), 1);
  got->send_last_byte();
  world.finish(got);
  EXPECT_EQ(world.door.admitted(), 0);
}

TEST(Traps, limiter_hides_disconnects) {
  World world;
  stall(&world);
  auto held = fill(&world);
  const auto& waiting = held.back();
  EXPECT_EQ(world.gateway.load().waiting, 2);
  waiting->leave();
  world.run_until([&] { return world.gateway.load().waiting == 1; });
  world.run_until([&] { return world.door.admitted() == 3; });
  finish_all(&world, held);
}

TEST(Traps, cancel_while_queued) {
  World world;
  stall(&world);
  auto held = fill(&world);
  for (auto& exchange : held) exchange->leave();
  world.run_until([&] { return world.door.admitted() == 0; });
  EXPECT_EQ(world.api->live_requests(), 0);
  EXPECT_EQ(world.gateway.load().finished_by_reason[static_cast<int>(FinishReason::kCancelled)], 4u);
}

TEST(Traps, cancel_while_tokenising) {
  World world;
  const auto got = world.post(kCompletionPath, kAsk);
  got->leave();
  world.run_until([&] { return world.api->live_requests() == 0; });
  EXPECT_EQ(world.engine.submits, 0u) << "nothing was asked of the engine";
  EXPECT_EQ(got->answers, 0);
}

TEST(Traps, slow_reader_is_a_gone_client) {
  World world;
  world.engine.set_script(say(std::string(200, 'x')));
  const auto got = world.post(kCompletionPath, R"({"prompt":"a","stream":true,"max_tokens":200})");
  world.run_until([&] { return got->answers == 1; });
  got->leave(http::Gone::kSlowReader);
  world.run_until([&] { return world.door.admitted() == 0; });
  const auto metrics = world.get("/metrics");
  EXPECT_NE(metrics->body.find("weir_requests_abandoned_total{why=\"slow_reader\"} 1\n"), std::string::npos);
  EXPECT_NE(metrics->body.find("weir_http_slow_readers_total 3\n"), std::string::npos);
  world.finish(got);
}

TEST(Traps, health_waits_in_the_queue) {
  World world;
  stall(&world);
  auto held = fill(&world);
  ASSERT_EQ(world.post(kCompletionPath, kAsk)->status, 429) << "full";
  for (const char* path : {"/health", "/health/live", "/health/ready", "/metrics", "/plan", "/v1/models", "/"}) {
    const auto got = world.get(path);
    EXPECT_EQ(got->status, 200) << path;
    EXPECT_TRUE(got->ended) << "answered within the call, on the io thread";
  }
  finish_all(&world, held);
}

TEST(Traps, full_queue_is_not_unhealthy) {
  World world;
  stall(&world);
  auto held = fill(&world);
  const auto refused = world.post(kCompletionPath, kAsk);
  ASSERT_EQ(refused->status, 429);
  EXPECT_EQ(refused->error().at("code"), "slow_down");
  EXPECT_EQ(refused->error().at("reason"), "queue_full");
  EXPECT_GE(std::stoi(refused->header("Retry-After")), 1);
  EXPECT_EQ(world.get("/health/ready")->status, 200);
  EXPECT_EQ(world.door.refusals(Refusal::kQueueFull), 1u);
  finish_all(&world, held);
}

TEST(Traps, stuck_loop_is_unhealthy) {
  World world;
  EXPECT_EQ(world.get("/health/live")->status, 200);
  world.engine_alive = false;
  for (const char* path : {"/health/live", "/health/ready", "/health"}) EXPECT_EQ(world.get(path)->status, 503) << path;
  world.engine_alive = true;
  world.door.start_draining();
  EXPECT_EQ(world.get("/health/live")->status, 200) << "draining is no reason to be killed";
  EXPECT_EQ(world.get("/health/ready")->status, 503);
  EXPECT_EQ(world.get("/health")->status, 503);
  const auto refused = world.post(kCompletionPath, kAsk);
  EXPECT_EQ(refused->status, 503);
  EXPECT_EQ(refused->error().at("code"), "server_is_overloaded");
  EXPECT_FALSE(refused->header("Retry-After").empty());
}

TEST(Traps, unauthenticated_takes_a_place) {
  WorldOptions options;
  options.api_keys = {"secret"};
  World world(options);
  for (const char* path : {"/v1/chat/completions", "/v1/completions", "/tokenize", "/detokenize"}) {
    const auto got = world.post(path, kAsk);
    EXPECT_EQ(got->status, 401) << path;
    EXPECT_EQ(got->error().at("code"), "invalid_api_key");
    EXPECT_EQ(world.door.admitted(), 0);
    EXPECT_EQ(world.api->live_requests(), 0) << "not even the tokeniser's time";
  }
  for (const char* path : {"/plan", "/v1/models", "/", "/nowhere"}) EXPECT_EQ(world.get(path)->status, 401) << path;
  for (const char* path : {"/health", "/health/live", "/health/ready", "/metrics"}) {
    EXPECT_EQ(world.get(path)->status, 200) << path;
  }
  EXPECT_EQ(world.door.refusals(Refusal::kUnauthenticated), 8u);
  http::Request request = make_request("POST", kCompletionPath, kAsk);
  request.headers.emplace_back("authorization", "Bearer secret");
  const auto got = world.send(std::move(request));
  world.finish(got);
  EXPECT_EQ(got->status, 200);
}

TEST(Traps, metrics_start_too_late) {
  World world;
  world.engine.frozen = true;
  const auto got = world.post(kCompletionPath, R"({"prompt":"a","max_tokens":2})");
  world.run_until([&] { return world.engine.submits == 1; });
  world.clock.advance_us(3'000'000);  // in the queue
  world.engine.frozen = false;
  world.finish(got);
  const std::string text = world.get("/metrics")->body;
  for (const char* line : {"weir_time_to_first_token_seconds_sum 3\n", "weir_time_to_first_token_seconds_count 1\n",
                           "weir_time_to_first_token_seconds_bucket{le=\"2.5\"} 0\n",
                           "weir_time_to_first_token_seconds_bucket{le=\"5\"} 1\n", "weir_queue_seconds_sum 3\n",
                           "weir_request_seconds_count 1\n", "weir_time_per_output_token_seconds_count 1\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line;
  }
}

// Every endpoint that could make the engine or the tokeniser work is refused while they are full; none goes around.
TEST(Traps, limit_bypassed_when_warm) {
  World world;
  world.finish(world.post(kCompletionPath, kAsk));  // warm
  stall(&world);
  auto held = fill(&world);
  const uint64_t before = world.engine.submits;
  for (const char* path : {"/v1/completions", "/v1/chat/completions"}) {
    for (const char* stream : {"true", "false"}) {
      const auto got = world.post(path, std::string(R"({"prompt":"a","messages":[{"role":"user","content":"a"}],"stream":)") +
                                            stream + "}");
      EXPECT_EQ(got->status, 429) << path << stream;
    }
  }
  world.settle();
  EXPECT_EQ(world.engine.submits, before);
  EXPECT_EQ(world.door.admitted(), 4);
  finish_all(&world, held);
}

TEST(Traps, unset_max_tokens) {
  World world;
  world.engine.set_script(say(std::string(300, 'z')));
  const auto got = world.ask("/v1/chat/completions", R"({"messages":[{"role":"user","content":"hi"}]})");
  ASSERT_EQ(got->status, 200) << got->body;
  EXPECT_EQ(world.engine.seen[0].params.max_tokens, 256 - 20) << "a bound, and no demand: the door sees the prompt alone";
  EXPECT_EQ(got->json().at("choices").at(0).at("finish_reason"), "length");
  // Four such requests find room at once, although each may fill the context.
  stall(&world);
  const auto held = fill(&world);
  EXPECT_EQ(world.door.admitted(), 4);
  finish_all(&world, held);
}

TEST(Traps, session_truncated_silently) {
  World world;
  const std::string long_prompt(256, 'a');
  const auto alone = world.ask(kCompletionPath, R"({"prompt":")" + long_prompt + R"("})");
  EXPECT_EQ(alone->status, 400);
  EXPECT_EQ(alone->error().at("code"), "context_length_exceeded");
  const auto has = [](const std::shared_ptr<FakeExchange>& got, const char* number) {
    return std::string(got->error().at("message").as_string()).find(number) != std::string::npos;
  };
  EXPECT_TRUE(has(alone, "256")) << alone->body;
  const auto together = world.ask(kCompletionPath, R"({"prompt":")" + long_prompt.substr(0, 200) + R"(","max_tokens":57})");
  EXPECT_EQ(together->status, 400);
  EXPECT_EQ(together->error().at("code"), "context_length_exceeded");
  EXPECT_EQ(together->error().at("param"), "max_tokens");
  EXPECT_TRUE(has(together, "200") && has(together, "57") && has(together, "256")) << together->body;
  EXPECT_EQ(world.engine.submits, 0u);
  const auto fits = world.ask(kCompletionPath, R"({"prompt":")" + long_prompt.substr(0, 200) + R"(","max_tokens":56})");
  EXPECT_EQ(fits->status, 200) << fits->body;
  EXPECT_EQ(world.door.refusals(Refusal::kPromptTooLong), 2u);
}

// Streams and whole answers, left while tokenising, waiting, running and half written: every place and byte is back.
TEST(Traps, aborted_requests_leak) {
  WorldOptions options;
  options.running_max = 4;
  options.queued_max = 12;
  World world(options);
  world.engine.keep_specs = false;
  world.engine.set_script([](const RequestSpec&, int, int k) -> std::optional<TokenEvent> {
    TokenEvent event{.token = 'a' + k % 26, .logprob = -1, .top_count = 1};
    event.top[0] = {'b', -2};
    return event;
  });
  constexpr const char* kBodies[] = {
      R"({"prompt":"a prompt that is longer than any inline buffer","max_tokens":200,"stream":true,"logprobs":1})",
      R"({"prompt":["a prompt that is longer than any inline buffer",""],"echo":true,"n":2,"max_tokens":200})",
      R"({"prompt":"abc","max_tokens":200,"n":3,"logprobs":1,"stop":["never to be found"],"logit_bias":{"1":2}})",
      R"({"prompt":[97,98,99,100],"max_tokens":200,"stream":true,"stop_token_ids":[1,2,3]})",
  };
  int aborted = 0;
  uint64_t seen = 0;
  while (aborted < 2000) {
    std::vector<std::shared_ptr<FakeExchange>> some;
    for (int i = 0; i < 4; ++i) {
      some.push_back(world.post(kCompletionPath, kBodies[(aborted + i) % 4]));
      for (int step = 0; step < (aborted / 4 + i * 3) % 9; ++step) {
        world.engine.step();
        while (world.loops[0]->run() > 0) {
        }
      }
    }
    seen = std::max(seen, world.ledger->used_bytes());
    for (const auto& exchange : some) {
      if (exchange->ended) continue;  // refused
      exchange->leave();
      ++aborted;
    }
    world.run_until([&] { return world.api->live_requests() == 0; });
  }
  world.run_until([&] { return world.ledger->used_bytes() == 0; });
  EXPECT_EQ(world.door.admitted(), 0);
  EXPECT_GT(seen, 10'000u) << "they held something";
  for (size_t i = 0; i < kHostKinds; ++i) EXPECT_EQ(world.host_bytes(static_cast<HostKind>(i)), 0u) << i;
}

// What logprobs take follows the tokens that came, not the session and not the vocabulary, and it has an end.
TEST(Traps, logprobs_reserve_gigabytes) {
  WorldOptions options;
  options.session_tokens = 1 << 20;  // x 20 alternatives x 100 bytes would be 2 GB for each choice
  options.ledger = {.total_bytes_max = 4 << 20, .request_bytes_max = 2 << 20};
  World world(options);
  int most = 10;
  world.engine.set_script([&most](const RequestSpec&, int, int k) -> std::optional<TokenEvent> {
    if (k >= most) return {};
    TokenEvent event{.token = 'a', .logprob = -1, .top_count = kTopLogprobsMax};
    for (int i = 0; i < kTopLogprobsMax; ++i) event.top[static_cast<size_t>(i)] = {'a' + i, -2};
    return event;
  });
  const auto got = world.post("/v1/chat/completions",
                              R"({"messages":[{"role":"user","content":"hi"}],"logprobs":true,"top_logprobs":20,"n":2})");
  world.run_until([&] { return world.host_bytes(HostKind::kLogprobs) > 0; });
  for (int i = 0; i < 100; ++i) world.run_until([&] { return world.loops[0]->run() == 0; });
  EXPECT_LT(world.host_bytes(HostKind::kLogprobs), 200'000u) << "ten tokens of two choices";
  most = 1 << 20;
  world.finish(got);
  EXPECT_EQ(got->status, 400) << "it outgrew what one request may have";
  EXPECT_EQ(got->error().at("reason"), "over_host_bytes");
  EXPECT_LE(world.ledger->peak_bytes(), uint64_t{2} << 20);
  EXPECT_GT(world.ledger->peak_bytes(), uint64_t{1} << 20);
  const auto other = world.ask(kCompletionPath, R"({"prompt":"abc","max_tokens":3})");
  EXPECT_EQ(other->status, 200) << "nobody else was hurt";
}

TEST(Traps, queue_timeout_is_a_503_with_a_hint) {
  WorldOptions options;
  options.queue_timeout_us = 1'000'000;
  World world(options);
  world.engine.frozen = true;
  const auto got = world.post(kCompletionPath, kAskStream);
  world.run_until([&] { return world.engine.submits == 1; });
  world.clock.advance_us(1'000'001);
  world.finish(got);
  EXPECT_EQ(got->status, 503);
  EXPECT_EQ(got->content_type, "application/json") << "no stream was begun";
  EXPECT_EQ(got->error().at("reason"), "queue_timeout");
  EXPECT_FALSE(got->header("Retry-After").empty());
  EXPECT_EQ(world.door.refusals(Refusal::kQueueTimeout), 1u);
}

}  // namespace
}  // namespace weir::api
