// Which token ends an assistant's turn, in made-up templates and in published ones.
#include "text/turn_end.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>

#include "text/chat_template.h"
#include "text/tokenizer.h"
#include "text/tokenizer_test_util.h"

namespace weir {
namespace {

namespace json = boost::json;

constexpr int kFirstMarker = 3072;  // behind the demo model's own ids

// The demo model's tokeniser with markers of other models beside its own.
std::unique_ptr<Tokenizer> tokenizer_with(const std::vector<std::string>& markers, bool special = true) {
  json::value file = json::parse(test::read_whole("models/weir-demo/tokenizer.json"));
  json::array& added = file.as_object()["added_tokens"].as_array();
  for (size_t i = 0; i < markers.size(); ++i) {
    json::object token = added.front().as_object();
    token["id"] = kFirstMarker + static_cast<int>(i);
    token["content"] = markers[i];
    token["special"] = special;
    added.push_back(token);
  }
  return std::move(Tokenizer::parse(json::serialize(file))).value();
}

// RETURNS: the text of the token, "" for none.
std::string turn_end(const std::string& source, const Tokenizer& tokenizer, std::string_view eos = "") {
  const auto parsed = ChatTemplate::parse(source);
  EXPECT_TRUE(parsed.ok()) << parsed.status().message();
  const auto id = turn_end_token(**parsed, tokenizer, "<s>", eos);
  return id ? std::string(tokenizer.id_to_token(*id)) : "";
}

std::string each(const std::string& body) { return "{% for m in messages %}" + body + "{% endfor %}"; }

TEST(Faults, end_token_of_a_turn) {
  const auto tokenizer = tokenizer_with({"<|eot|>", "<s>", "</s>", "<|user|>", "<|assistant|>", "\"<q>\""});
  EXPECT_EQ(turn_end(each("<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"), *tokenizer), "<|im_end|>");
  EXPECT_EQ(turn_end(each("{{ m.role }} {{ m.content | trim }}\n\n<|eot|>"), *tokenizer), "<|eot|>")
      << "blanks before it";
  EXPECT_EQ(turn_end(each("{{ m.content }}{{ eos_token }}"), *tokenizer, "</s>"), "</s>");
  EXPECT_EQ(turn_end(each("<|{{ m.role }}|>\n{{ m.content }}\n"), *tokenizer), "<|user|>")
      << "the next turn's beginning";
  EXPECT_EQ(turn_end(each("{{ m.role }}: {{ m.content }}\n"), *tokenizer), "") << "words end no turn";
  EXPECT_EQ(turn_end(each("{{ m.content }}"), *tokenizer), "");
  EXPECT_EQ(turn_end("{{ raise_exception('no') }}", *tokenizer), "");
  EXPECT_EQ(turn_end("fixed <|im_end|>", *tokenizer), "");
  EXPECT_EQ(turn_end(each("{{ m.content }}{{ eos_token }}"), *tokenizer, "\"<q>\""), "\"<q>\"")
      << "a token with quotes";
  const auto plain = tokenizer_with({"<|eot|>"}, false);
  EXPECT_EQ(turn_end(each("{{ m.content }}<|eot|>"), *plain), "<|eot|>")
      << "a tag that is listed as an ordinary token";
}

TEST(TurnEnd, PublishedTemplates) {
  const std::string dir = test::data_dir() + "/templates/";
  if (!std::filesystem::exists(dir)) GTEST_SKIP() << "no shared data; set WEIR_DATA";
  struct Published {
    const char* file;
    const char* end;
  };
  for (const Published& one : {Published{"Qwen-Qwen2.5-7B-Instruct", "<|im_end|>"},
                               {"meta-llama-Llama-3.2-3B-Instruct", "<|eot_id|>"},
                               {"microsoft-Phi-3.5-mini-instruct", "<|end|>"},
                               {"mistralai-Mistral-Nemo-Instruct-2407", "</s>"},
                               {"Mistral-Small-3.2-24B-Instruct-2506", "</s>"},
                               {"deepseek-ai-DeepSeek-R1-Distill-Llama-8B",
                                "<\xef\xbd\x9c"
                                "end\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>"},
                               {"ibm-granite-granite-3.3-2B-Instruct", "<|end_of_text|>"},
                               {"Kimi-K2-Instruct", "<|im_end|>"},
                               {"Qwen3-Coder", "<|im_end|>"},
                               {"GLM-4.7-Flash", "<|user|>"}}) {
    const std::string source = test::read_whole(dir + one.file + ".jinja");
    ASSERT_FALSE(source.empty()) << one.file;
    const std::string end = one.end;
    const auto tokenizer = end == "<|im_end|>" ? tokenizer_with({}) : tokenizer_with({end});
    EXPECT_EQ(turn_end(source, *tokenizer, end), end) << one.file;
  }
}

}  // namespace
}  // namespace weir
