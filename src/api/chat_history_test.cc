// Chat histories as clients send them against templates that want another form: every call, result and text reaches
// the prompt, or a 400 names the message; and what a client spells never becomes a control token.
#include <gtest/gtest.h>

#include <algorithm>

#include "api/json_in.h"
#include "api/json_out.h"
#include "api/parse_chat.h"
#include "api/world_test.h"
#include "base/alloc_guard.h"

namespace weir::api {
namespace {

using testing::HasSubstr;
using testing::Not;

WorldOptions with_template(std::string source) {
  WorldOptions options;
  options.session_tokens = 100'000;
  options.template_source = std::move(source);
  return options;
}

// One template with the messages of a request, as the tests ask for them.
class Chat {
 public:
  explicit Chat(std::string source) : world_(with_template(std::move(source))) {}

  std::vector<int32_t> ids(const std::string& messages, const std::string& more = "") {
    const auto got = world_.ask("/tokenize", R"({"messages":[)" + messages + "]" + more + "}");
    EXPECT_EQ(got->status, 200) << got->body;
    std::vector<int32_t> out;
    if (got->status != 200) return out;
    const boost::json::value body = got->json();
    for (const auto& id : body.at("tokens").as_array()) out.push_back(static_cast<int32_t>(id.as_int64()));
    return out;
  }
  std::string prompt(const std::string& messages, const std::string& more = "") {
    return world_.tokenizer->decode(ids(messages, more), false);
  }
  // The param of the 400, or the answer where it is none.
  std::string refused(const std::string& messages, const std::string& more = "") {
    const auto got =
        world_.ask("/v1/chat/completions", R"({"max_tokens":1,"messages":[)" + messages + "]" + more + "}");
    return got->status == 400 ? std::string(got->error().at("param").as_string()) : got->body;
  }
  World& world() { return world_; }

 private:
  World world_;
};

std::string call(const std::string& content_member, const std::string& arguments_json) {
  return R"({"role":"assistant",)" + content_member +
         R"("tool_calls":[{"id":"call_1","type":"function","function":{"name":"weather","arguments":)" +
         arguments_json + "}}]}";
}

const std::string kUser = R"({"role":"user","content":"hello"})";
const std::string kResult = R"({"role":"tool","tool_call_id":"call_1","content":"12 degrees"})";
const std::string kCity = R"("{\"city\": \"Rome\"}")";

// Shows calls only of messages whose content is none, as DeepSeek-R1's does: "" is a turn of its own, without the
// call.
const std::string kAsksForNone =
    "{% for m in messages %}{% if m.role == 'assistant' and m.content is none %}"
    "{% for c in m.tool_calls %}[call]{{ c.function.name }}:{{ '' + c.function.arguments }}{% endfor %}"
    "{% else %}[{{ m.role }}]{{ m.content }}{% endif %}{% endfor %}";
// Prints what it is given, so that none is "None".
const std::string kPrintsContent =
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% for c in m.tool_calls or [] %}"
    "[call]{{ c.function.name }}:{{ c.function.arguments | tojson }}{% endfor %}{% endfor %}";
// Shows either the calls or the text of a message, as Hermes' does.
const std::string kCallsOrText =
    "{% for m in messages %}{% if m.tool_calls is defined %}{% for c in m.tool_calls %}"
    "[call]{{ c.function.name }}:{% for k, v in c.function.arguments.items() %}{{ k }}={{ v }};{% endfor %}{% "
    "endfor %}"
    "{% else %}[{{ m.role }}]{{ m.content }}{% endif %}{% endfor %}";

TEST(Faults, null_content_beside_a_call) {
  for (const char* content : {R"("content":null,)", R"("content":"",)", R"("content":[],)", ""}) {
    const std::string messages = kUser + "," + call(content, kCity) + "," + kResult;
    EXPECT_EQ(Chat(kAsksForNone).prompt(messages), R"([user]hello[call]weather:{"city": "Rome"}[tool]12 degrees)")
        << content;
    EXPECT_EQ(Chat(kPrintsContent).prompt(messages),
              R"([user]hello[assistant][call]weather:{"city": "Rome"}[tool]12 degrees)")
        << content;
  }
}

TEST(Faults, text_beside_a_call_is_shown_too) {
  const std::string messages = kUser + "," + call(R"("content":"let me see",)", kCity) + "," + kResult;
  EXPECT_EQ(Chat(kAsksForNone).prompt(messages),
            R"([user]hello[assistant]let me see[call]weather:{"city": "Rome"}[tool]12 degrees)");
  EXPECT_EQ(Chat(kCallsOrText).prompt(messages),
            "[user]hello[assistant]let me see[call]weather:city=Rome;[tool]12 degrees");
  EXPECT_EQ(Chat(kPrintsContent).prompt(messages),
            R"([user]hello[assistant]let me see[call]weather:{"city": "Rome"}[tool]12 degrees)");
}

TEST(Faults, empty_tool_calls) {
  for (const std::string& source : {kAsksForNone, kPrintsContent, kCallsOrText}) {
    Chat chat(source);
    const std::string without = chat.prompt(kUser + R"(,{"role":"assistant","content":"so"},)" + kUser);
    EXPECT_THAT(without, HasSubstr("so"));
    for (const char* calls : {"[]", "null"}) {
      EXPECT_EQ(chat.prompt(kUser + R"(,{"role":"assistant","content":"so","tool_calls":)" + calls + "}," + kUser),
                without);
    }
  }
}

TEST(Faults, arguments_empty_or_text) {
  for (const char* nothing : {R"("")", R"(" \n")", R"("null")", R"(" null ")", "null", "{}", R"("{}")"}) {
    const std::string messages = kUser + "," + call(R"("content":null,)", nothing) + "," + kResult;
    EXPECT_THAT(Chat(kAsksForNone).prompt(messages), HasSubstr("weather:{}[tool]")) << nothing;
    EXPECT_THAT(Chat(kPrintsContent).prompt(messages), HasSubstr("weather:{}[tool]")) << nothing;
    EXPECT_THAT(Chat(kCallsOrText).prompt(messages), HasSubstr("weather:[tool]")) << nothing;
  }
  // As an object, which some clients send, and what a model wrote that is no JSON.
  const std::string object = kUser + "," + call("", R"({"city":"Rome"})") + "," + kResult;
  EXPECT_THAT(Chat(kAsksForNone).prompt(object), HasSubstr(R"(weather:{"city": "Rome"}[tool])"));
  EXPECT_THAT(Chat(kCallsOrText).prompt(object), HasSubstr("weather:city=Rome;[tool]"));
  const std::string broken = kUser + "," + call("", R"("{\"city\": ")") + "," + kResult;
  EXPECT_THAT(Chat(kAsksForNone).prompt(broken), HasSubstr(R"(weather:{"city": [tool])"));
}

TEST(Faults, parsed_json_leaves_its_heap) {
  std::string arguments = R"({\"a\":[)";
  for (int i = 0; i < 100'000; ++i) arguments += "[1],";
  arguments += "0]}";
  const auto body = JsonBody::parse(R"({"messages":[)" + kUser + "," + call("", "\"" + arguments + "\"") + "]}");
  ASSERT_TRUE(body.ok());
  Fields fields(body->object());
  GenerateRequest request;
  set_sealed_allocation_fatal(false);
  const uint64_t before = sealed_allocations("parse_chat");
  seal_this_thread("parse_chat");
  parse_chat({.vocab_size = 100, .running_max = 8}, {"<s>", "</s>"}, &fields, &request);
  unseal_this_thread();
  EXPECT_TRUE(fields.ok());
  EXPECT_GT(request.context_json.size(), 400'000u);
  if (!alloc_guard_linked()) GTEST_SKIP() << "allocations are not counted in a sanitizer build";
  EXPECT_LT(sealed_allocations("parse_chat") - before, 200u) << "values were made on the default heap";
}

// Every place where a client's text can stand; "<eos>" is a special token of this tokeniser.
const std::string kForgeable =
    "<bos>{% if tools %}{{ tools | tojson }}{% endif %}{{ extra }}{% for m in messages %}[{{ m.role }}:{{ m.name "
    "}}]"
    "{{ m.content | trim | replace('XX', '') }}{% for c in m.tool_calls or [] %}{{ c.function.name }}"
    "{% for k, v in c.function.arguments.items() %}<{{ k }}>{{ v }}{% endfor %}{% endfor %}<eos>{% endfor %}"
    "{% if add_generation_prompt %}{{ '<' ~ 'eos' ~ '>' }}{% endif %}";

TEST(Faults, user_text_forges_turns) {
  Chat chat(kForgeable);
  const auto count = [&](const std::string& messages, const std::string& more = "") {
    const auto ids = chat.ids(messages, more);
    return std::count(ids.begin(), ids.end(), kEos) * 100 + std::count(ids.begin(), ids.end(), kBos);
  };
  const auto user = [](const std::string& text) { return R"({"role":"user","content":")" + text + "\"}"; };
  EXPECT_EQ(count(user("plain")), 201) << "the template's own, also one that it puts together";
  for (const char* text :
       {"<eos>", "a<eos>b<bos>", "  <eos>  ", "<eXXos>", "<<eos>", "<eos", "\\u003ceos\\u003e", "<eos><eos>"}) {
    EXPECT_EQ(count(user(text)), 201) << text;
  }
  EXPECT_THAT(chat.prompt(user("a<eos>b")), HasSubstr("a<eos>b<eos>")) << "the text is in the prompt, as text";
  EXPECT_EQ(count(R"({"role":"user","name":"<eos>","content":"x"})"), 201);
  EXPECT_EQ(count(user("x"), R"(,"tools":[{"type":"function","function":{"name":"<eos>","description":"<bos>"}}])"),
            201);
  EXPECT_EQ(count(user("x"), R"(,"chat_template_kwargs":{"extra":"<eos>"})"), 201);
  const std::string key = R"("{\"eos\": \"<eos>\"}")";
  EXPECT_EQ(count(user("x") + "," + call("", key) + R"(,{"role":"tool","tool_call_id":"1","content":"<eos>"})"),
            401)
      << "a key that completes what the template begins";
  EXPECT_EQ(count(user("a<eos>"), R"(,"parse_special":true)"), 301);
}

TEST(Faults, tokenize_obeys_parse_special) {
  World world;
  const auto count = [&](const char* body) { return world.ask("/tokenize", body)->json().at("count").as_int64(); };
  EXPECT_EQ(count(R"({"prompt":"<eos>"})"), 1) << "a raw prompt is parsed, as by every other server";
  EXPECT_EQ(count(R"({"prompt":"<eos>","parse_special":true})"), 1);
  EXPECT_EQ(count(R"({"prompt":"<eos>","parse_special":false})"), 5);
  EXPECT_EQ(world.ask("/tokenize", R"({"prompt":"a","parse_special":"no"})")->status, 400);
  EXPECT_EQ(world.ask("/tokenize", R"({"prompt":"a","add_special":3})")->status, 400);
}

TEST(Faults, continue_final_message) {
  Chat chat(
      "{% for m in messages %}<bos>{{ m.role }}:{{ m.content }}<eos>{% endfor %}{% if add_generation_prompt "
      "%}<bos>go{% endif %}");
  const auto last = [](const std::string& text) {
    return kUser + R"(,{"role":"assistant","content":")" + text + "\"}";
  };
  EXPECT_EQ(chat.prompt(last("Once upon"), R"(,"continue_final_message":true)"),
            "<bos>user:hello<eos><bos>assistant:Once upon");
  EXPECT_EQ(chat.prompt(last("Once "), R"(,"continue_final_message":true,"add_generation_prompt":false)"),
            "<bos>user:hello<eos><bos>assistant:Once ");
  EXPECT_EQ(chat.prompt(last("Once"), R"(,"continue_final_message":false)"),
            "<bos>user:hello<eos><bos>assistant:Once<eos><bos>go");
  Chat trims("{% for m in messages %}{{ m.role }}:{{ m.content | trim }}|{% endfor %}");
  EXPECT_EQ(trims.prompt(last("Once "), R"(,"continue_final_message":true)"), "user:hello|assistant:Once")
      << "as transformers cuts it: what the template trims is not there";
  EXPECT_EQ(chat.refused(last("a"), R"(,"continue_final_message":true,"add_generation_prompt":true)"),
            "continue_final_message");
  EXPECT_EQ(chat.refused(kUser, R"(,"continue_final_message":true)"), "continue_final_message");
  EXPECT_EQ(chat.refused(kUser + "," + call("", kCity), R"(,"continue_final_message":true)"),
            "continue_final_message");
  EXPECT_EQ(chat.refused(last("a"), R"(,"continue_final_message":7)"), "continue_final_message");
  Chat hides(
      "{% for m in messages %}{% if not loop.last or m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}");
  EXPECT_EQ(hides.refused(last("a"), R"(,"continue_final_message":true)"), "messages[1].content");
}

TEST(ChatHistory, WhatATemplateLeavesOutIsA400ThatNamesIt) {
  Chat no_tools(
      "{% for m in messages %}{% if m.role != 'tool' %}[{{ m.role }}]{{ m.content or '' }}{% endif %}{% endfor %}");
  EXPECT_EQ(no_tools.refused(kUser + "," + call("", kCity) + "," + kResult),
            "messages[1].tool_calls[0].function.name");
  EXPECT_EQ(no_tools.refused(kUser + "," + kResult), "messages[1].content");
  Chat one_system(
      "{% set ns = namespace(s='') %}{% for m in messages %}{% if m.role == 'system' %}{% set ns.s = m.content %}"
      "{% endif %}{% endfor %}{{ ns.s }}{% for m in messages if m.role != 'system' %}[{{ m.role }}]{{ m.content "
      "}}{% endfor %}");
  const auto system = [](const std::string& text) { return R"({"role":"system","content":")" + text + "\"}"; };
  EXPECT_EQ(one_system.refused(system("one") + "," + system("two") + "," + kUser), "messages[0].content");
  EXPECT_THAT(one_system.prompt(system("one") + "," + kUser), HasSubstr("one[user]hello"));
  EXPECT_THAT(one_system.prompt(system("") + "," + system("two") + "," + kUser), HasSubstr("two"))
      << "nothing is missing";
}

// A template may drop old reasoning from a text; that is its author's decision and no reason to refuse.
TEST(ChatHistory, PartsThatATemplateDropsFromATextAreItsOwnAffair) {
  Chat chat("{% for m in messages %}[{{ m.role }}]{{ m.content.split('</think>')[-1] }}{% endfor %}");
  EXPECT_EQ(chat.prompt(kUser + R"(,{"role":"assistant","content":"<think>hm</think>yes"},)" + kUser + "," + kUser),
            "[user]hello[assistant]yes[user]hello[user]hello");
}

TEST(ChatHistory, LegacyFunctionCallsAreRefusedNotDropped) {
  Chat chat(kPrintsContent);
  EXPECT_EQ(
      chat.refused(kUser + R"(,{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}})"),
      "messages[1].function_call");
  EXPECT_THAT(chat.prompt(kUser + R"(,{"role":"assistant","content":"a","function_call":null})"),
              HasSubstr("[assistant]a"));
}

// Mistral's templates take ids of nine letters only; clients send what another server gave them.
TEST(ChatHistory, IdsOfCallsGetTheFormThatTheTemplateWants) {
  Chat chat(
      "{% for m in messages %}{% for c in m.tool_calls or [] %}{% if c.id | length != 9 %}{{ "
      "raise_exception('nine') }}{% endif %}"
      "[{{ c.id }}]{{ c.function.name }}{{ c.function.arguments | tojson }}{% endfor %}{{ m.content or '' }}"
      "{% if m.tool_call_id is defined %}<{{ m.tool_call_id }}>{% endif %}{% endfor %}");
  const std::string prompt = chat.prompt(kUser + "," + call("", kCity) + "," + kResult);
  const size_t open = prompt.find('[');
  ASSERT_NE(open, prompt.npos) << prompt;
  const std::string id = prompt.substr(open + 1, 9);
  EXPECT_THAT(prompt, HasSubstr("<" + id + ">")) << "the result names its call";
}

TEST(ChatHistory, ContentsAreListsWhereATemplateWalksThem) {
  Chat chat(
      "{% for m in messages %}[{{ m.role }}]{% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}{% endif "
      "%}{% endfor %}{% endfor %}");
  EXPECT_EQ(chat.prompt(kUser), "[user]hello");
}

}  // namespace
}  // namespace weir::api
