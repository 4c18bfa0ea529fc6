// Host bytes at the door and midway: what is charged, what a client is told when it is refused, and that the bounds by
// which things are charged before they are made are true.
#include "api/host_bytes.h"

#include <gtest/gtest.h>

#include <random>

#include "api/json_out.h"
#include "api/logprobs.h"
#include "api/response.h"
#include "api/world_test.h"
#include "text/detokenizer.h"

namespace weir::api {
namespace {

constexpr const char* kCompletionPath = "/v1/completions";

WorldOptions with_bytes(uint64_t total, uint64_t each) {
  WorldOptions options;
  options.session_tokens = 100'000;
  options.ledger = {.total_bytes_max = total, .request_bytes_max = each};
  return options;
}

std::string ask_for(size_t prompt_bytes, const std::string& more = "") {
  return R"({"prompt":")" + std::string(prompt_bytes, 'p') + "\"" + more + "}";
}

FakeEngine::Script endless() {
  return [](const RequestSpec&, int, int k) -> std::optional<TokenEvent> { return TokenEvent{.token = 'a' + k % 26}; };
}

FakeEngine::Script silent() {
  return [](const RequestSpec&, int, int) -> std::optional<TokenEvent> { return {}; };
}

TEST(HostBytes, AFullHostIsA429WithAHintAndPassesByItself) {
  World world(with_bytes(80'000, 60'000));
  world.engine.set_script(silent());
  const auto holder = world.post(kCompletionPath, ask_for(6'000));
  world.run_until([&] { return world.engine.submits == 1; });
  EXPECT_GE(world.host_bytes(HostKind::kPromptIds), 6'000u * 4);
  const auto refused = world.ask(kCompletionPath, ask_for(10'000));
  EXPECT_EQ(refused->status, 429) << refused->body;
  EXPECT_EQ(refused->error().at("code"), "slow_down");
  EXPECT_EQ(refused->error().at("reason"), "host_bytes_full");
  EXPECT_FALSE(refused->header("Retry-After").empty());
  EXPECT_EQ(world.door.refusals(Refusal::kHostBytesFull), 1u);
  EXPECT_EQ(world.door.admitted(), 1) << "the refused one holds no place";
  for (const char* path : {"/health", "/metrics", "/plan", "/v1/models"}) EXPECT_EQ(world.get(path)->status, 200) << path;
  holder->leave();
  world.run_until([&] { return world.ledger->used_bytes() == 0; });
  world.engine.set_script(say("ok"));
  EXPECT_EQ(world.ask(kCompletionPath, ask_for(10'000))->status, 200);
}

TEST(HostBytes, ARequestOverItsOwnLimitIsA413WithTheNumber) {
  World world(with_bytes(1'000'000, 60'000));
  for (const char* path : {"/v1/completions", "/tokenize"}) {
    const auto got = world.ask(path, ask_for(70'000));
    EXPECT_EQ(got->status, 413) << path << got->body.substr(0, 200);
    EXPECT_EQ(got->error().at("reason"), "over_host_bytes");
    EXPECT_NE(std::string(got->error().at("message").as_string()).find("60000"), std::string::npos) << got->body;
  }
  // Its text fits, its ids do not.
  EXPECT_EQ(world.ask(kCompletionPath, ask_for(20'000))->status, 413);
  EXPECT_EQ(world.ask("/tokenize", ask_for(20'000))->status, 413);
  EXPECT_EQ(world.engine.submits, 0u);
  EXPECT_EQ(world.door.admitted(), 0);
  EXPECT_EQ(world.door.refusals(Refusal::kOverHostBytes), 4u);
}

TEST(HostBytes, EveryPromptOfAListAndEverySequenceIsCharged) {
  World world(with_bytes(1'000'000, 50'000));
  std::string many = R"({"prompt":[")" + std::string(3'000, 'a') + "\"";
  for (int i = 0; i < 3; ++i) many += ",\"" + std::string(3'000, 'b') + "\"";
  EXPECT_EQ(world.ask(kCompletionPath, many + "]}")->status, 400) << "four sequences, and two run at once";
  WorldOptions options = with_bytes(1'000'000, 50'000);
  options.running_max = 8;
  World wide(options);
  EXPECT_EQ(wide.ask(kCompletionPath, many + "]}")->status, 413) << "four prompts of 12 KB of ids";
  // One short prompt, but its biases are copied for each of many prompts.
  options.ledger.request_bytes_max = 20'000;
  World narrow(options);
  std::string biases = R"(],"logit_bias":{"0":1)";
  for (int i = 1; i < 250; ++i) biases += ",\"" + std::to_string(i) + "\":1";
  EXPECT_EQ(narrow.ask(kCompletionPath, R"({"prompt":["a")" + biases + "}}")->status, 200);
  EXPECT_EQ(narrow.ask(kCompletionPath, R"({"prompt":["a","b","c","d","e","f","g","h")" + biases + "}}")->status, 413);
}

TEST(HostBytes, AWholeAnswerIsChargedAsItGrowsAndUntilItsLastByte) {
  World world;
  world.engine.set_script(endless());
  const auto got = world.post(kCompletionPath, ask_for(10, R"(,"max_tokens":200)"), true);
  world.run_until([&] { return world.host_bytes(HostKind::kOutput) >= 1'100; });
  world.run_until([&] { return got->ended; });
  EXPECT_EQ(got->charged_by, http::ChargedBy::kCaller);
  EXPECT_GE(world.host_bytes(HostKind::kOutput), got->body.size());
  got->send_last_byte();
  world.finish(got);
  world.run_until([&] { return world.ledger->used_bytes() == 0; });
}

TEST(HostBytes, AnAnswerThatIsRefusedMidwayEndsWithItsReason) {
  for (const bool total : {true, false}) {
    World world(total ? with_bytes(40'000, 400'000) : with_bytes(400'000, 40'000));
    world.engine.set_script(endless());
    const auto got = world.ask(kCompletionPath, ask_for(10, R"(,"max_tokens":90000)"));
    EXPECT_EQ(got->status, total ? 503 : 400) << got->body.substr(0, 200);
    EXPECT_EQ(got->error().at("reason"), total ? "host_bytes_full" : "over_host_bytes");
    if (total) {
      EXPECT_EQ(got->error().at("code"), "server_is_overloaded");
      EXPECT_FALSE(got->header("Retry-After").empty());
    }
    EXPECT_LE(world.ledger->peak_bytes(), 40'000u);
    EXPECT_GT(world.ledger->peak_bytes(), 15'000u) << "and not long before it had to be";
    EXPECT_EQ(world.gateway.load().finished_by_reason[static_cast<int>(FinishReason::kCancelled)], 1u) << "the engine was told";
    EXPECT_EQ(world.door.admitted(), 0);
  }
}

// A stream keeps nothing, so it needs no more than a few tokens' bytes; where the socket's bytes are refused it ends with
// an error event and without [DONE].
TEST(HostBytes, AStreamNeedsLittleAndEndsWithAnErrorWhereItIsRefused) {
  World world(with_bytes(12'000, 12'000));
  world.engine.set_script(endless());
  const auto fits = world.ask(kCompletionPath, ask_for(10, R"(,"max_tokens":5000,"stream":true)"));
  EXPECT_EQ(fits->status, 200);
  EXPECT_EQ(fits->events().back(), "[DONE]");
  EXPECT_LE(world.ledger->peak_bytes(), 12'000u);
  World full;
  full.engine.set_script(endless());
  const auto cut = full.post(kCompletionPath, ask_for(10, R"(,"max_tokens":200,"stream":true,"logprobs":0)"));
  full.run_until([&] { return cut->answers == 1; });
  cut->refuses_long_writes = true;
  for (int i = 0; i < 40; ++i) full.engine.step();  // unread for forty tokens: one long event
  full.finish(cut);
  const auto events = cut->events();
  ASSERT_GE(events.size(), 2u);
  ASSERT_TRUE(events.back().is_object()) << "no [DONE]";
  EXPECT_EQ(events.back().at("error").at("reason"), "host_bytes_full");
}

TEST(HostBytes, TheAccountOfABodyIsTheAccountOfItsAnswer) {
  const auto ledger = std::make_shared<Ledger>(LedgerOptions{.total_bytes_max = 1000, .request_bytes_max = 600});
  const auto book = make_byte_book(ledger);
  http::Request request;
  request.charge = http::ByteCharge(book->open(-1), http::ByteUse::kBody);
  EXPECT_EQ(request.charge.try_add(500), http::Granted::kYes);
  EXPECT_EQ(request.charge.try_add(101), http::Granted::kRequestFull);
  EXPECT_EQ(request.charge.account()->bytes_max(), 600u);
  Charge answer(account_of(request, ledger.get()), HostKind::kOutput);
  EXPECT_EQ(answer.try_grow(101), Grant::kRequestFull);
  EXPECT_EQ(answer.try_grow(100), Grant::kYes);
  http::ByteCharge other(book->open(-1), http::ByteUse::kSocket);
  EXPECT_EQ(other.try_add(401), http::Granted::kTotalFull);
  EXPECT_EQ(ledger->used_bytes(HostKind::kBody), 500u);
  EXPECT_NE(account_of(http::Request{}, ledger.get()), answer.account()) << "one that came without gets its own";
}

// ---- The bounds -----------------------------------------------------------------------------------------------

std::string random_text(std::mt19937* random) {
  std::string text((*random)() % 60, '\0');
  for (char& c : text) c = static_cast<char>((*random)() % 3 ? 32 + (*random)() % 95 : (*random)() % 256);
  return text;
}

TEST(HostBytes, JsonLengthsAreCountedExactly) {
  std::mt19937 random(7);
  for (int i = 0; i < 2000; ++i) {
    const std::string text = i == 0 ? "\xE2\x80\xA8 \xE2\x80\xA9\x01" : random_text(&random);
    std::string out;
    append_json_string(text, &out);
    ASSERT_EQ(json_string_bytes(text), out.size());
  }
}

TEST(HostBytes, LogprobsFitIntoTheRoomThatWasMadeForThem) {
  const auto tokenizer = byte_tokenizer();
  const auto ledger = std::make_shared<Ledger>(LedgerOptions{});
  std::mt19937 random(3);
  for (const bool chat : {true, false}) {
    Charge charge(ledger->open(), HostKind::kLogprobs);
    LogprobText text;
    for (int i = 0; i < 600; ++i) {
      TokenEvent event{.token = static_cast<int32_t>(random() % 258), .logprob = -1.0f / static_cast<float>(1 + random())};
      event.top_count = static_cast<int32_t>(random() % 21);
      for (auto& top : event.top) top = {static_cast<int32_t>(random() % 258), -static_cast<float>(random()) * 1e-3f};
      ASSERT_EQ(chat ? room_for_chat_logprob(*tokenizer, event, &text, &charge)
                     : room_for_completion_logprob(*tokenizer, event, &text, &charge), Grant::kYes);
      const uint64_t charged = charge.bytes();
      if (chat) {
        append_chat_logprob(Detokenizer(tokenizer.get()), event, &text);
      } else {
        append_completion_logprob(Detokenizer(tokenizer.get()), event, int64_t{1} << 40, &text);
      }
      ASSERT_EQ(text_bytes(text.entries) + text_bytes(text.numbers) + text_bytes(text.tops) + text_bytes(text.offsets), charged)
          << "token " << event.token << " made a buffer grow beyond its charge";
    }
  }
}

TEST(HostBytes, BodiesAndEventsFitIntoTheirBounds) {
  std::mt19937 random(5);
  for (const Endpoint endpoint : {Endpoint::kChat, Endpoint::kCompletion}) {
    const ResponseIdentity identity{.id = "chatcmpl-0123456789abcdef", .model = random_text(&random), .created = 1'700'000'000,
                                    .with_usage = true, .with_logprobs = true};
    const auto format = ResponseFormat::create(endpoint, identity);
    const Usage usage{.prompt_tokens = int64_t{1} << 60, .completion_tokens = int64_t{1} << 60};
    for (int round = 0; round < 200; ++round) {
      const std::string text = random_text(&random);
      LogprobText logprobs;
      logprobs.entries = logprobs.tops = random_text(&random);
      logprobs.numbers = logprobs.offsets = "-1,-2";
      const std::vector<FinishedChoice> choices(1 + random() % 128, {text, &logprobs, "length"});
      const size_t bound = format->body_bytes_max(choices);
      const std::string body = format->body(choices, usage);
      ASSERT_LE(body.size(), bound);
      ASSERT_GE(body.size() + 512 + 256 * choices.size(), bound) << "and nearly all of it is used";
      std::string events;
      format->open_chunk(127, &events);
      format->text_chunk(127, text, logprobs, &events);
      format->finish_chunk(127, "length", &events);
      ASSERT_LE(events.size(), format->chunks_bytes_max(text, logprobs));
      std::string end;
      format->end_of_stream(usage, &end);
      ASSERT_LE(end.size(), format->end_bytes_max());
    }
  }
}

}  // namespace
}  // namespace weir::api
