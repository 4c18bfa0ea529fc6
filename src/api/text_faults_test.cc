// What a client reads of an answer's text: stop strings, leading blanks, logprobs. Each question is asked whole and
// streamed, and both answers must be the same.
#include <gtest/gtest.h>

#include "api/world_test.h"

namespace weir::api {
namespace {

constexpr const char* kChatPath = "/v1/chat/completions";
constexpr const char* kCompletionPath = "/v1/completions";
constexpr const char* kSentencePiece = "tests/golden/tokenizer/sentencepiece.tokenizer.json";

// One choice as its client has it in the end.
struct Read {
  std::string text, reason;
  boost::json::array tokens, numbers, tops, offsets;  // of completions
  int64_t completion_tokens = 0;
  bool operator==(const Read&) const = default;
};

void extend(boost::json::array* all, const boost::json::value& more) {
  for (const auto& value : more.as_array()) all->push_back(value);
}

void read_choice(const boost::json::value& choice, Read* out) {
  const auto& object = choice.as_object();
  if (object.contains("text")) {
    out->text += choice.at("text").as_string();
  } else {
    const auto& part = object.contains("delta") ? choice.at("delta") : choice.at("message");
    if (const auto* content = part.as_object().if_contains("content")) out->text += content->as_string();
  }
  if (choice.at("finish_reason").is_string()) out->reason = choice.at("finish_reason").as_string();
  const auto& logprobs = choice.at("logprobs");
  if (!logprobs.is_object() || !object.contains("text")) return;
  extend(&out->tokens, logprobs.at("tokens"));
  extend(&out->numbers, logprobs.at("token_logprobs"));
  extend(&out->tops, logprobs.at("top_logprobs"));
  extend(&out->offsets, logprobs.at("text_offset"));
}

std::vector<Read> read_whole(const FakeExchange& got) {
  std::vector<Read> reads;
  const boost::json::value json = got.json();
  for (const auto& choice : json.at("choices").as_array()) {
    read_choice(choice, &reads.emplace_back());
    reads.back().completion_tokens = json.at("usage").at("completion_tokens").as_int64();
  }
  return reads;
}

std::vector<Read> read_stream(const FakeExchange& got) {
  std::vector<Read> reads;
  int64_t tokens = 0;
  for (const auto& event : got.events()) {
    if (!event.is_object()) continue;
    const auto* usage = event.as_object().if_contains("usage");
    if (usage != nullptr && usage->is_object()) tokens = usage->at("completion_tokens").as_int64();
    for (const auto& choice : event.at("choices").as_array()) {
      const auto index = static_cast<size_t>(choice.at("index").as_int64());
      if (reads.size() <= index) reads.resize(index + 1);
      read_choice(choice, &reads[index]);
    }
  }
  for (Read& read : reads) read.completion_tokens = tokens;
  return reads;
}

// fields: of the body, without braces.
std::vector<Read> ask_both_ways(World* world, const char* path, const std::string& fields) {
  const auto whole = world->ask(path, "{" + fields + "}");
  EXPECT_EQ(whole->status, 200) << whole->body;
  if (whole->status != 200) return {Read{}};
  std::vector<Read> reads = read_whole(*whole);
  const auto streamed =
      world->ask(path, "{" + fields + R"(,"stream":true,"stream_options":{"include_usage":true}})");
  EXPECT_TRUE(read_stream(*streamed) == reads) << whole->body << "\n" << streamed->body;
  return reads;
}

// gtest cannot print JSON itself: it takes a value for a list of values, for ever.
std::string text_of(const boost::json::array& array) { return boost::json::serialize(array); }
std::string text_of(const char* json) { return boost::json::serialize(boost::json::parse(json)); }

Read ask_once(World* world, const char* path, const std::string& fields) {
  return ask_both_ways(world, path, fields).at(0);
}

WorldOptions sentencepiece() {
  WorldOptions options;
  options.tokenizer_file = kSentencePiece;
  return options;
}

// Each of `tokens`, then the last one for ever.
FakeEngine::Script play(std::vector<int32_t> tokens) {
  return [tokens](const RequestSpec&, int, int k) -> std::optional<TokenEvent> {
    return TokenEvent{.token = tokens[std::min(static_cast<size_t>(k), tokens.size() - 1)], .logprob = -0.5f};
  };
}

int32_t id_of(const World& world, std::string_view token) { return world.tokenizer->token_to_id(token).value(); }

constexpr const char* kChatBody = R"("messages":[{"role":"user","content":"hey"}])";

TEST(Faults, first_space_of_a_completion) {
  World world(sentencepiece());
  world.engine.set_script(play({id_of(world, "▁the"), id_of(world, "a")}));
  const Read plain = ask_once(&world, kCompletionPath, R"("prompt":"was","max_tokens":2,"logprobs":0)");
  EXPECT_EQ(plain.text, " thea");
  EXPECT_EQ(text_of(plain.tokens), text_of(R"([" the", "a"])"));
  EXPECT_EQ(text_of(plain.offsets), "[0,4]");
  EXPECT_EQ(ask_once(&world, kCompletionPath, R"("prompt":"was","max_tokens":2,"echo":true)").text, "was thea");
  const auto many =
      ask_both_ways(&world, kCompletionPath, R"("prompt":["was","said"],"n":1,"max_tokens":1,"echo":true)");
  EXPECT_EQ(many[0].text, "was the");
  EXPECT_EQ(many[1].text, "said the");
  const Read stopped = ask_once(&world, kCompletionPath, R"("prompt":"was","max_tokens":9,"stop":[" the"])");
  EXPECT_EQ(stopped.text, "");
  EXPECT_EQ(stopped.reason, "stop");
  // Where nothing stands before it, the answer begins a text; and so does a chat's.
  const Read first = ask_once(&world, kCompletionPath, R"("prompt":[1],"max_tokens":2,"logprobs":0)");
  EXPECT_EQ(first.text, "thea");
  EXPECT_EQ(text_of(first.tokens), text_of(R"(["the", "a"])"));
  EXPECT_EQ(ask_once(&world, kChatPath, std::string(kChatBody) + R"(,"max_tokens":2)").text, "thea");
}

TEST(Faults, bytes_of_characters_stream) {
  World world(sentencepiece());
  const int32_t letter = id_of(world, "<0x41>");
  world.engine.set_script(play({letter}));
  const Read stopped = ask_once(&world, kCompletionPath, R"("prompt":"was","max_tokens":100,"stop":["AAA"])");
  EXPECT_EQ(stopped.text, "");
  EXPECT_EQ(stopped.reason, "stop");
  EXPECT_EQ(stopped.completion_tokens, 3) << "seen at its last token";
  const auto streamed = world.ask(kCompletionPath, R"({"prompt":"was","max_tokens":100,"stream":true})");
  EXPECT_EQ(streamed->events().size(), 102u) << "a character at a time, the end and [DONE]";
  const auto two_emoji = world.ask(
      "/detokenize", "{\"tokens\":[" + [&] {
        std::string ids;
        for (const char* byte : {"F0", "9F", "98", "80", "F0", "9F", "98", "81", "F0", "9F"}) {
          ids += (ids.empty() ? "" : ",") + std::to_string(id_of(world, "<0x" + std::string(byte) + ">"));
        }
        return ids;
      }() + "]}");
  EXPECT_EQ(two_emoji->json().at("prompt"), "😀😁\uFFFD");
}

// The prompt of ids ends within a character: the answer completes it, echoed or not.
TEST(CharactersOfACompletion, MayBeginInThePrompt) {
  World world;
  world.engine.set_script(play({0xA4, 'z'}));
  const Read plain = ask_once(&world, kCompletionPath, R"("prompt":[97,195],"max_tokens":2,"logprobs":0)");
  EXPECT_EQ(plain.text, "\u00E4z");
  EXPECT_EQ(text_of(plain.offsets), "[0,1]");
  EXPECT_EQ(ask_once(&world, kCompletionPath, R"("prompt":[97,195],"max_tokens":2,"echo":true)").text, "a\u00E4z");
  world.engine.set_script(play({'z'}));
  const Read broken = ask_once(&world, kCompletionPath, R"("prompt":[97,195],"max_tokens":2,"logprobs":0)");
  EXPECT_EQ(broken.text, "\uFFFDzz");
  EXPECT_EQ(text_of(broken.offsets), "[1,2]");
}

TEST(Faults, stop_string_is_a_special_token) {
  World world;
  world.engine.set_script(play({'a', 'b', kBos, 'c', 'd', kEos}));
  const auto text = [&](const char* path, const std::string& fields) {
    const std::string prompt = path == kChatPath ? kChatBody : R"("prompt":"x")";
    return ask_once(&world, path, prompt + R"(,"max_tokens":9)" + fields);
  };
  for (const char* path : {kChatPath, kCompletionPath}) {
    EXPECT_EQ(text(path, "").text, "abcd");
    const Read at_special = text(path, R"(,"stop":["<bos>"])");
    EXPECT_EQ(at_special.text, "ab");
    EXPECT_EQ(at_special.reason, "stop");
    EXPECT_EQ(at_special.completion_tokens, 3);
    EXPECT_EQ(text(path, R"(,"stop":["b<bos>"])").text, "a") << "begins before it";
    EXPECT_EQ(text(path, R"(,"stop":["os>c"])").text, "ab") << "begins within it";
    EXPECT_EQ(text(path, R"(,"stop":["bc"])").text, "a") << "what the client reads counts too";
    EXPECT_EQ(text(path, R"(,"stop":["<bos>x","b<eos>"])").text, "abcd") << "not there";
    EXPECT_EQ(text(path, R"(,"stop":["<bos>"],"skip_special_tokens":false)").text, "ab");
    EXPECT_EQ(text(path, R"(,"stop":["<bos>"],"min_tokens":3)").text, "abcd");
  }
  EXPECT_EQ(text(kCompletionPath, R"(,"stop":["<bos>"],"echo":true)").text, "xab");
  for (const Read& choice :
       ask_both_ways(&world, kChatPath, std::string(kChatBody) + R"(,"n":2,"stop":["<bos>"])")) {
    EXPECT_EQ(choice.text, "ab");
  }
}

TEST(Faults, sampled_token_is_in_top_logprobs) {
  World world;
  world.engine.set_script([](const RequestSpec& spec, int, int k) -> std::optional<TokenEvent> {
    TokenEvent event{.token = 'a' + k, .logprob = -2, .top_count = spec.params.top_logprobs};
    for (int i = 0; i < event.top_count; ++i)
      event.top[static_cast<size_t>(i)] = {'b' + i, -0.5f - static_cast<float>(i)};
    return event;
  });
  const auto tops = [&](const char* logprobs) {
    return ask_once(&world, kCompletionPath, R"("prompt":"x","max_tokens":2,"logprobs":)" + std::string(logprobs))
        .tops;
  };
  EXPECT_EQ(text_of(tops("1")), text_of(R"([{"b":-0.5,"a":-2},{"b":-2}])")) << "the sampled one's number";
  EXPECT_EQ(text_of(tops("2")), text_of(R"([{"b":-0.5,"c":-1.5,"a":-2},{"b":-2,"c":-1.5}])"));
  EXPECT_EQ(text_of(tops("0")), text_of(R"([{"a":-2},{"b":-2}])"));
}

TEST(Faults, seed_minus_one) {
  World world;
  for (const char* seed : {"-1", "-1", "null", "-2", "-2"}) {
    world.ask(kCompletionPath, R"({"prompt":"x","seed":)" + std::string(seed) + "}");
  }
  const auto seed = [&](size_t i) { return world.engine.seen.at(i).params.seed; };
  EXPECT_NE(seed(0), seed(1)) << "-1 is a random one";
  EXPECT_NE(seed(1), seed(2));
  EXPECT_EQ(seed(3), seed(4)) << "any other is itself";
}

TEST(Faults, top_p_zero) {
  World world;
  for (const char* field :
       {R"("top_p":0)", R"("top_p":1e-60)", R"("top_p":1)", R"("top_k":-1)", R"("top_k":0)", R"("min_p":1)"}) {
    const auto got = world.ask(kCompletionPath, R"({"prompt":"x",)" + std::string(field) + "}");
    EXPECT_EQ(got->status, 200) << field << got->body;
  }
  EXPECT_EQ(world.engine.seen.at(0).params.top_p, 0) << "the sampler is greedy then";
  for (const char* field :
       {R"("top_p":-0.1)", R"("top_p":1.1)", R"("top_k":-2)", R"("min_p":1.01)", R"("repetition_penalty":0)"}) {
    EXPECT_EQ(world.ask(kCompletionPath, R"({"prompt":"x",)" + std::string(field) + "}")->status, 400) << field;
  }
}

std::string stops_json(size_t count, size_t bytes) {
  std::string json = R"("stop":[)";
  for (size_t i = 0; i < count; ++i) {
    std::string text = std::to_string(i);
    text.insert(0, bytes - text.size(), 'q');
    json += (i == 0 ? "\"" : ",\"") + text + "\"";
  }
  return json + "]";
}

TEST(StopStringsOfARequest, AreManyAndLong) {
  World world;
  const std::string last = std::string(1022, 'q') + "63";
  world.engine.set_script(say("ab" + last + "cd"));
  WorldOptions options;
  options.session_tokens = 4096;
  World large(options);
  large.engine.set_script(say("ab" + last + "cd"));
  const Read read = ask_once(&large, kCompletionPath, R"("prompt":"x","max_tokens":2000,)" + stops_json(64, 1024));
  EXPECT_EQ(read.text, "ab");
  EXPECT_EQ(read.reason, "stop");
  for (const std::string& stops : {stops_json(65, 8), stops_json(1, 1025)}) {
    const auto refused = world.ask(kCompletionPath, R"({"prompt":"x",)" + stops + "}");
    EXPECT_EQ(refused->status, 400);
    EXPECT_EQ(refused->error().at("param"), "stop");
  }
}

// As the engine does it: what is given first, then letters.
FakeEngine::Script score(float first) {
  return [first](const RequestSpec& spec, int, int k) -> std::optional<TokenEvent> {
    const auto& scored = spec.params.scored;
    const auto at = static_cast<size_t>(k);
    TokenEvent event{.token = at < scored.size() ? scored[at] : 'A' + static_cast<int32_t>(at - scored.size()),
                     .logprob = first - static_cast<float>(k),
                     .top_count = 1};
    event.top[0] = {'x', -0.25f};
    return event;
  };
}

TEST(Faults, prompt_scoring) {
  World world;
  world.engine.set_script(score(-1));
  const Read read =
      ask_once(&world, kCompletionPath,
               R"("prompt":[257,97,195,164,98],"max_tokens":2,"echo":true,"logprobs":1,"stop":["b"])");
  EXPECT_EQ(read.text, "a\u00E4bAB") << "a stop string of the prompt stops nothing";
  EXPECT_EQ(read.reason, "length");
  EXPECT_EQ(text_of(read.tokens), text_of(R"(["<bos>","a","bytes:\\xc3","bytes:\\xa4","b","A","B"])"));
  EXPECT_EQ(text_of(read.numbers), text_of("[null,-1,-2,-3,-4,-5,-6]"));
  EXPECT_EQ(text_of(read.offsets), "[0,0,1,1,2,3,4]");
  ASSERT_EQ(read.tops.size(), 7u);
  EXPECT_TRUE(read.tops[0].is_null());
  EXPECT_EQ(boost::json::serialize(read.tops[1]), text_of(R"({"x":-0.25,"a":-1})"));
  EXPECT_EQ(read.completion_tokens, 2);
  ASSERT_FALSE(world.engine.seen.empty());
  EXPECT_EQ(world.engine.seen[0].prompt, std::vector<int32_t>{257});
  EXPECT_EQ(world.engine.seen[0].params.max_tokens, 6);
}

// What lm-eval asks for: nothing but the prompt's logprobs; also of a prompt of one token, and of text.
TEST(Faults, prompt_scoring_alone) {
  World world;
  world.engine.set_script(score(-1));
  const auto got =
      world.ask(kCompletionPath, R"({"prompt":[[97,98,99],[97]],"max_tokens":0,"echo":true,"logprobs":1})");
  ASSERT_EQ(got->status, 200) << got->body;
  EXPECT_EQ(got->json().at("usage").at("prompt_tokens").as_int64(), 4);
  const std::vector<Read> reads = ask_both_ways(
      &world, kCompletionPath, R"("prompt":[[97,98,99],[97]],"max_tokens":0,"echo":true,"logprobs":1)");
  EXPECT_EQ(reads.at(0).text, "abc");
  EXPECT_EQ(text_of(reads[0].numbers), text_of("[null,-1,-2]"));
  EXPECT_EQ(reads.at(1).text, "a");
  EXPECT_EQ(text_of(reads[1].numbers), "[null]");
  for (const Read& read : reads) {
    EXPECT_EQ(read.reason, "length");
    EXPECT_EQ(read.completion_tokens, 0);
  }
  for (const Read& choice : ask_both_ways(&world, kCompletionPath,
                                          R"("prompt":[97,98],"n":2,"max_tokens":1,"echo":true,"logprobs":0)")) {
    EXPECT_EQ(choice.text, "abA");
    EXPECT_EQ(text_of(choice.numbers), "[null,-1,-2]");
  }
  EXPECT_EQ(ask_once(&world, kCompletionPath, R"("prompt":"abc","max_tokens":0,"echo":true,"logprobs":0)").text,
            "abc");
  EXPECT_EQ(ask_once(&world, kCompletionPath, R"("prompt":"abc","max_tokens":0,"echo":true)").text, "abc");
  world.engine.set_script(say(""));  // its first token would end it
  EXPECT_EQ(ask_once(&world, kCompletionPath, R"("prompt":"abc","max_tokens":0,"echo":true)").reason, "length");
  EXPECT_EQ(world.ask(kCompletionPath, R"({"prompt":"abc","max_tokens":0})")->status, 400);
  EXPECT_EQ(world.ask(kChatPath, std::string("{") + kChatBody + R"(,"max_tokens":0})")->status, 400);
}

TEST(PromptScores, AreChargedAndRefused) {
  WorldOptions options;
  options.ledger.request_bytes_max = 16 * 1024;
  World world(options);
  world.engine.set_script(score(-1));
  std::string ids = "97";
  for (int i = 0; i < 200; ++i) ids += ",98";
  const auto got =
      world.ask(kCompletionPath, R"({"prompt":[)" + ids + R"(],"max_tokens":0,"echo":true,"logprobs":1})");
  EXPECT_EQ(got->status, 400) << got->body;
  EXPECT_EQ(got->error().at("reason"), "over_host_bytes");
}

}  // namespace
}  // namespace weir::api
