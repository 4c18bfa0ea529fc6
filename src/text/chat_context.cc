#include "text/chat_context.h"

#include <algorithm>
#include <charconv>

#include "text/jinja/json.h"
#include "text/jinja/unicode.h"

namespace weir {
namespace {

using jinja::Dict;
using jinja::Heap;
using jinja::Kind;
using jinja::make_string;
using jinja::Seq;
using jinja::SeqKind;
using jinja::Text;
using jinja::Value;
using jinja::Vec;
using CallContent = TemplateTraits::CallContent;

// U+FDD0 and U+FDD1: code points that Unicode keeps free for uses inside a program. The space tells whether the
// template trims what it is given.
constexpr std::string_view kMark = "\xEF\xB7\x90\xEF\xB7\x91";

Value* member(const Value& object, std::string_view name) {
  return object.is(Kind::kDict) ? object.dict()->find(name) : nullptr;
}

void set(Heap& heap, Dict* dict, std::string_view name, Value v) {
  dict->set(make_string(heap, Text(name)), std::move(v));
}

void erase(Heap& heap, Dict* dict, std::string_view name) { dict->erase(make_string(heap, Text(name))); }

Seq* list_member(const Value& object, std::string_view name) {
  Value* v = member(object, name);
  return v != nullptr && v->is(Kind::kSeq) ? v->seq() : nullptr;
}

std::string_view text_member(const Value& object, std::string_view name) {
  const Value* v = member(object, name);
  return v != nullptr && v->is(Kind::kString) ? v->text() : std::string_view();
}

bool is_blank(std::string_view text) { return jinja::strip_left(text).empty(); }

// Nine letters and digits from an id of any form; the same for the call and for its result.
Text nine_letters(std::string_view id) {
  const auto fits = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
  };
  if (id.size() == 9 && std::all_of(id.begin(), id.end(), fits)) return Text(id);
  uint64_t hash = 14695981039346656037u;  // FNV-1a
  for (const char c : id) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  static constexpr std::string_view kLetters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  Text out;
  for (int i = 0; i < 9; ++i, hash /= kLetters.size()) out.push_back(kLetters[hash % kLetters.size()]);
  return out;
}

void shorten_id(Heap& heap, const Value& object, std::string_view name) {
  Value* id = member(object, name);
  if (id != nullptr && id->is(Kind::kString)) *id = make_string(heap, nine_letters(id->text()));
}

// What is no object in JSON stays what the client sent: a model may have written it so.
Value parse_object(Heap& heap, const Value& text) {
  Value parsed = jinja::parse_json(heap, text.text());
  if (heap.failed() && !heap.postpone()) return {};
  return parsed.is(Kind::kDict) ? parsed : text;
}

Value arguments_for(Heap& heap, const Value* sent, TemplateTraits::Arguments form) {
  std::string_view text = sent != nullptr && sent->is(Kind::kString) ? sent->text() : std::string_view();
  const bool none =
      sent == nullptr || sent->is(Kind::kNone) ||
      (sent->is(Kind::kString) && (is_blank(text) || jinja::strip_right(jinja::strip_left(text)) == "null"));
  if (form == TemplateTraits::Arguments::kObject) {
    if (none) return jinja::make_dict(heap);
    return sent->is(Kind::kString) ? parse_object(heap, *sent) : *sent;
  }
  if (none) return make_string(heap, Text("{}"));
  return sent->is(Kind::kString) ? *sent : make_string(heap, jinja::dump_json(heap, *sent, {}));
}

void adapt_calls(Heap& heap, Seq* calls, const TemplateTraits& traits) {
  for (const Value& call : calls->items) {
    if (!heap.step()) return;
    if (traits.nine_letter_ids) shorten_id(heap, call, "id");
    Value* function = member(call, "function");
    if (function == nullptr || !function->is(Kind::kDict)) continue;
    set(heap, function->dict(), "arguments", arguments_for(heap, member(*function, "arguments"), traits.arguments));
  }
}

void set_call_content(Heap& heap, Dict* message, CallContent form) {
  if (form == CallContent::kAbsent) return erase(heap, message, "content");
  set(heap, message, "content", form == CallContent::kNull ? Value::none() : make_string(heap, Text()));
}

Value text_message(Heap& heap, const Value& content) {
  Value out = jinja::make_dict(heap);
  Value role = make_string(heap, Text("assistant"));
  mark_authored(role);
  set(heap, out.dict(), "role", std::move(role));
  set(heap, out.dict(), "content", content);
  return out;
}

void make_parts(Heap& heap, const Value& message) {
  Value* content = member(message, "content");
  if (content == nullptr || !content->is(Kind::kString)) return;
  Value part = jinja::make_dict(heap);
  set(heap, part.dict(), "type", make_string(heap, Text("text")));
  set(heap, part.dict(), "text", *content);
  Value parts = jinja::make_seq(heap, SeqKind::kList);
  parts.seq()->push(std::move(part));
  *content = std::move(parts);
}

// Appends one of the client's messages in the template's form, as one message or as two.
void adapt_message(Heap& heap, const Value& message, const TemplateTraits& traits, Seq* out) {
  if (Value* role = member(message, "role"); role != nullptr && role->is(Kind::kString)) mark_authored(*role);
  if (traits.nine_letter_ids) shorten_id(heap, message, "tool_call_id");
  if (Seq* calls = list_member(message, "tool_calls"); calls != nullptr && !calls->items.empty()) {
    adapt_calls(heap, calls, traits);
    const Value* content = member(message, "content");
    const bool split = traits.text_with_call == TemplateTraits::TextWithCall::kBefore;
    const bool text = content != nullptr && content->is(Kind::kString) && !content->text().empty();
    if (text && split && !is_blank(content->text())) out->push(text_message(heap, *content));
    if (!text || split) set_call_content(heap, message.dict(), traits.call_content);
  }
  out->push(message);
}

// The words of a report, "zq17x", and what each stands for.
class Words {
 public:
  enum class Part : uint8_t { kContent, kName, kArguments };

  explicit Words(Heap& heap) : heap_(heap) {}

  Value next(uint32_t message, Part part, size_t call = 0) {
    places_.push_back({message, static_cast<uint32_t>(call), part, false});
    return make_string(heap_, Text(kBegin) + jinja::number_text(places_.size() - 1) + Text(kEnd));
  }
  // The arguments of a call: one argument with a value to look for, in the form they have.
  Value arguments(uint32_t message, size_t call, bool as_text) {
    const Value value = next(message, Part::kArguments, call);
    if (as_text) return make_string(heap_, "{\"" + Text(kKey) + "\": \"" + Text(value.text()) + "\"}");
    Value out = jinja::make_dict(heap_);
    set(heap_, out.dict(), kKey, value);
    return out;
  }
  std::vector<HiddenPart> missing_in(std::string_view text) {
    for (size_t at = text.find(kBegin); at != text.npos; at = text.find(kBegin, at))
      mark(text, at += kBegin.size());
    std::vector<HiddenPart> out;
    for (const Place& place : places_) {
      if (!place.found && out.size() < kReportedMax) out.push_back({place.message, name_of(place)});
    }
    return out;
  }

  static constexpr std::string_view kBegin = "zq", kEnd = "x", kKey = "zqkey";

 private:
  struct Place {
    uint32_t message, call;
    Part part;
    bool found;
  };
  static constexpr size_t kReportedMax = 64;

  void mark(std::string_view text, size_t at) {
    size_t index = 0;
    const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), index);
    const auto behind = static_cast<size_t>(end - text.data());
    if (error == std::errc() && index < places_.size() && text.substr(behind).starts_with(kEnd))
      places_[index].found = true;
  }
  static std::string name_of(const Place& place) {
    if (place.part == Part::kContent) return "content";
    return "tool_calls[" + std::to_string(place.call) + "].function." +
           (place.part == Part::kName ? "name" : "arguments");
  }

  Heap& heap_;
  Vec<Place> places_;
};

void put_content_words(const Value& message, uint32_t origin, Words* words) {
  Value* content = member(message, "content");
  if (content == nullptr) return;
  if (content->is(Kind::kSeq) && content->seq()->items.size() == 1)
    content = member(content->seq()->items[0], "text");
  if (content == nullptr || !content->is(Kind::kString) || is_blank(content->text())) return;
  *content = words->next(origin, Words::Part::kContent);
}

void put_call_words(Heap& heap, const Value& message, uint32_t origin, Words* words) {
  Seq* calls = list_member(message, "tool_calls");
  for (size_t i = 0; calls != nullptr && i < calls->items.size() && heap.step(); ++i) {
    const Value* function = member(calls->items[i], "function");
    if (function == nullptr || !function->is(Kind::kDict)) continue;
    if (Value* name = member(*function, "name"); name != nullptr)
      *name = words->next(origin, Words::Part::kName, i);
    Value* arguments = member(*function, "arguments");
    if (arguments == nullptr) continue;
    const bool text = arguments->is(Kind::kString);
    const bool empty = text ? arguments->text() == "{}" : !truthy(*arguments);
    if (!empty) *arguments = words->arguments(origin, i, text);
  }
}

}  // namespace

bool is_shown_plain_chat(const Value& context, const TemplateTraits& traits) {
  const Seq* messages = list_member(context, "messages");
  const Value* tools = member(context, "tools");
  if (messages == nullptr || (tools != nullptr && !tools->is(Kind::kNone))) return false;
  const bool system = !messages->items.empty() && text_member(messages->items[0], "role") == "system";
  bool user = true;
  for (size_t at = system ? 1 : 0; at < messages->items.size(); ++at, user = !user) {
    if (text_member(messages->items[at], "role") != (user ? "user" : "assistant")) return false;
    if (member(messages->items[at], "tool_calls") != nullptr) return false;
  }
  return !user &&
         (system ? traits.plain_with_system : traits.plain_without_system);  // a user's message is the last
}

Vec<uint32_t> adapt_chat(Heap& heap, const Value& context, const TemplateTraits& traits) {
  for (const std::string_view token : {"bos_token", "eos_token"}) {
    if (Value* v = member(context, token); v != nullptr && v->is(Kind::kString)) mark_authored(*v);
  }
  Vec<uint32_t> origin;
  Value* messages = member(context, "messages");
  if (messages == nullptr || !messages->is(Kind::kSeq)) return origin;
  Value adapted = jinja::make_seq(heap, SeqKind::kList);
  for (size_t i = 0; i < messages->seq()->items.size() && heap.step(); ++i) {
    const Value& message = messages->seq()->items[i];
    if (message.is(Kind::kDict)) adapt_message(heap, message, traits, adapted.seq());
    origin.resize(adapted.seq()->items.size(), static_cast<uint32_t>(i));
  }
  for (const Value& message : adapted.seq()->items) {
    if (traits.content_parts) make_parts(heap, message);
  }
  *messages = std::move(adapted);
  return origin;
}

ShownReport report_shown(const jinja::Template& engine, Heap& heap, const Value& context,
                         const TemplateTraits& traits, const jinja::Options& options) {
  const Vec<uint32_t> origin = adapt_chat(heap, context, traits);
  Words words(heap);
  if (Seq* messages = list_member(context, "messages"); messages != nullptr) {
    for (size_t i = 0; i < messages->items.size() && heap.step(); ++i) {
      put_content_words(messages->items[i], origin[i], &words);
      put_call_words(heap, messages->items[i], origin[i], &words);
    }
  }
  ShownReport report;
  auto rendered = engine.run(heap, context, options);
  if (!rendered.ok()) return report;
  report.rendered = true;
  report.text = std::move(rendered->text);
  report.hidden = words.missing_in(report.text);
  return report;
}

void mark_last_message(Heap& heap, const Value& context) {
  Seq* messages = list_member(context, "messages");
  if (messages == nullptr || messages->items.empty()) return;
  Value* content = member(messages->items.back(), "content");
  if (content == nullptr || !content->is(Kind::kString)) return;
  *content = make_string(heap, Text(content->text()).append(kMark).append(" "));
}

bool cut_at_mark(AuthoredText* prompt) {
  const std::string_view text = prompt->text;
  const size_t at = text.rfind(kMark);
  if (at == text.npos || text.find(kMark) != at) return false;
  const bool kept_space = text.substr(at + kMark.size()).starts_with(' ');
  prompt->cut(kept_space ? at : jinja::strip_right(text.substr(0, at)).size());
  return true;
}

}  // namespace weir
