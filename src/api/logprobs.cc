#include "api/logprobs.h"

#include <algorithm>
#include <vector>

#include "api/json_out.h"
#include "text/tokenizer.h"

namespace weir::api {
namespace {

void comma(std::string* out) {
  if (!out->empty() && out->back() != '[' && out->back() != '{') out->push_back(',');
}

// "token":..,"logprob":..,"bytes":[..] without braces.
void append_fields(const Tokenizer& tokenizer, int32_t token, float logprob, std::string* out) {
  const std::string bytes(tokenizer.token_bytes(token));
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

std::string legacy_text(const Tokenizer& tokenizer, int32_t token) {
  const std::string bytes(tokenizer.token_bytes(token));
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

// Different tokens may have the same text; a JSON object may not have the same key twice, and the likelier comes first.
void append_top_object(const Tokenizer& tokenizer, const TokenEvent& event, std::string* out) {
  std::vector<std::string> seen;
  out->push_back('{');
  for (int32_t i = 0; i < event.top_count; ++i) {
    std::string text = legacy_text(tokenizer, event.top[static_cast<size_t>(i)].token);
    if (std::find(seen.begin(), seen.end(), text) != seen.end()) continue;
    comma(out);
    append_json_string(text, out);
    out->push_back(':');
    append_logprob(event.top[static_cast<size_t>(i)].logprob, out);
    seen.push_back(std::move(text));
  }
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

void append_chat_logprob(const Tokenizer& tokenizer, const TokenEvent& event, LogprobText* out) {
  comma(&out->entries);
  out->entries.push_back('{');
  append_fields(tokenizer, event.token, event.logprob, &out->entries);
  out->entries.append(R"(,"top_logprobs":[)");
  for (int32_t i = 0; i < event.top_count; ++i) {
    comma(&out->entries);
    out->entries.push_back('{');
    const TopLogprob& top = event.top[static_cast<size_t>(i)];
    append_fields(tokenizer, top.token, top.logprob, &out->entries);
    out->entries.push_back('}');
  }
  out->entries.append("]}");
}

void append_completion_logprob(const Tokenizer& tokenizer, const TokenEvent& event, int64_t offset, LogprobText* out) {
  comma(&out->entries);
  append_json_string(legacy_text(tokenizer, event.token), &out->entries);
  comma(&out->numbers);
  append_logprob(event.logprob, &out->numbers);
  comma(&out->tops);
  append_top_object(tokenizer, event, &out->tops);
  comma(&out->offsets);
  append_integer(offset, &out->offsets);
}

}  // namespace weir::api
