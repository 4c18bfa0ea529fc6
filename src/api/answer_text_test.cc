// Streamed text equals whole text equals logprobs, and stop strings cut where their definition says: random tokens
// of every tokeniser at hand, cut at random, with stop strings that begin and end inside tokens and lie in special
// ones.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <optional>
#include <random>

#include "api/answer.h"
#include "api/json_out.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

namespace weir::api {
namespace {

using Ids = std::vector<int32_t>;

std::string path_of(const std::string& name) {
  if (name.find('/') == std::string::npos) return "tests/golden/tokenizer/" + name + ".tokenizer.json";
  const char* set = std::getenv("WEIR_DATA");
  return std::string(set != nullptr ? set : "../shared/data") + "/" + name + "/tokenizer.json";
}

// A request for one sequence, and what it makes.
struct Ask {
  Ids prompt, tokens;
  bool completion = true, skip = true;
  bool scored = false;  // echo with logprobs; a completion with a prompt
  std::vector<std::string> stop;
  int32_t min_tokens = 0;
};

struct Outcome {
  std::string text;
  std::optional<size_t> stopped_at;  // tokens taken then
  bool operator==(const Outcome&) const = default;
};

void PrintTo(const Outcome& outcome, std::ostream* out) {
  *out << '\'' << outcome.text << "' stopped at "
       << (outcome.stopped_at ? std::to_string(*outcome.stopped_at) : "no token");
}

// The definition, byte by byte: pieces of the detokeniser, searched in what is seen and in all.
Outcome definition(const Tokenizer& tokenizer, const Ask& ask) {
  Detokenizer detokenizer(&tokenizer, ask.skip);
  if (ask.completion) detokenizer.follow(ask.prompt);
  std::string unsearched, all, seen;
  std::vector<size_t> seen_before = {0};
  const auto take = [&](std::string_view piece, bool hidden) -> std::optional<size_t> {
    for (const char c : piece) {
      all.push_back(c);
      if (!hidden) seen.push_back(c);
      seen_before.push_back(seen.size());
      std::optional<size_t> cut;
      for (const std::string& stop : ask.stop) {
        if (all.ends_with(stop)) cut = std::min(cut.value_or(seen.size()), seen_before[all.size() - stop.size()]);
        if (!hidden && seen.ends_with(stop)) cut = std::min(cut.value_or(seen.size()), seen.size() - stop.size());
      }
      if (cut) return cut;
    }
    return {};
  };
  for (size_t k = 0; k < ask.tokens.size(); ++k) {
    const int32_t id = ask.tokens[k];
    const bool hidden = detokenizer.hides(id);
    std::string piece = hidden ? detokenizer.bytes_of(id) : "";
    detokenizer.add(id, &piece);
    if (k < static_cast<size_t>(ask.min_tokens)) {
      if (!hidden) unsearched += piece;
    } else if (const auto cut = take(piece, hidden)) {
      return {unsearched + seen.substr(0, *cut), k + 1};
    }
  }
  std::string tail;
  detokenizer.finish(&tail);
  if (ask.min_tokens > 0 && ask.tokens.size() <= static_cast<size_t>(ask.min_tokens))
    return {unsearched + tail, {}};
  if (const auto cut = take(tail, false)) return {unsearched + seen.substr(0, *cut), ask.tokens.size()};
  return {unsearched + seen, {}};
}

std::string text_so_far(const Tokenizer& tokenizer, const Ids& ids, bool skip) {
  Detokenizer detokenizer(&tokenizer, skip);
  std::string text;
  for (const int32_t id : ids) detokenizer.add(id, &text);
  return text;
}

struct Given {
  Outcome outcome;
  boost::json::array tokens, offsets, chat_entries;
};

// clears: after each token with this chance, as a stream does; none: a whole answer.
Given run(const Tokenizer& tokenizer, const Ask& ask, std::mt19937* clears) {
  GenerateRequest request;
  request.endpoint = ask.completion ? Endpoint::kCompletion : Endpoint::kChat;
  request.skip_special_tokens = ask.skip;
  request.stop = ask.stop;
  request.params.top_logprobs = 1;
  request.params.min_tokens = ask.min_tokens;
  const AnswerRules rules(request, &tokenizer, {});
  const auto ledger = std::make_shared<Ledger>(LedgerOptions{});
  Answer answer(&rules, ledger->open());
  Given given;
  const auto collect = [&] {
    given.outcome.text += answer.text();
    const auto extend = [](const std::string& json, boost::json::array* out) {
      const boost::json::value list = boost::json::parse("[" + json + "]");
      for (const auto& value : list.as_array()) out->push_back(value);
    };
    extend(answer.logprobs().entries, ask.completion ? &given.tokens : &given.chat_entries);
    extend(answer.logprobs().offsets, &given.offsets);
    answer.clear();
  };
  const std::span<const int32_t> prompt = ask.prompt;
  const std::string echo = ask.scored ? text_so_far(tokenizer, ask.prompt, ask.skip) : "";
  AnswerStart start{.echo = echo, .prompt = ask.completion ? prompt : std::span<const int32_t>()};
  if (ask.scored) start.scores_to_come = prompt.size() - 1;
  EXPECT_EQ(answer.begin(start), Grant::kYes);
  for (size_t i = 1; ask.scored && i < prompt.size(); ++i) {
    EXPECT_EQ(answer.take({.token = prompt[i], .logprob = -1}), Took::kMore);
    if (clears != nullptr && (*clears)() % 3 == 0) collect();
  }
  size_t taken = 0;
  for (const int32_t id : ask.tokens) {
    ++taken;
    const Took took = answer.take({.token = id, .logprob = -1, .top_count = 1, .top = {TopLogprob{id, -1}}});
    if (clears != nullptr && (*clears)() % 3 == 0) collect();
    if (took == Took::kStopped) {
      given.outcome.stopped_at = taken;
      break;
    }
  }
  if (answer.end() == Took::kStopped) given.outcome.stopped_at = taken;
  collect();
  return given;
}

class AnswerText : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    auto loaded = Tokenizer::load(path_of(GetParam()));
    if (!loaded.ok() && loaded.status().code() == Code::kNotFound)
      GTEST_SKIP() << "no " << path_of(GetParam()) << "; set WEIR_DATA";
    ASSERT_TRUE(loaded.ok()) << loaded.status().message();
    tokenizer_ = std::move(*loaded);
    for (int i = 0; i < 30; ++i) few_.push_back(any());
    for (int32_t id = 0; id < tokenizer_->vocab_size(); ++id) {
      if (tokenizer_->is_special(id) && specials_.size() < 6) specials_.push_back(id);
      if (tokenizer_->token_bytes(id).size() == 1 && few_.size() < 60) few_.push_back(id);
    }
    few_.insert(few_.end(), specials_.begin(), specials_.end());
  }

  int32_t any() {
    for (;;) {
      const auto id = static_cast<int32_t>(random_() % static_cast<uint32_t>(tokenizer_->vocab_size()));
      if (tokenizer_->has_token(id)) return id;
    }
  }
  Ids some_ids(size_t most) {
    Ids ids(random_() % (most + 1));
    for (int32_t& id : ids) id = random_() % 5 == 0 ? any() : few_[random_() % few_.size()];
    return ids;
  }
  // A piece of what will be said, hidden parts included, cut anywhere; or of something else.
  std::string some_stop(const Ask& ask) {
    Ask said = ask;
    said.skip = random_() % 2 != 0;
    said.stop.clear();
    const std::string text = definition(*tokenizer_, said).text;
    if (text.empty() || random_() % 8 == 0) return std::string(1, static_cast<char>('a' + random_() % 26));
    const auto at_character = [&](size_t at) {
      while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) ++at;
      return at;
    };
    const size_t begin = at_character(random_() % text.size()),
                 end = at_character(std::min(text.size(), begin + 1 + random_() % 12));
    return begin < end ? text.substr(begin, end - begin) : text;
  }
  Ask some_ask() {
    Ask ask;
    ask.prompt = some_ids(10);
    ask.tokens = some_ids(24);
    ask.completion = random_() % 2 != 0;
    ask.skip = random_() % 4 != 0;
    ask.min_tokens = random_() % 4 == 0 ? static_cast<int32_t>(random_() % 8) : 0;
    for (size_t n = random_() % 3; n > 0; --n) ask.stop.push_back(some_stop(ask));
    return ask;
  }

  std::unique_ptr<Tokenizer> tokenizer_;
  std::mt19937 random_{20261130};
  Ids few_, specials_;
};

TEST_P(AnswerText, StreamedIsWholeAndStopsWhereItShould) {
  int stopped = 0, whole = 0;
  for (int round = 0; round < 500; ++round) {
    const Ask ask = some_ask();
    const Outcome want = definition(*tokenizer_, ask);
    ASSERT_EQ(run(*tokenizer_, ask, nullptr).outcome, want) << "round " << round;
    ASSERT_EQ(run(*tokenizer_, ask, &random_).outcome, want) << "round " << round << ", streamed";
    stopped += want.stopped_at.has_value();
    if (want.stopped_at) continue;
    ++whole;
    Ids all = ask.completion ? ask.prompt : Ids();
    const std::string before = text_so_far(*tokenizer_, all, ask.skip);
    all.insert(all.end(), ask.tokens.begin(), ask.tokens.end());
    ASSERT_EQ(before + want.text, tokenizer_->decode(all, ask.skip)) << "round " << round;
  }
  EXPECT_GT(stopped, 100);
  EXPECT_GT(whole, 100);
}

std::string bytes_of(const boost::json::value& token) {
  const std::string text(token.as_string());
  if (!text.starts_with("bytes:")) return text;
  std::string bytes;
  for (size_t at = text.find("\\x"); at != text.npos; at = text.find("\\x", at + 1)) {
    bytes.push_back(static_cast<char>(std::stoi(text.substr(at + 2, 2), nullptr, 16)));
  }
  return bytes;
}

std::string lossy(std::string_view before, const std::string& bytes) {
  std::string pending(before), text;
  utf8_lossy_append(bytes, &pending, &text);
  utf8_lossy_finish(&pending, &text);
  return text;
}

// The text from its n-th character on.
std::string_view from_character(std::string_view text, int64_t n) {
  while (n-- > 0 && !text.empty()) text.remove_prefix(utf8_length(text));
  return text;
}

TEST_P(AnswerText, IsWhatTheLogprobsSay) {
  for (int round = 0; round < 500; ++round) {
    Ask ask = some_ask();
    ask.stop.clear();
    ask.skip = false;
    const Given given = run(*tokenizer_, ask, round % 2 != 0 ? &random_ : nullptr);
    std::string bytes;
    if (ask.completion) {
      Detokenizer detokenizer(tokenizer_.get(), ask.skip);
      detokenizer.follow(ask.prompt);
      for (const auto& token : given.tokens) bytes += bytes_of(token);
      ASSERT_EQ(lossy(detokenizer.unfinished(), bytes), given.outcome.text) << "round " << round;
    } else {
      for (const auto& entry : given.chat_entries) {
        for (const auto& byte : entry.at("bytes").as_array()) bytes.push_back(static_cast<char>(byte.as_int64()));
      }
      ASSERT_EQ(lossy("", bytes), given.outcome.text) << "round " << round;
    }
    for (size_t i = 0; i < given.offsets.size(); ++i) {
      const std::string token = bytes_of(given.tokens[i]);
      const std::string_view rest = from_character(given.outcome.text, given.offsets[i].as_int64());
      ASSERT_TRUE(!valid_utf8(token) || rest.starts_with(token))
          << "round " << round << " token " << i << " '" << token << "'";
    }
  }
}

TEST_P(AnswerText, ScoresOfThePromptBelongToTheSameText) {
  for (int round = 0; round < 300; ++round) {
    Ask ask = some_ask();
    ask.completion = ask.scored = true;
    ask.skip = round % 3 == 0;
    ask.prompt.push_back(any());
    ask.stop.clear();
    const Given given = run(*tokenizer_, ask, round % 2 != 0 ? &random_ : nullptr);
    Ids all = ask.prompt;
    all.insert(all.end(), ask.tokens.begin(), ask.tokens.end());
    ASSERT_EQ(given.outcome.text, tokenizer_->decode(all, ask.skip)) << "round " << round;
    ASSERT_EQ(given.tokens.size(), all.size()) << "round " << round;
    std::string bytes;
    for (size_t i = 0; i < all.size(); ++i) {
      const std::string token = bytes_of(given.tokens[i]);
      const bool hidden = ask.skip && tokenizer_->is_special(all[i]);
      if (!hidden) bytes += token;
      const std::string_view rest = from_character(given.outcome.text, given.offsets[i].as_int64());
      ASSERT_TRUE(hidden || !valid_utf8(token) || rest.starts_with(token)) << "round " << round << " token " << i;
    }
    ASSERT_EQ(lossy("", bytes), given.outcome.text) << "round " << round;
  }
}

INSTANTIATE_TEST_SUITE_P(Tokenizer, AnswerText,
                         testing::Values("llama3", "qwen2", "gpt2", "sentencepiece", "tokenizers/hf/phi-3-mini",
                                         "tokenizers/hf/minimind", "models/TinyStories-656K"),
                         [](const auto& info) {
                           std::string name = info.param;
                           for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
                           return name;
                         });

}  // namespace
}  // namespace weir::api
