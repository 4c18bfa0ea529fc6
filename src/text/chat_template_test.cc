#include "text/chat_template.h"
#include "text/tokenizer.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "text/jinja/engine.h"
#include "text/jinja/json.h"

namespace weir {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

constexpr const char* kChat =
    "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}";

TEST(ChatTemplate, RendersMessages) {
  auto t = ChatTemplate::parse(kChat);
  ASSERT_TRUE(t.ok()) << t.status().message();
  auto out = (*t)->render(
      R"({"messages": [{"role": "user", "content": "Hi"}], "bos_token": "<s>", "add_generation_prompt": true})");
  ASSERT_TRUE(out.ok()) << out.status().message();
  EXPECT_EQ(*out, "<s><user>Hi<assistant>");
}

TEST(ChatTemplate, ErrorsAreTheCallersFault) {
  EXPECT_EQ(ChatTemplate::parse("{% if %}").status().code(), Code::kInvalidArgument);
  auto t = ChatTemplate::parse("{{ raise_exception('roles must alternate') }}");
  ASSERT_TRUE(t.ok());
  auto out = (*t)->render("{}");
  EXPECT_EQ(out.status().code(), Code::kInvalidArgument);
  EXPECT_EQ(out.status().message(), "roles must alternate");
  EXPECT_EQ((*t)->render("{").status().code(), Code::kInvalidArgument);
}

TEST(ChatTemplate, ManyThreadsRenderOneTemplate) {
  auto t =
      ChatTemplate::parse("{% set l = ['a', 'b' ~ x] %}{% for i in range(50) %}{{ l[i % 2] | upper }}{% endfor %}");
  ASSERT_TRUE(t.ok());
  std::vector<std::string> out(4);
  {
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < out.size(); ++i) {
      threads.emplace_back([&, i] {
        for (int n = 0; n < 200; ++n) out[i] = *(*t)->render("{\"x\": " + std::to_string(i) + "}");
      });
    }
  }
  for (size_t i = 0; i < out.size(); ++i)
    EXPECT_EQ(out[i].substr(0, 6), "AB" + std::to_string(i) + "AB" + std::to_string(i));
}

class ChatTemplateFile : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::temp_directory_path() / ("weir_chat_" + std::to_string(::getpid()) + "_" +
                                        ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(dir_);
  }
  void TearDown() override { fs::remove_all(dir_); }
  void write(const char* name, const std::string& text) { std::ofstream(dir_ / name) << text; }
  Result<ChatTemplateFiles> read() { return read_chat_template(dir_.string()); }
  fs::path dir_;
};

TEST_F(ChatTemplateFile, NothingThereIsNoError) {
  auto files = read();
  ASSERT_TRUE(files.ok());
  EXPECT_EQ(files->source, "");
}

TEST_F(ChatTemplateFile, MissingDirectory) {
  EXPECT_EQ(read_chat_template((dir_ / "no").string()).status().code(), Code::kNotFound);
}

TEST_F(ChatTemplateFile, TokensAsTextAndObject) {
  write("tokenizer_config.json",
        R"({"bos_token": {"content": "<s>", "lstrip": false}, "eos_token": "</s>", "pad_token": null,
                                     "chat_template": "T"})");
  auto files = read();
  ASSERT_TRUE(files.ok()) << files.status().message();
  EXPECT_EQ(files->bos_token, "<s>");
  EXPECT_EQ(files->eos_token, "</s>");
  EXPECT_EQ(files->pad_token, "");
  EXPECT_EQ(files->source, "T");
}

TEST_F(ChatTemplateFile, OrderOfPlaces) {
  write("tokenizer_config.json", R"({"chat_template": "from config"})");
  EXPECT_EQ(read()->source, "from config");
  write("chat_template.json", R"({"chat_template": "from json"})");
  EXPECT_EQ(read()->source, "from json");
  write("chat_template.jinja", "from jinja");
  EXPECT_EQ(read()->source, "from jinja");
}

TEST_F(ChatTemplateFile, NamedTemplates) {
  write("tokenizer_config.json",
        R"({"chat_template": [{"name": "tool_use", "template": "A"}, {"name": "default", "template": "B"}]})");
  EXPECT_EQ(read()->source, "B");
  write("tokenizer_config.json",
        R"({"chat_template": [{"name": "rag", "template": "C"}, {"name": "tool_use", "template": "A"}]})");
  EXPECT_EQ(read()->source, "A");
}

TEST_F(ChatTemplateFile, DamagedFile) {
  write("tokenizer_config.json", "{\"chat_template\": ");
  EXPECT_EQ(read().status().code(), Code::kDataLoss);
  EXPECT_THAT(read().status().message(), HasSubstr("tokenizer_config.json"));
  write("tokenizer_config.json", "[]");
  EXPECT_EQ(read().status().code(), Code::kDataLoss);
}

TEST_F(ChatTemplateFile, AsPythonWritesIt) {
  write("tokenizer_config.json",
        "\xef\xbb\xbf{\"eos_token\": \"</s>\", \"model_max_length\": Infinity, \"x\": [NaN, -Infinity]}\n\n");
  const auto files = read();
  ASSERT_TRUE(files.ok()) << files.status().message();
  EXPECT_EQ(files->eos_token, "</s>");
}

// tests/golden/jinja/*.json, made from jinja2 by tools/make_jinja_goldens.py.
TEST(ChatTemplate, GoldensOfJinja2) {
  int cases = 0;
  for (const auto& entry : fs::directory_iterator("tests/golden/jinja")) {
    std::ifstream in(entry.path(), std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    jinja::Heap heap(jinja::Limits{});
    const jinja::Value file = jinja::parse_json(heap, text);
    ASSERT_FALSE(heap.failed()) << entry.path() << heap.error();
    const jinja::Options options{.immutable = true, .now_seconds = file.dict()->find("now")->integer()};
    auto parsed = jinja::Template::parse(file.dict()->find("template")->text());
    ASSERT_TRUE(parsed.ok()) << parsed.status().message();
    for (const jinja::Value& each : file.dict()->find("cases")->seq()->items) {
      const std::string name(each.dict()->find("name")->text());
      auto out = parsed->render(jinja::dump_json(heap, *each.dict()->find("context"), {}), options);
      const jinja::Value* want = each.dict()->find("ok");
      ASSERT_EQ(out.ok(), want != nullptr) << name << " " << out.status().message();
      if (want != nullptr) {
        EXPECT_EQ(*out, want->text()) << name;
      }
      ++cases;
    }
  }
  EXPECT_GE(cases, 80);
}

// The bundled model from its files to token ids, as transformers' apply_chat_template gives them
// (tests/golden/weir_demo.json, written by tools/make_goldens.py).
TEST(DemoModel, TemplateAndTokeniserGiveTheGoldenIds) {
  auto files = read_chat_template("models/weir-demo");
  ASSERT_TRUE(files.ok()) << files.status().message();
  auto chat = ChatTemplate::parse(files->source);
  ASSERT_TRUE(chat.ok()) << chat.status().message();
  auto text = (*chat)->render(R"({"messages": [{"role": "user", "content": "Tell me a story about a cat."}],
                                  "add_generation_prompt": true})");
  ASSERT_TRUE(text.ok()) << text.status().message();
  EXPECT_EQ(*text, "<|im_start|>user\nTell me a story about a cat.<|im_end|>\n<|im_start|>assistant\n");
  auto tokenizer = Tokenizer::load_dir("models/weir-demo");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  auto ids = (*tokenizer)->encode(*text, false);
  ASSERT_TRUE(ids.ok());
  EXPECT_EQ(*ids, (std::vector<int32_t>{1, 372, 201, 553, 337, 259, 491, 378, 259, 594, 16, 2, 201, 1, 373, 201}));
}

}  // namespace
}  // namespace weir
