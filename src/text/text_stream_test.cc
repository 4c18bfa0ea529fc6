// Streaming text is the whole text, is what the tokens' bytes say, and comes no later than the library's
// DecodeStream would bring it: for every tokeniser at hand, random tokens, special and added ones among them.
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <random>

#include "text/detokenizer.h"
#include "text/tokenizer.h"
#include "text/tokenizer_test_util.h"
#include "text/unicode.h"

namespace weir {
namespace {

using test::Ids;

constexpr const char* kReplace = R"({"type":"Replace","pattern":{"String":"▁"},"content":" "})";
constexpr const char* kStripLeft = R"({"type":"Strip","content":" ","start":1,"stop":0})";

std::string sequence(std::initializer_list<const char*> stages) {
  std::string json;
  for (const char* stage : stages) json += (json.empty() ? "" : ",") + std::string(stage);
  return R"(,"decoder":{"type":"Sequence","decoders":[)" + json + "]}";
}

// All byte tokens, some pieces, added tokens of every kind; 1 is special, 2 and 3 are not.
std::string with_decoder(const std::string& decoder) {
  std::string vocab =
      R"("<unk>":0,"<s>":1,"▁":4,"a":5,"▁a":6,"▁b▁":7,"▁▁":8,"é":9,"c</w>":10,"d</w>":11,"\uFFFD":12)";
  int id = 13;
  for (int byte = 0; byte < 256; ++byte, ++id) {
    char name[16];
    std::snprintf(name, sizeof(name), "\"<0x%02X>\"", byte);
    vocab += "," + std::string(name) + ":" + std::to_string(id);
  }
  const std::string added =
      R"(,"added_tokens":[{"id":1,"content":"<s>","special":true,"single_word":false,"lstrip":false,"rstrip":false,"normalized":false},)"
      R"({"id":2,"content":"<l>","special":false,"single_word":false,"lstrip":true,"rstrip":false,"normalized":false},)"
      R"({"id":3,"content":" <r> ","special":false,"single_word":false,"lstrip":false,"rstrip":true,"normalized":false}])";
  return test::tokenizer_json(vocab, "", added + decoder, R"(,"byte_fallback":true)");
}

struct Case {
  const char* name;
  std::function<Result<std::unique_ptr<Tokenizer>>()> load;
};

Case decoder_case(const char* name, std::string decoder) {
  return {name, [decoder] { return Tokenizer::parse(with_decoder(decoder)); }};
}

std::vector<Case> all_cases() {
  std::vector<Case> cases = {
      decoder_case("llama", sequence({kReplace, R"({"type":"ByteFallback"})", R"({"type":"Fuse"})", kStripLeft})),
      decoder_case("gemma", sequence({kReplace, R"({"type":"ByteFallback"})", R"({"type":"Fuse"})"})),
      decoder_case("replaced_after_fuse", sequence({R"({"type":"ByteFallback"})", R"({"type":"Fuse"})", kReplace})),
      decoder_case("metaspace",
                   sequence({R"({"type":"ByteFallback"})",
                             R"({"type":"Metaspace","replacement":"▁","prepend_scheme":"first","split":true})"})),
      decoder_case("no_dummy_prefix",
                   R"(,"decoder":{"type":"Metaspace","replacement":"▁","prepend_scheme":"never","split":true})"),
      decoder_case("word_ends", R"(,"decoder":{"type":"BPEDecoder","suffix":"</w>"})"),
      decoder_case("both_ends_of_tokens",
                   sequence({kReplace, R"({"type":"Strip","content":" ","start":1,"stop":1})"})),
      decoder_case("none", "")};
  for (const char* name : {"llama3", "qwen2", "gpt2", "sentencepiece"}) {
    cases.push_back({name, [name] {
                       return Tokenizer::load(std::string("tests/golden/tokenizer/") + name + ".tokenizer.json");
                     }});
  }
  for (const char* name : {"tokenizers/hf/gpt2", "tokenizers/hf/minimind", "tokenizers/hf/phi-3-mini",
                           "tokenizers/hf/qwen2", "models/TinyStories-656K"}) {
    cases.push_back({name, [name] { return Tokenizer::load_dir(test::data_dir() + "/" + name); }});
  }
  return cases;
}

// The library's step_decode_stream, on decode().
class DecodeStream {
 public:
  DecodeStream(const Tokenizer* tokenizer, bool skip) : tokenizer_(tokenizer), skip_(skip) {}
  // RETURNS: false where the library gives up.
  bool step(int32_t id, std::string* out) {
    if (prefix_.empty() && !ids_.empty()) {
      std::string prefix = tokenizer_->decode(ids_, skip_);
      if (!prefix.ends_with(kReplacementCharacter)) set_prefix(std::move(prefix), ids_.size());
    }
    ids_.push_back(id);
    const std::string text = tokenizer_->decode(ids_, skip_);
    if (text.size() <= prefix_.size() || text.ends_with(kReplacementCharacter)) return true;
    if (!text.starts_with(prefix_)) return false;
    out->append(text, prefix_.size());
    const size_t kept = ids_.size() - prefix_count_;
    ids_.erase(ids_.begin(), ids_.begin() + static_cast<std::ptrdiff_t>(prefix_count_));
    set_prefix(tokenizer_->decode(ids_, skip_), kept);
    return true;
  }

 private:
  void set_prefix(std::string prefix, size_t count) {
    prefix_ = std::move(prefix);
    prefix_count_ = count;
  }
  const Tokenizer* tokenizer_;
  const bool skip_;
  Ids ids_;
  std::string prefix_;
  size_t prefix_count_ = 0;
};

// Tokens that meet: a few of the vocabulary again and again, bytes and added ones among them.
class RandomIds {
 public:
  RandomIds(const Tokenizer& tokenizer, std::mt19937* random)
      : size_(static_cast<uint32_t>(tokenizer.vocab_size())), random_(*random) {
    for (int i = 0; i < 40; ++i) few_.push_back(any());
    for (int32_t id = 0; id < tokenizer.vocab_size() && few_.size() < 80; ++id) {
      if (tokenizer.is_special(id) || tokenizer.token_bytes(id).size() == 1) few_.push_back(id);
    }
  }
  Ids draw(size_t most) {
    Ids ids(random_() % (most + 1));
    for (int32_t& id : ids) id = random_() % 4 == 0 ? any() : few_[random_() % few_.size()];
    return ids;
  }

 private:
  int32_t any() { return static_cast<int32_t>(random_() % (size_ + 2)) - 1; }
  const uint32_t size_;
  std::mt19937& random_;
  Ids few_;
};

std::string lossy(const std::string& bytes) {
  std::string pending, text;
  utf8_lossy_append(bytes, &pending, &text);
  utf8_lossy_finish(&pending, &text);
  return text;
}

class TextStream : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    auto loaded = GetParam().load();
    if (!loaded.ok() && std::string_view(GetParam().name).find('/') != std::string_view::npos) {
      GTEST_SKIP() << "no " << GetParam().name << " in " << test::data_dir() << "; set WEIR_DATA";
    }
    ASSERT_TRUE(loaded.ok()) << loaded.status().message();
    tokenizer_ = std::move(*loaded);
  }
  std::unique_ptr<Tokenizer> tokenizer_;
  std::mt19937 random_{20261130};
};

TEST_P(TextStream, IsTheWholeTextCharacterByCharacterAndInTime) {
  RandomIds random_ids(*tokenizer_, &random_);
  int compared = 0;
  for (int round = 0; round < 600; ++round) {
    const Ids ids = random_ids.draw(24);
    const bool skip = round % 2 != 0;
    const std::string whole = tokenizer_->decode(ids, skip);
    Detokenizer detokenizer(tokenizer_.get(), skip);
    DecodeStream library(tokenizer_.get(), skip);
    std::string text, theirs;
    bool comparable = true;
    for (const int32_t id : ids) {
      detokenizer.add(id, &text);
      ASSERT_TRUE(utf8_valid(text)) << "half a character, round " << round;
      comparable =
          comparable && tokenizer_->has_token(id) && library.step(id, &theirs) && whole.starts_with(theirs);
      ASSERT_TRUE(!comparable || text.size() >= theirs.size())
          << "round " << round << ": '" << text << "' '" << theirs << "'";
      compared += comparable;
    }
    detokenizer.finish(&text);
    ASSERT_EQ(text, whole) << "round " << round;
  }
  EXPECT_GT(compared, 2000) << "the library's stream must be worth comparing with";
}

// The end of a text may take spaces away that the last tokens' bytes have: a word-end suffix, Strip.
TEST_P(TextStream, IsWhatTheBytesOfTheTokensSay) {
  RandomIds random_ids(*tokenizer_, &random_);
  for (int round = 0; round < 600; ++round) {
    const Ids ids = random_ids.draw(24);
    Detokenizer detokenizer(tokenizer_.get(), false);
    std::string text, bytes;
    for (const int32_t id : ids) {
      if (tokenizer_->has_token(id)) bytes += detokenizer.bytes_of(id);
      detokenizer.add(id, &text);
    }
    detokenizer.finish(&text);
    const std::string said = lossy(bytes);
    ASSERT_TRUE(said.starts_with(text)) << "round " << round << ": '" << text << "' '" << said << "'";
    ASSERT_EQ(said.find_first_not_of(' ', text.size()), said.npos)
        << "round " << round << ": '" << text << "' '" << said << "'";
  }
}

// A text cut anywhere, half characters included, continues as if it had not been cut.
TEST_P(TextStream, ContinuesAPrompt) {
  RandomIds random_ids(*tokenizer_, &random_);
  for (int round = 0; round < 600; ++round) {
    const Ids ids = random_ids.draw(40);
    const bool skip = round % 2 != 0;
    const std::span<const int32_t> all = ids;
    const size_t cut = random_() % (ids.size() + 1);
    Detokenizer before(tokenizer_.get(), skip), after(tokenizer_.get(), skip);
    std::string text;
    for (const int32_t id : all.first(cut)) before.add(id, &text);
    after.follow(all.first(cut));
    for (const int32_t id : all.subspan(cut)) after.add(id, &text);
    after.finish(&text);
    ASSERT_EQ(text, tokenizer_->decode(ids, skip)) << "round " << round << " cut at " << cut;
  }
}

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

std::string case_name(const testing::TestParamInfo<Case>& info) {
  std::string name = info.param.name;
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(Tokenizer, TextStream, testing::ValuesIn(all_cases()), case_name);

Ids bytes_as_ids(const Tokenizer& tokenizer, std::string_view bytes) {
  Ids ids;
  for (const char c : bytes) {
    char name[8];
    std::snprintf(name, sizeof(name), "<0x%02X>", static_cast<unsigned char>(c));
    ids.push_back(tokenizer.token_to_id(name).value());
  }
  return ids;
}

TEST(Faults, bytes_of_characters_stream) {
  const auto t =
      Tokenizer::parse(
          with_decoder(sequence({kReplace, R"({"type":"ByteFallback"})", R"({"type":"Fuse"})", kStripLeft})))
          .value();
  const Ids ids = bytes_as_ids(*t, "\xF0\x9F\x98\x80\xF0\x9F\x98\x81\xF0\x9F");
  EXPECT_EQ(t->decode(ids, true), "😀😁\uFFFD");
  Detokenizer detokenizer(t.get());
  std::vector<std::string> pieces;
  for (const int32_t id : ids) detokenizer.add(id, &pieces.emplace_back());
  detokenizer.finish(&pieces.emplace_back());
  EXPECT_EQ(pieces, (std::vector<std::string>{"", "", "", "😀", "", "", "", "😁", "", "", "\uFFFD"}));
  Detokenizer letters(t.get());
  for (int i = 0; i < 400; ++i) {
    std::string text;
    letters.add(bytes_as_ids(*t, "A")[0], &text);
    ASSERT_EQ(text, "A") << "at once, byte token " << i;
    ASSERT_EQ(letters.held_bytes(), 0u);
  }
}

}  // namespace
}  // namespace weir
