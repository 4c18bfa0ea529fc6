#include "api/params.h"

#include <gtest/gtest.h>

#include "api/json_in.h"
#include "api/parse_chat.h"
#include "api/parse_completion.h"

namespace weir::api {
namespace {

constexpr ParamLimits kLimits{.vocab_size = 100, .running_max = 8};

struct Parsed {
  GenerateRequest request;
  std::optional<ApiError> error;
  std::string param() const { return error ? error->param : "ok"; }
};

Parsed parse(Endpoint endpoint, std::string_view extra) {
  const char* base = endpoint == Endpoint::kChat ? R"("messages":[{"role":"user","content":"hi"}])" : R"("prompt":"hi")";
  const std::string text = std::string("{") + base + (extra.empty() ? "" : ",") + std::string(extra) + "}";
  auto body = JsonBody::parse(text);
  EXPECT_TRUE(body.ok()) << text << ": " << body.status().message();
  if (!body.ok()) return {};
  Fields fields(body->object());
  Parsed out;
  if (endpoint == Endpoint::kChat) {
    parse_chat(kLimits, {"<s>", "</s>"}, &fields, &out.request);
  } else {
    parse_completion(kLimits, &fields, &out.request);
  }
  out.error = fields.error();
  return out;
}

// Every numeric parameter against every kind of nonsense: always a 400 that names it.
TEST(Params, NonsenseIsRefusedByName) {
  const char* const names[] = {"temperature", "top_p", "min_p", "repetition_penalty", "presence_penalty",
                               "frequency_penalty", "top_k", "seed", "max_tokens", "max_completion_tokens",
                               "min_tokens", "n", "best_of"};
  const char* const nonsense[] = {"\"1\"", "true", "[]", "{}", "[1]", "1e400", "-1e400", "1e308", "-1e308",
                                  "1180591620717411303424", "-1180591620717411303424", "\"\\u0000\""};
  for (const char* name : names) {
    for (const char* value : nonsense) {
      for (const Endpoint endpoint : {Endpoint::kChat, Endpoint::kCompletion}) {
        const Parsed parsed = parse(endpoint, std::string("\"") + name + "\":" + value);
        EXPECT_EQ(parsed.param(), name) << value;
        if (!parsed.error) continue;
        EXPECT_EQ(http_status(*parsed.error), 400);
        const std::string& message = parsed.error->status.message();
        EXPECT_NE(message.find(name), std::string::npos) << message;
        EXPECT_EQ(message.find('\n'), std::string::npos) << message;
      }
    }
  }
}

struct Edge {
  const char* name;
  std::vector<const char*> good, bad;
};

TEST(Params, RangesHoldAtTheirEdges) {
  const Edge edges[] = {
      {"temperature", {"0", "2", "0.0", "null"}, {"-0.001", "2.001", "100"}},
      {"top_p", {"1", "1e-300", "0.5", "0"}, {"1.0001", "-0.001"}},
      {"min_p", {"0", "1"}, {"-0.1", "1.1"}},
      {"top_k", {"-1", "0", "1", "50.0", "2147483647"}, {"-2", "1.5", "2147483648"}},
      {"repetition_penalty", {"0.01", "1e-300", "10"}, {"0", "10.1", "-1"}},
      {"presence_penalty", {"-2", "2"}, {"-2.1", "2.1"}},
      {"frequency_penalty", {"-2", "2"}, {"-2.1", "2.1"}},
      {"seed", {"0", "-1", "9223372036854775807", "-9223372036854775808"}, {"9223372036854775808", "0.5"}},
      {"max_tokens", {"1", "16.0", "2147483647"}, {"0", "-1", "2147483648", "1.5"}},
      {"n", {"1", "8"}, {"0", "129", "-1", "9"}},
      {"min_tokens", {"0", "3"}, {"-1"}},
      {"stop", {"\"x\"", "[]", "[\"a\",\"b\"]"}, {"\"\"", "[1]", "[\"\"]", "[null]", "{}", "7"}},
      {"stop_token_ids", {"[]", "[0,99]"}, {"[100]", "[-1]", "[\"1\"]", "[1.5]", "1"}},
      {"logit_bias",
       {"{}", "{\"0\":-100,\"99\":100}"},
       {"{\"100\":1}", "{\"-1\":1}", "{\"a\":1}", "{\"1\":101}", "{\"1\":\"1\"}", "{\"1 \":1}", "{\"\":1}", "[1]",
        "{\"1\":1e400}"}},
      {"stream", {"true", "false", "null"}, {"1", "\"true\""}},
      {"ignore_eos", {"true"}, {"\"no\""}},
  };
  for (const Edge& edge : edges) {
    for (const Endpoint endpoint : {Endpoint::kChat, Endpoint::kCompletion}) {
      for (const char* value : edge.good) {
        const Parsed parsed = parse(endpoint, std::string("\"") + edge.name + "\":" + value);
        EXPECT_EQ(parsed.param(), "ok") << edge.name << " " << value;
      }
      for (const char* value : edge.bad) {
        EXPECT_EQ(parse(endpoint, std::string("\"") + edge.name + "\":" + value).param(), edge.name) << value;
      }
    }
  }
}

TEST(Params, CountsAreBounded) {
  std::string stops = "\"stop\":[", ids = "\"stop_token_ids\":[", bias = "\"logit_bias\":{";
  for (int i = 0; i < 1025; ++i) {
    if (i < 65) stops.append(i > 0 ? ",\"a\"" : "\"a\"");
    if (i < 65) ids.append(i > 0 ? ",1" : "1");
    bias.append((i > 0 ? ",\"" : "\"") + std::to_string(i) + "\":1");
  }
  EXPECT_EQ(parse(Endpoint::kChat, stops + "]").param(), "stop");
  EXPECT_EQ(parse(Endpoint::kChat, ids + "]").param(), "stop_token_ids");
  EXPECT_EQ(parse(Endpoint::kChat, bias + "}").param(), "logit_bias");
  EXPECT_EQ(parse(Endpoint::kChat, "\"stop\":\"" + std::string(1025, 'x') + "\"").param(), "stop");
  EXPECT_EQ(parse(Endpoint::kChat, "\"stop\":\"" + std::string(1024, 'x') + "\"").param(), "ok");
}

TEST(Params, UnsupportedOnesAreNamedAndDefaultsPass) {
  const std::pair<const char*, const char*> bad_chat[] = {
      {"response_format", R"({"type":"json_object"})"}, {"response_format", R"({"type":"json_schema","json_schema":{}})"},
      {"response_format", "7"}, {"tool_choice", "\"required\""}, {"tool_choice", R"({"type":"function"})"},
      {"functions", "[{}]"}, {"function_call", R"({"name":"f"})"}, {"audio", "{}"}, {"modalities", R"(["text","audio"])"},
      {"prediction", "{}"}, {"guided_json", "{}"}, {"use_beam_search", "true"}, {"prompt_logprobs", "1"},
      {"best_of", "2"}, {"echo", "true"}, {"include_stop_str_in_output", "true"}};
  for (const auto& [name, value] : bad_chat) {
    const Parsed parsed = parse(Endpoint::kChat, std::string("\"") + name + "\":" + value);
    EXPECT_EQ(parsed.param(), name) << value;
    ASSERT_TRUE(parsed.error);
    EXPECT_STREQ(parsed.error->code, "unsupported_parameter");
  }
  EXPECT_EQ(parse(Endpoint::kCompletion, R"("suffix":"x")").param(), "suffix");
  EXPECT_EQ(parse(Endpoint::kCompletion, R"("suffix":"","best_of":1,"user":"u","echo":false,"nobody_knows_me":[1])").param(), "ok");
  EXPECT_EQ(parse(Endpoint::kChat,
                  R"("response_format":{"type":"text"},"tool_choice":"auto","functions":[],"function_call":"none",
                     "modalities":["text"],"use_beam_search":false,"store":true,"metadata":{},"audio":null,
                     "parallel_tool_calls":true,"priority":0,"n":2,"best_of":2)")
                .param(),
            "ok");
}

TEST(Params, CombinationsThatMakeNoSense) {
  EXPECT_EQ(parse(Endpoint::kChat, R"("stream_options":{"include_usage":true})").param(), "stream_options");
  EXPECT_EQ(parse(Endpoint::kChat, R"("stream":true,"stream_options":{"include_usage":1})").param(),
            "stream_options.include_usage");
  EXPECT_EQ(parse(Endpoint::kChat, R"("stream":true,"stream_options":{"include_usage":true})").param(), "ok");
  EXPECT_EQ(parse(Endpoint::kChat, R"("top_logprobs":3)").param(), "top_logprobs");
  EXPECT_EQ(parse(Endpoint::kChat, R"("top_logprobs":21,"logprobs":true)").param(), "top_logprobs");
  EXPECT_EQ(parse(Endpoint::kCompletion, R"("logprobs":21)").param(), "logprobs");
  EXPECT_EQ(parse(Endpoint::kCompletion, R"("logprobs":true)").param(), "logprobs");
  EXPECT_EQ(parse(Endpoint::kCompletion, R"("echo":true,"logprobs":1,"max_tokens":0)").param(), "ok");
  EXPECT_EQ(parse(Endpoint::kCompletion, R"("logprobs":1,"max_tokens":0)").param(), "max_tokens");
  EXPECT_EQ(parse(Endpoint::kChat, R"("min_tokens":5,"max_tokens":4)").param(), "min_tokens");
  EXPECT_EQ(parse(Endpoint::kCompletion, R"("min_tokens":17)").param(), "min_tokens");
}

TEST(Params, ValuesArriveWhereTheyBelong) {
  const Parsed p =
      parse(Endpoint::kChat, R"("temperature":0.5,"top_p":0.25,"top_k":-1,"min_p":0.125,"seed":-2,"n":3,
      "repetition_penalty":1.5,"presence_penalty":-1,"frequency_penalty":2,"max_tokens":9,"max_completion_tokens":8,
      "min_tokens":2,"stop":["a","b"],"stop_token_ids":[7],"logit_bias":{"5":-2.5},"logprobs":true,"top_logprobs":4,
      "ignore_eos":true,"stream":true,"stream_options":{"include_usage":true})");
  ASSERT_FALSE(p.error) << p.error->status.message();
  const SamplingParams& s = p.request.params;
  EXPECT_FLOAT_EQ(s.temperature, 0.5f);
  EXPECT_FLOAT_EQ(s.top_p, 0.25f);
  EXPECT_EQ(s.top_k, 0);
  EXPECT_FLOAT_EQ(s.min_p, 0.125f);
  EXPECT_FLOAT_EQ(s.repetition_penalty, 1.5f);
  EXPECT_FLOAT_EQ(s.presence_penalty, -1);
  EXPECT_FLOAT_EQ(s.frequency_penalty, 2);
  EXPECT_EQ(s.seed, ~uint64_t{0} - 1);
  EXPECT_TRUE(p.request.seeded && s.ignore_eos && p.request.stream && p.request.include_usage);
  EXPECT_EQ(p.request.max_tokens, 8) << "the newer name wins";
  EXPECT_EQ(s.min_tokens, 2);
  EXPECT_EQ(p.request.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(s.stop_token_ids, std::vector<int32_t>{7});
  ASSERT_EQ(s.logit_bias.size(), 1u);
  EXPECT_EQ(s.logit_bias[0].token, 5);
  EXPECT_FLOAT_EQ(s.logit_bias[0].bias, -2.5f);
  EXPECT_EQ(s.top_logprobs, 4);
  EXPECT_EQ(p.request.n, 3);
}

TEST(Params, TooManySequencesIsToldBeforeTokenising) {
  const Parsed chat = parse(Endpoint::kChat, R"("n":9)");
  ASSERT_TRUE(chat.error);
  EXPECT_EQ(chat.error->status.reason(), "too_many_sequences");
}

Parsed parse_body(Endpoint endpoint, std::string_view text) {
  auto body = JsonBody::parse(text);
  EXPECT_TRUE(body.ok()) << text;
  Fields fields(body->object());
  Parsed out;
  if (endpoint == Endpoint::kChat) {
    parse_chat(kLimits, {"<s>", "</s>"}, &fields, &out.request);
  } else {
    parse_completion(kLimits, &fields, &out.request);
  }
  out.error = fields.error();
  return out;
}

TEST(Params, PromptShapes) {
  for (const char* bad : {R"({})", R"({"prompt":null})", R"({"prompt":[]})", R"({"prompt":7})", R"({"prompt":{}})",
                          R"({"prompt":[[]]})", R"({"prompt":["a",1]})", R"({"prompt":[1,"a"]})", R"({"prompt":[[1],"a"]})",
                          R"({"prompt":[100]})", R"({"prompt":[-1]})", R"({"prompt":[1.5]})", R"({"prompt":[true]})",
                          R"({"prompt":["a","b","c","d","e","f","g","h","i"]})"}) {
    EXPECT_EQ(parse_body(Endpoint::kCompletion, bad).param(), "prompt") << bad;
  }
  EXPECT_EQ(parse_body(Endpoint::kCompletion, R"({"prompt":"a"})").request.prompts.size(), 1u);
  EXPECT_EQ(parse_body(Endpoint::kCompletion, R"({"prompt":["a","b"]})").request.prompts.size(), 2u);
  EXPECT_EQ(parse_body(Endpoint::kCompletion, R"({"prompt":[1,2,3]})").request.prompts[0].tokens.size(), 3u);
  EXPECT_EQ(parse_body(Endpoint::kCompletion, R"({"prompt":[[1],[2,3]]})").request.prompts[1].tokens.size(), 2u);
}

TEST(Params, MessageShapes) {
  const std::pair<const char*, const char*> bad[] = {
      {R"({})", "messages"},
      {R"({"messages":"hi"})", "messages"},
      {R"({"messages":[]})", "messages"},
      {R"({"messages":[7]})", "messages[0]"},
      {R"({"messages":[{"content":"a"}]})", "messages[0].role"},
      {R"({"messages":[{"role":"wizard","content":"a"}]})", "messages[0].role"},
      {R"({"messages":[{"role":"user"}]})", "messages[0].content"},
      {R"({"messages":[{"role":"user","content":7}]})", "messages[0].content"},
      {R"({"messages":[{"role":"user","content":"a"},{"role":"user","content":[{"type":"image_url","image_url":{}}]}]})",
       "messages[1].content[0]"},
      {R"({"messages":[{"role":"assistant","tool_calls":[7]}]})", "messages[0].tool_calls"},
      {R"({"messages":[{"role":"user","content":"a"}],"chat_template_kwargs":{"messages":[]}})", "chat_template_kwargs"},
      {R"({"messages":[{"role":"user","content":"a"}],"tools":[1]})", "tools"},
      {R"({"messages":[{"role":"user","content":"a","x":1e400}]})", "x"},
  };
  for (const auto& [text, param] : bad) EXPECT_EQ(parse_body(Endpoint::kChat, text).param(), param) << text;
}

// The form that a model's template wants is made from this in text/ (TemplateTraits).
TEST(Params, MessagesReachTheTemplateAsTheyWereSent) {
  const Parsed p = parse_body(Endpoint::kChat, R"({"messages":[
      {"role":"developer","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
      {"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"x\":1.0}"}}]},
      {"role":"tool","tool_call_id":"1","content":"ok"}],
      "tools":[{"type":"function"}],"chat_template_kwargs":{"enable_thinking":false}})");
  ASSERT_FALSE(p.error) << p.error->status.message();
  EXPECT_EQ(
      p.request.context_json,
      R"({"messages":[{"role":"system","content":"a\nb"},)"
      R"({"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function",)"
      R"("function":{"name":"f","arguments":"{\"x\":1.0}"}}]},{"role":"tool","content":"ok","tool_call_id":"1"}],)"
      R"("tools":[{"type":"function"}],"enable_thinking":false,"add_generation_prompt":true,)"
      R"("bos_token":"<s>","eos_token":"</s>"})");
}

}  // namespace
}  // namespace weir::api
