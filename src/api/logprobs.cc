#include "api/logprobs.h"

#include <algorithm>
#include <vector>

#include "api/json_out.h"
#include "text/detokenizer.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

namespace weir::api {
namespace {

void comma(std::string* out) {
  if (!out->empty() && out->back() != '[' && out->back() != '{') out->push_back(',');
}

// "token":..,"logprob":..,"bytes":[..] without braces.
void append_fields(const Detokenizer& detokenizer, int32_t token, float logprob, std::string* out) {
  const std::string bytes = detokenizer.bytes_of(token);
  out->append(R"("token":)");
  append_json_string(bytes, out);
  out->append(R"(,"logprob":)");
  append_logprob(logprob, out);
  out->append(R"(,"bytes":[)");
  for (const char c : bytes) {
    comma(out);
    append_integer(static_cast<unsigned char>(c), out);
  }
  out->push_back(']');
}

std::string legacy_text(const Detokenizer& detokenizer, int32_t token) {
  const std::string bytes = detokenizer.bytes_of(token);
  if (valid_utf8(bytes)) return bytes;
  std::string out = "bytes:";
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out.append("\\x");
    out.push_back("0123456789abcdef"[byte >> 4]);
    out.push_back("0123456789abcdef"[byte & 15]);
  }
  return out;
}

void append_member(std::string_view text, float logprob, std::string* out) {
  comma(out);
  append_json_string(text, out);
  out->push_back(':');
  append_logprob(logprob, out);
}

// Different tokens may have the same text, and a JSON object may not have the same key twice: the sampled one has
// its key in any case, of the others the likelier has it.
void append_top_object(const Detokenizer& detokenizer, const TokenEvent& event, std::string* out) {
  std::vector<std::string> seen = {legacy_text(detokenizer, event.token)};
  bool sampled_is_in = false;
  out->push_back('{');
  for (int32_t i = 0; i < event.top_count; ++i) {
    const TopLogprob& top = event.top[static_cast<size_t>(i)];
    std::string text = legacy_text(detokenizer, top.token);
    const bool sampled = top.token == event.token;
    sampled_is_in |= sampled;
    if (!sampled && std::find(seen.begin(), seen.end(), text) != seen.end()) continue;
    append_member(text, sampled ? event.logprob : top.logprob, out);
    seen.push_back(std::move(text));
  }
  if (!sampled_is_in) append_member(seen[0], event.logprob, out);
  out->push_back('}');
}

// A byte of a token is at most six characters of JSON text and, with its comma, four of "bytes"; names, braces and the
// number are under 128. A token's text as it stands in the vocabulary is never shorter than its bytes.
size_t token_json_bytes(const Tokenizer& tokenizer, int32_t token) { return 128 + 10 * tokenizer.id_to_token(token).size(); }

size_t event_json_bytes(const Tokenizer& tokenizer, const TokenEvent& event) {
  size_t bytes = token_json_bytes(tokenizer, event.token);
  for (int32_t i = 0; i < event.top_count; ++i) bytes += token_json_bytes(tokenizer, event.top[static_cast<size_t>(i)].token);
  return bytes;
}

}  // namespace

void LogprobText::drop(Charge* charge) {
  for (std::string* text : {&entries, &numbers, &tops, &offsets}) drop_text(text, charge);
}

Grant room_for_chat_logprob(const Tokenizer& tokenizer, const TokenEvent& event, LogprobText* out, Charge* charge) {
  return make_room(&out->entries, event_json_bytes(tokenizer, event), charge);
}

Grant room_for_completion_logprob(const Tokenizer& tokenizer, const TokenEvent& event, LogprobText* out, Charge* charge) {
  constexpr size_t kNumberBytes = 40;
  const size_t all = event_json_bytes(tokenizer, event);
  const std::pair<std::string*, size_t> rooms[] = {
      {&out->entries, token_json_bytes(tokenizer, event.token)}, {&out->numbers, kNumberBytes}, {&out->tops, all},
      {&out->offsets, kNumberBytes}};
  for (const auto& [text, bytes] : rooms) {
    if (const Grant grant = make_room(text, bytes, charge); grant != Grant::kYes) return grant;
  }
  return Grant::kYes;
}

void LogprobText::clear() {
  entries.clear();
  numbers.clear();
  tops.clear();
  offsets.clear();
}

void append_chat_logprob(const Detokenizer& detokenizer, const TokenEvent& event, LogprobText* out) {
  comma(&out->entries);
  out->entries.push_back('{');
  append_fields(detokenizer, event.token, event.logprob, &out->entries);
  out->entries.append(R"(,"top_logprobs":[)");
  for (int32_t i = 0; i < event.top_count; ++i) {
    comma(&out->entries);
    out->entries.push_back('{');
    const TopLogprob& top = event.top[static_cast<size_t>(i)];
    append_fields(detokenizer, top.token, top.logprob, &out->entries);
    out->entries.push_back('}');
  }
  out->entries.append("]}");
}

void append_completion_logprob(const Detokenizer& detokenizer, const TokenEvent& event, int64_t offset,
                               LogprobText* out) {
  comma(&out->entries);
  append_json_string(legacy_text(detokenizer, event.token), &out->entries);
  comma(&out->numbers);
  append_logprob(event.logprob, &out->numbers);
  comma(&out->tops);
  append_top_object(detokenizer, event, &out->tops);
  comma(&out->offsets);
  append_integer(offset, &out->offsets);
}

void append_unscored_token(const Detokenizer& detokenizer, int32_t token, LogprobText* out) {
  append_json_string(legacy_text(detokenizer, token), &out->entries);
  out->numbers.append("null");
  out->tops.append("null");
  append_integer(0, &out->offsets);
}

int64_t TextOffset::add(std::string_view bytes) {
  int64_t at = characters_;
  if (!unfinished_.empty() && !bytes.empty()) {
    const std::string joined = unfinished_ + bytes[0];
    std::string left = unfinished_, text;
    utf8_lossy_append(bytes.substr(0, 1), &left, &text);
    const bool goes_on = utf8_valid(joined) || left == joined;
    if (!goes_on) ++at;  // what stays unfinished is one U+FFFD
  }
  std::string text;
  utf8_lossy_append(bytes, &unfinished_, &text);
  characters_ += static_cast<int64_t>(count_code_points(text));
  return at;
}

}  // namespace weir::api
