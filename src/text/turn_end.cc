#include "text/turn_end.h"

#include <boost/json.hpp>
#include <string>
#include <vector>

#include "text/chat_template.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

namespace weir {
namespace {

namespace json = boost::json;

// Words that no template looks for, trims or splits at.
constexpr std::string_view kWords = "Weirprobewords";
constexpr std::string_view kBlanks = " \t\r\n";
constexpr size_t kTailBytesMax = 4096;  // a marker stands at the front; what follows is another turn

json::object message(std::string_view role, std::string_view content) {
  return {{"role", json::string_view(role.data(), role.size())},
          {"content", json::string_view(content.data(), content.size())}};
}

// RETURNS: what the template writes behind the assistant's words, blanks at its front left out.
std::string tail_of(const ChatTemplate& chat_template, const json::array& messages, std::string_view bos,
                    std::string_view eos) {
  const json::object context{{"messages", messages},
                             {"add_generation_prompt", false},
                             {"bos_token", json::string_view(bos.data(), bos.size())},
                             {"eos_token", json::string_view(eos.data(), eos.size())}};
  const Result<std::string> text = chat_template.render(json::serialize(context));
  const size_t at = text.ok() ? text->rfind(kWords) : std::string::npos;
  if (at == std::string::npos) return {};
  const size_t first = text->find_first_not_of(kBlanks, at + kWords.size());
  if (first == std::string::npos) return {};
  std::string tail = text->substr(first, kTailBytesMax);
  tail.resize(utf8_valid_prefix(tail));  // the limit may cut a character, and the tokeniser takes whole ones alone
  return tail;
}

// Some models list their markers as ordinary tokens; one that is a whole tag is no word of a text.
bool is_marker(const Tokenizer& tokenizer, int32_t id) {
  const std::string_view text = tokenizer.id_to_token(id);
  const bool tag = text.size() > 2 &&
                   ((text.front() == '<' && text.back() == '>') || (text.front() == '[' && text.back() == ']'));
  return tokenizer.is_special(id) || tag;
}

std::optional<int32_t> marker_at(const Tokenizer& tokenizer, const std::string& tail) {
  if (tail.empty()) return {};
  const Result<std::vector<int32_t>> ids = tokenizer.encode(tail, false);
  if (!ids.ok() || ids->empty() || !is_marker(tokenizer, ids->front())) return {};
  return tail.starts_with(tokenizer.id_to_token(ids->front())) ? std::optional(ids->front()) : std::nullopt;
}

}  // namespace

std::optional<int32_t> turn_end_token(const ChatTemplate& chat_template, const Tokenizer& tokenizer,
                                      std::string_view bos, std::string_view eos) {
  json::array messages{message("user", "Hello"), message("assistant", kWords)};
  if (const auto last = marker_at(tokenizer, tail_of(chat_template, messages, bos, eos))) return last;
  messages.push_back(message("user", "Hello"));
  return marker_at(tokenizer, tail_of(chat_template, messages, bos, eos));
}

}  // namespace weir
