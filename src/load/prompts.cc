#include "load/prompts.h"

#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/files.h"
#include "base/units.h"
#include "load/spec_text.h"

namespace weir::load {
namespace {

namespace json = boost::json;

constexpr uint64_t kFileBytesMax = 256 * kMiB;

// 128 short common words, a power of two so that drawing one is a mask.
constexpr auto kWords = std::to_array<std::string_view>(
    {"the",   "of",     "and",   "to",    "in",    "is",     "you",   "that",   "it",    "he",    "was",   "for",
     "on",    "are",    "as",    "with",  "his",   "they",   "at",    "be",     "this",  "have",  "from",  "or",
     "one",   "had",    "by",    "word",  "but",   "not",    "what",  "all",    "were",  "we",    "when",  "your",
     "can",   "said",   "there", "use",   "an",    "each",   "which", "she",    "do",    "how",   "their", "if",
     "will",  "up",     "other", "about", "out",   "many",   "then",  "them",   "these", "so",    "some",  "her",
     "would", "make",   "like",  "him",   "into",  "time",   "has",   "look",   "two",   "more",  "write", "go",
     "see",   "number", "no",    "way",   "could", "people", "my",    "than",   "first", "water", "been",  "call",
     "who",   "oil",    "its",   "now",   "find",  "long",   "down",  "day",    "did",   "get",   "come",  "made",
     "may",   "part",   "over",  "new",   "sound", "take",   "only",  "little", "work",  "know",  "place", "year",
     "live",  "me",     "back",  "give",  "most",  "very",   "after", "thing",  "our",   "just",  "name",  "good",
     "man",   "think",  "say",   "great", "where", "help",   "line",  "turn"});
static_assert(kWords.size() == 128);

const json::value* member(const json::value& value, const char* name) {
  return value.is_object() ? value.get_object().if_contains(name) : nullptr;
}

std::string text_of(const json::value* value) {
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

bool is_human(const json::value& turn) {
  const std::string from = text_of(member(turn, "from")), role = text_of(member(turn, "role"));
  return from == "human" || from == "user" || role == "user";
}

// The prompt in one record of any known shape; "" when there is none.
std::string prompt_in(const json::value& record) {
  if (record.is_string()) return std::string(record.get_string());
  for (const char* name : {"prompt", "text", "question"}) {
    if (std::string text = text_of(member(record, name)); !text.empty()) return text;
  }
  for (const char* name : {"conversations", "messages", "turns"}) {
    const json::value* turns = member(record, name);
    if (turns == nullptr || !turns->is_array()) continue;
    for (const json::value& turn : turns->get_array()) {
      if (turn.is_string()) return std::string(turn.get_string());
      if (!is_human(turn)) continue;
      const std::string value = text_of(member(turn, "value"));
      return value.empty() ? text_of(member(turn, "content")) : value;
    }
  }
  return "";
}

void keep(std::string prompt, std::vector<std::string>* prompts) {
  if (!trimmed(prompt).empty()) prompts->push_back(std::move(prompt));
}

Status take_array(std::string_view text, const std::string& name, std::vector<std::string>* prompts) {
  json::error_code error;
  const json::value value = json::parse({text.data(), text.size()}, error);
  if (error || !value.is_array()) return invalid_argument(name + ": begins with '[' and is no JSON array");
  for (const json::value& record : value.get_array()) keep(prompt_in(record), prompts);
  return ok_status();
}

Status take_lines(std::string_view text, const std::string& name, std::vector<std::string>* prompts) {
  const bool is_json = trimmed(text).substr(0, 1) == "{";
  size_t number = 0;
  for (const std::string_view raw : split(text, '\n')) {
    ++number;
    const std::string_view line = trimmed(raw);
    if (line.empty()) continue;
    if (!is_json) {
      keep(std::string(line), prompts);
      continue;
    }
    json::error_code error;
    const json::value record = json::parse({line.data(), line.size()}, error);
    if (error) return invalid_argument(name + " line " + std::to_string(number) + ": is no JSON");
    keep(prompt_in(record), prompts);
  }
  return ok_status();
}

}  // namespace

void append_words(Random random, int64_t count, std::string* text) {
  uint64_t bits = 0;
  for (int64_t i = 0; i < count; ++i) {
    if (i % 9 == 0) bits = random.next();  // nine words of seven bits
    *text += ' ';
    *text += kWords[bits & 127];
    bits >>= 7;
  }
}

int64_t words_for(double tokens, const TokenScale& scale) {
  return std::max<int64_t>(0, std::llround(tokens / scale.tokens_per_word));
}

Result<std::vector<std::string>> parse_prompts(std::string_view text, const std::string& name) {
  std::vector<std::string> prompts;
  const bool is_array = trimmed(text).substr(0, 1) == "[";
  const Status status = is_array ? take_array(text, name, &prompts) : take_lines(text, name, &prompts);
  if (!status.ok()) return status;
  if (prompts.empty()) return invalid_argument(name + ": holds no prompt");
  return prompts;
}

Result<std::vector<std::string>> read_prompts(const std::string& path) {
  WEIR_ASSIGN_OR_RETURN(const std::string text, read_small_file(path, kFileBytesMax));
  return parse_prompts(text, path);
}

}  // namespace weir::load
