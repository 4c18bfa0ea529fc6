// Large bodies are parsed in the text pool; small ones are answered by the io thread within the call.
#include <gmock/gmock.h>

#include "api/text_work.h"
#include "api/world_test.h"
#include "base/alloc_guard.h"

namespace weir::api {
namespace {

using ::testing::HasSubstr;

constexpr size_t kLarge = size_t{512} << 10;

std::string numbers(size_t bytes) {
  std::string list = "[1";
  while (list.size() < bytes) list += ",1";
  return list + "]";
}

struct Case {
  const char* path;
  std::string body;
};

// Of `bytes` bytes each, and wrong in its last one.
std::vector<Case> wrong_bodies(size_t bytes) {
  const std::string list = numbers(bytes);
  return {
      {"/v1/chat/completions",
       R"({"messages":[{"role":"user","content":"hi"}],"chat_template_kwargs":{"a":)" + list + "}]"},
      {"/v1/completions", R"({"prompt":)" + list + "]"},
      {"/tokenize", R"({"messages":[{"role":"user","content":"hi"}],"chat_template_kwargs":{"a":)" + list + "}]"},
      {"/detokenize", R"({"tokens":)" + list + "]"}};
}

// The io thread's turn ends before a large body is looked at, and takes no more memory than for a small one.
TEST(Faults, big_json_on_the_io_thread) {
  set_sealed_allocation_fatal(false);
  for (const Case& wrong : wrong_bodies(kLarge)) {
    SCOPED_TRACE(wrong.path);
    World world;
    http::Request request = make_request("POST", wrong.path, wrong.body);
    const uint64_t before = sealed_allocations("io");
    seal_this_thread("io");
    const auto got = world.send(std::move(request));
    unseal_this_thread();
    EXPECT_EQ(got->answers, 0) << "it was parsed within the call";
    EXPECT_LT(sealed_allocations("io") - before, 100u);
    world.run_until([&] { return got->answers == 1; });
    world.finish(got);
    EXPECT_EQ(got->status, 400) << got->body;
    EXPECT_THAT(got->body, HasSubstr("not valid JSON"));
  }
}

TEST(BigBodies, SmallOnesAreAnsweredWithinTheCall) {
  for (const Case& wrong : wrong_bodies(kInlineBodyBytes - 200)) {
    SCOPED_TRACE(wrong.path);
    World world;
    const auto got = world.post(wrong.path, wrong.body);
    EXPECT_EQ(got->status, 400);
    world.finish(got);
  }
}

TEST(BigBodies, AreServedLikeSmallOnes) {
  const std::string more = R"(,"user":")" + std::string(kLarge, 'u') + "\"}";
  for (const auto& [path, body] :
       std::vector<Case>{{"/v1/chat/completions", R"({"messages":[{"role":"user","content":"hi"}])"},
                         {"/v1/completions", R"({"prompt":"hi")"}}) {
    for (const char* stream : {R"(,"stream":true)", ""}) {
      World world;
      world.engine.set_script(say("ok"));
      const auto got = world.ask(path, body + stream + more);
      EXPECT_EQ(got->status, 200) << got->body.substr(0, 300);
      EXPECT_EQ(world.engine.submits, 1u);
    }
  }
  World world;
  const auto ids = world.ask("/tokenize", R"({"prompt":")" + std::string(kLarge, 'p') + "\"}");
  EXPECT_EQ(ids->status, 200);
  EXPECT_THAT(ids->body, HasSubstr("{\"count\":" + std::to_string(kLarge) + ","));
  EXPECT_EQ(world.ask("/detokenize", R"({"tokens":)" + numbers(kLarge) + "}")->status, 200);
}

TEST(BigBodies, WhatIsWrongInsideIsSaidAsForSmallOnes) {
  World world;
  const std::string more = R"(,"user":")" + std::string(kLarge, 'u') + "\"}";
  const auto param = world.ask("/v1/completions", R"({"prompt":"hi","temperature":9)" + more);
  EXPECT_EQ(param->status, 400);
  EXPECT_EQ(param->error().at("param"), "temperature");
  EXPECT_EQ(world.ask("/v1/completions", R"({"prompt":"hi","model":"other")" + more)->status, 404);
  EXPECT_EQ(world.ask("/tokenize", R"({"prompt":7)" + more)->status, 400);
  EXPECT_EQ(world.engine.submits, 0u);
}

TEST(BigBodies, AClientThatLeftIsNotParsedFor) {
  World world;
  const auto got = world.post("/v1/completions", R"({"prompt":"hi","user":")" + std::string(kLarge, 'u') + "\"}");
  got->leave();
  world.run_until([&] { return world.api->live_requests() == 0; });
  EXPECT_EQ(world.engine.submits, 0u);
  EXPECT_EQ(got->answers, 0);
}

TEST(BigBodies, ADeadlineHoldsWhileTheBodyIsParsed) {
  World world({.request_timeout_us = 1000});
  const auto got =
      world.post("/v1/completions", R"({"prompt":"hi","stream":true,"user":")" + std::string(kLarge, 'u') + "\"}");
  world.clock.advance_us(2000);
  world.tick();
  world.finish(got);
  EXPECT_EQ(got->status, 504) << got->body;
}

TEST(BigBodies, AFullServerRefusesBeforeAnyWork) {
  World world({.running_max = 1, .queued_max = 0});
  world.engine.set_script([](const RequestSpec&, int, int) -> std::optional<TokenEvent> { return {}; });
  const auto held = world.post("/v1/completions", R"({"prompt":"hi"})");
  world.run_until([&] { return world.engine.submits == 1; });
  const auto refused = world.post("/v1/completions", std::string(kLarge, '{'));
  EXPECT_EQ(refused->status, 429) << "within the call";
  world.engine.set_script(say("ok"));
  world.finish(held);
}

TEST(BigBodies, NoAdminRequestNeedsOne) {
  World world({.admin_key = "root", .live_limits = [] { return LiveLimits{}; }});
  for (const auto& [method, path] : {std::pair{"PATCH", "/admin/limits"}, std::pair{"POST", "/admin/abort"}}) {
    http::Request request =
        make_request(method, path, "{\"max_queued_requests\":" + std::string(kInlineBodyBytes, ' ') + "1}");
    request.headers = {{"authorization", "Bearer root"}};
    const auto got = world.send(std::move(request));
    EXPECT_EQ(got->status, 413) << path << got->body;
  }
}

}  // namespace
}  // namespace weir::api
