// What a client gets: shapes, texts, reasons, usage. One request at a time; crowds are in traps_test and storm_test.
#include <gtest/gtest.h>

#include "api/world_test.h"

namespace weir::api {
namespace {

constexpr const char* kChatPath = "/v1/chat/completions";
constexpr const char* kCompletionPath = "/v1/completions";

std::string chat(std::string_view extra = "") {
  return R"({"model":"tiny","messages":[{"role":"user","content":"hey"}])" + std::string(extra) + "}";
}

TEST(Chat, WholeAnswerHasOpenAisShape) {
  World world;
  const auto got = world.ask(kChatPath, chat());
  ASSERT_EQ(got->status, 200) << got->body;
  EXPECT_EQ(got->content_type, "application/json");
  EXPECT_EQ(got->header("x-request-id").substr(0, 4), "req-");
  auto json = got->json().as_object();
  EXPECT_EQ(json.at("id").as_string().subview(0, 9), "chatcmpl-");
  EXPECT_GT(json.at("created").as_int64(), 1'600'000'000);
  json.erase("id");
  json.erase("created");
  EXPECT_EQ(boost::json::value(json), boost::json::parse(R"({"object":"chat.completion","model":"tiny","choices":[
      {"index":0,"message":{"role":"assistant","content":"hi","refusal":null},"logprobs":null,"finish_reason":"stop"}],
      "usage":{"prompt_tokens":21,"completion_tokens":3,"total_tokens":24,"prompt_tokens_details":{"cached_tokens":0}}})"));
  ASSERT_EQ(world.engine.seen.size(), 1u);
  const auto& prompt = world.engine.seen[0].prompt;
  EXPECT_EQ(std::string(prompt.begin(), prompt.end()), "[user]hey\n[assistant]");
}

TEST(Chat, StreamHasOpenAisShape) {
  World world;
  const auto got = world.ask(kChatPath, chat(R"(,"stream":true,"stream_options":{"include_usage":true})"));
  EXPECT_EQ(got->content_type, "text/event-stream");
  EXPECT_EQ(got->header("x-request-id").substr(0, 4), "req-");
  const auto events = got->events();
  ASSERT_EQ(events.size(), 6u) << got->body;
  const auto choice = [&](size_t i) { return boost::json::serialize(events[i].at("choices")); };
  EXPECT_EQ(choice(0), R"([{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}])");
  EXPECT_EQ(choice(1), R"([{"index":0,"delta":{"content":"h"},"logprobs":null,"finish_reason":null}])");
  EXPECT_EQ(choice(2), R"([{"index":0,"delta":{"content":"i"},"logprobs":null,"finish_reason":null}])");
  EXPECT_EQ(choice(3), R"([{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}])");
  EXPECT_EQ(choice(4), "[]");
  EXPECT_TRUE(events[3].at("usage").is_null());
  EXPECT_EQ(events[4].at("usage").at("total_tokens").as_int64(), 24);
  EXPECT_EQ(events[5], "[DONE]");
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(events[i].at("object"), "chat.completion.chunk");
    EXPECT_EQ(events[i].at("id"), events[0].at("id"));
  }
}

TEST(Chat, HeadLeavesWithTheFirstTokenAndNotBefore) {
  World world;
  world.engine.frozen = true;
  const auto got = world.post(kChatPath, chat(R"(,"stream":true)"));
  world.run_until([&] { return world.engine.submits == 1; });
  world.settle();
  EXPECT_EQ(got->answers, 0);
  world.engine.frozen = false;
  world.run_until([&] { return got->answers == 1; });
  EXPECT_NE(got->body.find("\"role\":\"assistant\""), std::string::npos);
  world.finish(got);
}

TEST(Chat, ChoicesOfOneRequestInterleaveAndCountOnce) {
  World world;
  world.engine.set_script([](const RequestSpec&, int choice, int k) -> std::optional<TokenEvent> {
    return TokenEvent{.token = k < choice + 1 ? 'a' + choice : kEos};
  });
  const auto whole = world.ask(kChatPath, chat(R"(,"n":2)"));
  const auto json = whole->json();
  EXPECT_EQ(json.at("choices").at(0).at("message").at("content"), "a");
  EXPECT_EQ(json.at("choices").at(1).at("message").at("content"), "bb");
  EXPECT_EQ(json.at("usage").at("prompt_tokens").as_int64(), 21) << "once per prompt";
  EXPECT_EQ(json.at("usage").at("completion_tokens").as_int64(), 5);
  const auto streamed = world.ask(kChatPath, chat(R"(,"n":2,"stream":true)"));
  std::string text[2];
  int finished = 0;
  for (const auto& event : streamed->events()) {
    if (!event.is_object()) continue;
    const auto& choice = event.at("choices").at(0);
    if (const auto* piece = choice.at("delta").as_object().if_contains("content")) {
      text[choice.at("index").as_int64()] += piece->as_string();
    }
    finished += !choice.at("finish_reason").is_null();
  }
  EXPECT_EQ(text[0], "a");
  EXPECT_EQ(text[1], "bb");
  EXPECT_EQ(finished, 2);
}

TEST(Chat, LogprobsNameTokensBytesAndAlternatives) {
  World world;
  world.engine.set_script([](const RequestSpec&, int, int k) -> std::optional<TokenEvent> {
    if (k == 2) return TokenEvent{.token = kEos};
    TokenEvent event{.token = k == 0 ? 0xC3 : 0xA4, .logprob = -0.25f, .top_count = 2};  // one character, two tokens
    event.top[0] = {event.token, -0.25f};
    event.top[1] = {'x', -std::numeric_limits<float>::infinity()};
    return event;
  });
  const char* want = R"([{"token":"\ufffd","logprob":-0.25,"bytes":[195],"top_logprobs":[
      {"token":"\ufffd","logprob":-0.25,"bytes":[195]},{"token":"x","logprob":-9999,"bytes":[120]}]},
      {"token":"\ufffd","logprob":-0.25,"bytes":[164],"top_logprobs":[
      {"token":"\ufffd","logprob":-0.25,"bytes":[164]},{"token":"x","logprob":-9999,"bytes":[120]}]}])";
  const auto whole = world.ask(kChatPath, chat(R"(,"logprobs":true,"top_logprobs":2)"));
  const auto choice = whole->json().at("choices").at(0);
  EXPECT_EQ(choice.at("message").at("content"), "\xC3\xA4");
  EXPECT_EQ(choice.at("logprobs").at("content"), boost::json::parse(want));
  const auto streamed = world.ask(kChatPath, chat(R"(,"logprobs":true,"top_logprobs":2,"stream":true)"));
  boost::json::array all;
  for (const auto& event : streamed->events()) {
    if (!event.is_object() || event.at("choices").at(0).at("logprobs").is_null()) continue;
    for (const auto& entry : event.at("choices").at(0).at("logprobs").at("content").as_array()) all.push_back(entry);
  }
  EXPECT_EQ(boost::json::value(all), boost::json::parse(want));
}

TEST(Completion, WholeAnswerLegacyLogprobsAndLists) {
  World world;
  world.engine.set_script([](const RequestSpec&, int, int k) -> std::optional<TokenEvent> {
    TokenEvent event{.token = "\xC3\xA4z"[k] & 0xFF, .logprob = -1, .top_count = 1};
    if (k == 3) event.token = kEos;
    event.top[0] = {event.token, -1};
    return event;
  });
  const auto got = world.ask(kCompletionPath, R"({"prompt":[[97],[98,99]],"max_tokens":3,"logprobs":1})");
  ASSERT_EQ(got->status, 200) << got->body;
  const auto json = got->json();
  EXPECT_EQ(json.at("object"), "text_completion");
  EXPECT_EQ(json.at("choices").as_array().size(), 2u);
  EXPECT_EQ(json.at("choices").at(1).at("text"), "\xC3\xA4z");
  EXPECT_EQ(json.at("choices").at(1).at("index").as_int64(), 1);
  EXPECT_EQ(json.at("choices").at(0).at("finish_reason"), "length");
  EXPECT_EQ(json.at("choices").at(0).at("logprobs"),
            boost::json::parse(R"({"tokens":["bytes:\\xc3","bytes:\\xa4","z"],"token_logprobs":[-1,-1,-1],
            "top_logprobs":[{"bytes:\\xc3":-1},{"bytes:\\xa4":-1},{"z":-1}],"text_offset":[0,0,1]})"));
  EXPECT_EQ(json.at("usage").at("prompt_tokens").as_int64(), 3);
  EXPECT_EQ(json.at("usage").at("completion_tokens").as_int64(), 6);
}

TEST(Completion, DefaultLengthEchoAndStream) {
  World world;
  world.engine.set_script(say(std::string(40, 'y')));
  const auto got = world.ask(kCompletionPath, R"({"prompt":"ab","echo":true})");
  EXPECT_EQ(std::string_view(got->json().at("choices").at(0).at("text").as_string()), "ab" + std::string(16, 'y'));
  EXPECT_EQ(got->json().at("choices").at(0).at("finish_reason"), "length");
  EXPECT_EQ(world.engine.seen[0].params.max_tokens, 16);
  const auto streamed = world.ask(kCompletionPath, R"({"prompt":[97,98],"echo":true,"stream":true,"max_tokens":2})");
  const auto events = streamed->events();
  ASSERT_EQ(events.size(), 4u) << streamed->body;
  EXPECT_EQ(events[0].at("choices").at(0).at("text"), "aby");
  EXPECT_EQ(events[1].at("choices").at(0).at("text"), "y");
  EXPECT_EQ(events[2].at("choices").at(0).at("finish_reason"), "length");
  EXPECT_EQ(events[3], "[DONE]");
}

TEST(StopStringsOfARequest, EndTheAnswerAndTheEngine) {
  World world;
  world.engine.set_script(say("one ENtwo END three four five"));
  for (const char* stream : {"false", "true"}) {
    const uint64_t before = world.gateway.load().finished_by_reason[static_cast<int>(FinishReason::kCancelled)];
    const auto got = world.ask(kCompletionPath,
                               std::string(R"({"prompt":"a","max_tokens":100,"stop":["END","nope"],"stream":)") + stream + "}");
    std::string text, reason;
    if (got->content_type == "application/json") {
      text = got->json().at("choices").at(0).at("text").as_string();
      reason = got->json().at("choices").at(0).at("finish_reason").as_string();
      EXPECT_EQ(got->json().at("usage").at("completion_tokens").as_int64(), 13);
    } else {
      for (const auto& event : got->events()) {
        if (!event.is_object()) continue;
        text += event.at("choices").at(0).at("text").as_string();
        if (event.at("choices").at(0).at("finish_reason").is_string()) {
          reason = event.at("choices").at(0).at("finish_reason").as_string();
        }
      }
    }
    EXPECT_EQ(text, "one ENtwo ") << stream;
    EXPECT_EQ(reason, "stop");
    EXPECT_EQ(world.gateway.load().finished_by_reason[static_cast<int>(FinishReason::kCancelled)], before + 1);
  }
}

TEST(StopStringsOfARequest, WaitForMinTokensAndGiveBackWhatWasHeld) {
  World world;
  world.engine.set_script(say("aaXaaX"));
  auto text = [&](const char* extra) {
    const auto got = world.ask(kCompletionPath, std::string(R"({"prompt":"a","max_tokens":6)") + extra + "}");
    return std::string(got->json().at("choices").at(0).at("text").as_string());
  };
  EXPECT_EQ(text(R"(,"stop":"X")"), "aa");
  EXPECT_EQ(text(R"(,"stop":"X","min_tokens":3)"), "aaXaa");
  EXPECT_EQ(text(R"(,"stop":"X","min_tokens":6)"), "aaXaaX");
  EXPECT_EQ(text(R"(,"stop":"aXY")"), "aaXaaX") << "held back to the end and then given";
}

TEST(StopTokens, EndTheTextAndCount) {
  World world;
  world.engine.set_script(say("abcd"));
  const auto got = world.ask(kCompletionPath, R"({"prompt":"a","stop_token_ids":[99],"logprobs":0})");
  EXPECT_EQ(got->json().at("choices").at(0).at("text"), "ab");
  EXPECT_EQ(got->json().at("choices").at(0).at("finish_reason"), "stop");
  EXPECT_EQ(got->json().at("choices").at(0).at("logprobs").at("tokens").as_array().size(), 2u);
  EXPECT_EQ(got->json().at("usage").at("completion_tokens").as_int64(), 3);
}

TEST(Params, DefaultsOfTheModelAndSeeds) {
  WorldOptions options;
  options.defaults.temperature = 0.6f;
  options.defaults.top_k = 20;
  World world(options);
  world.ask(kChatPath, chat());
  world.ask(kChatPath, chat(R"(,"temperature":0,"top_k":0,"seed":5,"n":2)"));
  ASSERT_EQ(world.engine.seen.size(), 3u);
  EXPECT_FLOAT_EQ(world.engine.seen[0].params.temperature, 0.6f);
  EXPECT_EQ(world.engine.seen[0].params.top_k, 20);
  EXPECT_NE(world.engine.seen[0].params.seed, 0u) << "always set";
  EXPECT_FLOAT_EQ(world.engine.seen[1].params.temperature, 0);
  EXPECT_EQ(world.engine.seen[1].params.top_k, 0);
  EXPECT_EQ(world.engine.seen[2].params.seed, 5u);
}

TEST(Failures, EndOnlyTheirOwnRequestAndOnce) {
  World world;
  world.engine.set_script(say("abcdef"));
  for (SlotIndex slot = 0; slot < world.gateway.slots(); ++slot) world.engine.fail_after[slot] = 2;
  const auto whole = world.ask(kCompletionPath, R"({"prompt":"a"})");
  EXPECT_EQ(whole->status, 500);
  EXPECT_EQ(whole->error().at("type"), "server_error");
  const auto streamed = world.ask(kCompletionPath, R"({"prompt":"a","stream":true,"n":2})");
  EXPECT_EQ(streamed->status, 200);
  const auto events = streamed->events();
  EXPECT_TRUE(events.back().is_object() && events.back().as_object().contains("error")) << streamed->body;
  EXPECT_EQ(streamed->body.find("[DONE]"), std::string::npos) << "a client must not take it for complete";
  world.engine.fail_after.clear();
  EXPECT_EQ(world.ask(kCompletionPath, R"({"prompt":"a"})")->status, 200);
}

TEST(Failures, ShutdownIsA503) {
  World world;
  world.engine.frozen = true;
  const auto got = world.post(kChatPath, chat());
  world.run_until([&] { return world.engine.submits == 1; });
  world.door.start_draining();
  world.engine.end_all(FinishReason::kShutdown);
  world.finish(got);
  EXPECT_EQ(got->status, 503);
  EXPECT_EQ(got->error().at("reason"), "draining");
}

TEST(Failures, TheTemplateMaySayNo) {
  World world;
  const auto got = world.ask(kChatPath, R"({"messages":[{"role":"tool","content":"x"}]})");
  EXPECT_EQ(got->status, 400);
  EXPECT_EQ(got->error().at("param"), "messages");
  EXPECT_NE(std::string(got->error().at("message").as_string()).find("no tools here"), std::string::npos);
}

TEST(Failures, AModelWithoutTemplateCannotChat) {
  WorldOptions options;
  options.with_template = false;
  World world(options);
  EXPECT_EQ(world.ask(kChatPath, chat())->status, 400);
  EXPECT_EQ(world.ask(kCompletionPath, R"({"prompt":"a"})")->status, 200);
}

}  // namespace
}  // namespace weir::api
