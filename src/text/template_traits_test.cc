// The form that a template shows, found by probing: small templates of each kind, and published ones where the data
// is.
#include "text/template_traits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "text/chat_template.h"
#include "text/tokenizer.h"
#include "text/tokenizer_test_util.h"

namespace weir {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::unique_ptr<ChatTemplate> parse(const std::string& source) {
  auto parsed = ChatTemplate::parse(source, "<s>", "</s>");
  EXPECT_TRUE(parsed.ok()) << parsed.status().message();
  return parsed.ok() ? std::move(*parsed) : nullptr;
}

std::string traits_of(const std::string& source) { return describe(parse(source)->traits()); }

// A template around what it does with a message.
std::string each(const std::string& body) {
  return "{% for m in messages %}[{{ m.role }}]" + body + "{% endfor %}";
}

const std::string kCalls =
    "{% for c in m.tool_calls or [] %}{{ c.function.name }}{{ c.function.arguments | tojson }}{% endfor %}";

TEST(TemplateTraits, TheFormThatShowsTheCallIsChosen) {
  EXPECT_EQ(traits_of(each("{{ m.content or '' }}" + kCalls)),
            "call_content=null arguments=object text_with_call=together");
  EXPECT_EQ(traits_of(each("{{ m.content }}" + kCalls)),
            "call_content=empty arguments=object text_with_call=together");
  EXPECT_EQ(traits_of(each("{% if 'content' in m %}{{ m.content + '' }}{% else %}" + kCalls + "{% endif %}")),
            "call_content=absent arguments=object text_with_call=before");
  EXPECT_EQ(traits_of(each("{{ m.content or '' }}{% for c in m.tool_calls or [] %}{{ c.function.name + "
                           "c.function.arguments }}{% endfor %}")),
            "call_content=null arguments=text text_with_call=together");
  EXPECT_EQ(traits_of(each("{{ m.content or '' }}{% for c in m.tool_calls or [] %}{{ c.function.name }}{{ "
                           "c.function.arguments }}{% endfor %}")),
            "call_content=null arguments=text text_with_call=together")
      << "an object would be printed in Python's way";
}

TEST(TemplateTraits, WhatNoFormShowsIsListed) {
  EXPECT_THAT(parse(each("{{ m.content or '' }}" + kCalls))->traits().hidden, IsEmpty());
  EXPECT_THAT(parse(each("{{ m.content or '' }}"))->traits().hidden,
              ElementsAre("tool calls", "tool results", "an assistant's text beside a call"));
  EXPECT_THAT(parse("{{ messages[0].content }}")->traits().hidden, testing::Contains("a second system message"));
  EXPECT_THAT(parse("{{ functions.x }}")->traits().hidden, ElementsAre("a user's message alone"));
  EXPECT_THAT(
      parse("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}")->traits().hidden,
      ElementsAre("a user's message alone"))
      << "a probe ends, whatever the template does";
}

// Tokens that are not special in the file, but that the template writes between turns.
TEST(TemplateTraits, TurnTokensAreFoundInTheTemplate) {
  auto tokenizer = Tokenizer::parse(test::tokenizer_json(
      R"("a":0,"s":1,"u":2,"[":3,"]":4)", "",
      R"(,"added_tokens":[{"id":5,"content":"<U>","special":false},{"id":6,"content":"<think>","special":false},{"id":7,"content":"<E>","special":true}])"));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  const auto chat = parse(
      "{% for m in messages %}{% if m.role == 'user' %}<U>{% endif %}{{ m.content }}<E>{% endfor %}"
      "{% if add_generation_prompt %}<think>{% endif %}");
  EXPECT_THAT(chat->turn_tokens(**tokenizer), ElementsAre(5));
}

const std::string kHistory =
    R"({"messages":[{"role":"user","content":"hello-1"},)"
    R"({"role":"assistant","content":CONTENT,"tool_calls":[{"id":"call_Ab1Cd2Ef3Gh4","type":"function","function":{"name":"weather-2","arguments":"{\"city\": \"Rome-3\"}"}}]},)"
    R"({"role":"tool","tool_call_id":"call_Ab1Cd2Ef3Gh4","name":"weather-2","content":"12 degrees-4"}],)"
    R"("tools":[{"type":"function","function":{"name":"other","description":"d","parameters":{"type":"object","properties":{}}}}],)"
    R"("bos_token":"<s>","eos_token":"</s>","add_generation_prompt":true})";

// tests/python/test_chats.py compares prompts with jinja2; here: what is shown is whole, what is not is named.
TEST(Faults, published_templates_show_a_call_or_name_it) {
  const std::filesystem::path dir = test::data_dir() + "/templates";
  if (!std::filesystem::is_directory(dir)) GTEST_SKIP() << "no chat templates at " << dir << "; set WEIR_DATA";
  std::map<std::string, int> outcomes;
  for (const auto& file : std::filesystem::directory_iterator(dir)) {
    if (file.path().extension() != ".jinja") continue;
    const auto chat = parse(test::read_whole(file.path()));
    ASSERT_NE(chat, nullptr) << file.path();
    for (const char* content : {"null", "\"\"", "\"let me see-5\""}) {
      std::string context = kHistory;
      context.replace(context.find("CONTENT"), 7, content);
      const auto out = chat->render_chat(context);
      if (!out.ok() || out->hidden) {
        ++outcomes["refused"];
        continue;
      }
      ++outcomes["shown"];
      for (const char* text : {"hello-1", "weather-2", "Rome-3", "12 degrees-4"}) {
        EXPECT_THAT(out->prompt.text, HasSubstr(text))
            << file.path() << " " << content << " " << describe(chat->traits());
      }
      if (content[1] == 'l') {
        EXPECT_THAT(out->prompt.text, HasSubstr("let me see-5")) << file.path();
      }
    }
  }
  EXPECT_GT(outcomes["shown"], 70) << "most templates have a form that shows everything";
}

}  // namespace
}  // namespace weir
