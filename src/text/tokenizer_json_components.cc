// Normalizers, pre-tokenizers, decoders and post-processors out of tokenizer.json.
#include <boost/json.hpp>

#include "text/tokenizer_json.h"
#include "text/unicode.h"

namespace weir {
namespace json = boost::json;
namespace {

// What every component begins with: its object and its type.
struct Component {
  const json::object* object;
  std::string type;
  std::string where;

  Result<bool> flag(std::string_view key, bool fallback) const { return json_bool(*object, key, fallback, where); }
  Result<std::string> text(std::string_view key) const {
    WEIR_ASSIGN_OR_RETURN(std::string value, json_string(*object, key, where));
    if (value.size() > kComponentTextBytesMax) return json_error(where, std::string(key) + " is too long");
    return value;
  }
};

Result<Component> open(const json::value& value, std::string_view where) {
  WEIR_ASSIGN_OR_RETURN(const json::object* object, json_object(value, where));
  WEIR_ASSIGN_OR_RETURN(std::string type, json_string(*object, "type", where));
  return Component{object, std::move(type), std::string(where)};
}

Status unsupported(const Component& component, std::string_view supported) {
  return Status(Code::kUnimplemented, component.where + ": " + component.type.substr(0, 64) +
                                          " is not supported; supported: " + std::string(supported));
}

// Calls read(child, where) for each member of a Sequence. Depth is bounded by the parser.
template <class Read>
Status each_child(const Component& sequence, const char* key, Read read) {
  const json::value* list = json_member(*sequence.object, key);
  if (list == nullptr || !list->is_array()) return json_error(sequence.where, std::string(key) + " must be an array");
  for (size_t i = 0; i < list->get_array().size(); ++i) {
    WEIR_RETURN_IF_ERROR(read(list->get_array()[i], sequence.where + "." + key + "[" + std::to_string(i) + "]"));
  }
  return ok_status();
}

template <class Spec>
Status append(const Component& component, Spec spec, std::vector<Spec>* out) {
  if (out->size() == kComponentsMax) return json_error(component.where, "too many components");
  out->push_back(std::move(spec));
  return ok_status();
}

// {"String": "..."} or {"Regex": "..."}.
struct Pattern {
  bool is_regex;
  std::string text;
};

Result<Pattern> read_pattern(const Component& component) {
  const json::value* value = json_member(*component.object, "pattern");
  if (value == nullptr || !value->is_object()) {
    return json_error(component.where, "pattern must be {\"String\": ..} or {\"Regex\": ..}");
  }
  const bool is_regex = json_member(value->get_object(), "Regex") != nullptr;
  WEIR_ASSIGN_OR_RETURN(std::string text,
                        json_string(value->get_object(), is_regex ? "Regex" : "String", component.where + ".pattern"));
  return Pattern{is_regex, std::move(text)};
}

Result<Regex> compile(const Component& component, const Pattern& pattern) {
  auto regex = pattern.is_regex ? Regex::compile(pattern.text) : Regex::literal(pattern.text);
  if (!regex.ok()) return regex.status().with_prefix(component.where + ".pattern");
  return regex;
}

Result<std::string> read_character(const Component& component, const char* key) {
  WEIR_ASSIGN_OR_RETURN(std::string text, component.text(key));
  if (text.empty() || utf8_length(text[0]) != text.size()) {
    return json_error(component.where, std::string(key) + " must be one character");
  }
  return text;
}

Result<PrependScheme> read_prepend(const Component& component) {
  if (json_member(*component.object, "prepend_scheme") == nullptr) {  // files older than the scheme have a flag
    WEIR_ASSIGN_OR_RETURN(const bool always, component.flag("add_prefix_space", true));
    return always ? PrependScheme::kAlways : PrependScheme::kNever;
  }
  WEIR_ASSIGN_OR_RETURN(const std::string scheme, component.text("prepend_scheme"));
  if (scheme == "always") return PrependScheme::kAlways;
  if (scheme == "never") return PrependScheme::kNever;
  if (scheme == "first") return PrependScheme::kFirst;
  return json_error(component.where, "prepend_scheme must be always, never or first");
}

Result<SplitBehavior> read_behavior(const Component& component, SplitBehavior fallback) {
  if (json_member(*component.object, "behavior") == nullptr) return fallback;
  WEIR_ASSIGN_OR_RETURN(const std::string name, component.text("behavior"));
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  return json_error(component.where,
                    "behavior must be Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous");
}

Result<PretokenizerSpec> read_split(const Component& c) {
  PretokenizerSpec spec{PretokenizerSpec::Kind::kSplit};
  WEIR_ASSIGN_OR_RETURN(const Pattern pattern, read_pattern(c));
  if (json_member(*c.object, "behavior") == nullptr) return json_error(c.where, "behavior is missing");
  WEIR_ASSIGN_OR_RETURN(spec.behavior, read_behavior(c, SplitBehavior::kIsolated));
  WEIR_ASSIGN_OR_RETURN(spec.invert, c.flag("invert", false));
  // These patterns match all of a text; isolating the matches and removing what lies between are then the same.
  const bool isolates = spec.behavior == SplitBehavior::kIsolated ||
                        (spec.behavior == SplitBehavior::kRemoved && spec.invert);
  const auto scan = scan_pattern_for(pattern.text);
  if (pattern.is_regex && isolates && scan) {
    spec.kind = PretokenizerSpec::Kind::kScan;
    spec.scan = *scan;
    return spec;
  }
  WEIR_ASSIGN_OR_RETURN(spec.regex, compile(c, pattern));
  return spec;
}

Result<PretokenizerSpec> read_metaspace(const Component& c) {
  PretokenizerSpec spec{PretokenizerSpec::Kind::kMetaspace};
  WEIR_ASSIGN_OR_RETURN(spec.replacement, read_character(c, "replacement"));
  WEIR_ASSIGN_OR_RETURN(spec.prepend, read_prepend(c));
  WEIR_ASSIGN_OR_RETURN(spec.split, c.flag("split", true));
  return spec;
}

Result<PretokenizerSpec> read_one_pretokenizer(const Component& c) {
  using Kind = PretokenizerSpec::Kind;
  if (c.type == "Split") return read_split(c);
  if (c.type == "Metaspace") return read_metaspace(c);
  if (c.type == "Whitespace") return PretokenizerSpec{Kind::kWhitespace};
  if (c.type == "WhitespaceSplit") return PretokenizerSpec{Kind::kWhitespaceSplit};
  if (c.type == "ByteLevel") {
    PretokenizerSpec spec{Kind::kByteLevel};
    WEIR_ASSIGN_OR_RETURN(spec.add_prefix_space, c.flag("add_prefix_space", true));
    WEIR_ASSIGN_OR_RETURN(spec.use_regex, c.flag("use_regex", true));
    return spec;
  }
  if (c.type == "Digits") {
    PretokenizerSpec spec{Kind::kDigits};
    WEIR_ASSIGN_OR_RETURN(spec.individual_digits, c.flag("individual_digits", false));
    return spec;
  }
  if (c.type == "Punctuation") {
    PretokenizerSpec spec{Kind::kPunctuation};
    WEIR_ASSIGN_OR_RETURN(spec.behavior, read_behavior(c, SplitBehavior::kIsolated));
    return spec;
  }
  return unsupported(c, "Sequence, Split, ByteLevel, Digits, Whitespace, WhitespaceSplit, Punctuation, Metaspace");
}

Result<NormalizerSpec> read_one_normalizer(const Component& c) {
  using Kind = NormalizerSpec::Kind;
  constexpr std::pair<std::string_view, Kind> kPlain[] = {
      {"NFC", Kind::kNfc},   {"NFD", Kind::kNfd},   {"NFKC", Kind::kNfkc},
      {"NFKD", Kind::kNfkd}, {"Lowercase", Kind::kLowercase}, {"StripAccents", Kind::kStripAccents},
      {"ByteLevel", Kind::kByteLevel}};
  for (const auto& [name, kind] : kPlain) {
    if (c.type == name) return NormalizerSpec{kind};
  }
  if (c.type == "Prepend") {
    NormalizerSpec spec{Kind::kPrepend};
    WEIR_ASSIGN_OR_RETURN(spec.text, c.text("prepend"));
    return spec;
  }
  if (c.type == "Strip") {
    NormalizerSpec spec{Kind::kStrip};
    WEIR_ASSIGN_OR_RETURN(spec.left, c.flag("strip_left", true));
    WEIR_ASSIGN_OR_RETURN(spec.right, c.flag("strip_right", true));
    return spec;
  }
  if (c.type == "Replace") {
    NormalizerSpec spec{Kind::kReplace};
    WEIR_ASSIGN_OR_RETURN(spec.text, c.text("content"));
    WEIR_ASSIGN_OR_RETURN(const Pattern pattern, read_pattern(c));
    WEIR_ASSIGN_OR_RETURN(spec.regex, compile(c, pattern));
    return spec;
  }
  return unsupported(
      c, "Sequence, Prepend, Replace, NFC, NFD, NFKC, NFKD, Lowercase, Strip, StripAccents, ByteLevel");
}

Result<uint32_t> read_count(const Component& c, const char* key) {
  const json::value* value = json_member(*c.object, key);
  if (value == nullptr) return json_error(c.where, std::string(key) + " is missing");
  WEIR_ASSIGN_OR_RETURN(const int64_t count, json_int(*value, 1024, c.where + "." + key));
  return static_cast<uint32_t>(count);
}

Result<DecoderSpec> read_one_decoder(const Component& c) {
  using Kind = DecoderSpec::Kind;
  if (c.type == "ByteLevel") return DecoderSpec{Kind::kByteLevel};
  if (c.type == "ByteFallback") return DecoderSpec{Kind::kByteFallback};
  if (c.type == "Fuse") return DecoderSpec{Kind::kFuse};
  if (c.type == "Replace") {
    DecoderSpec spec{Kind::kReplace};
    WEIR_ASSIGN_OR_RETURN(spec.text, c.text("content"));
    WEIR_ASSIGN_OR_RETURN(const Pattern pattern, read_pattern(c));
    WEIR_ASSIGN_OR_RETURN(spec.regex, compile(c, pattern));
    if (!pattern.is_regex) spec.literal = pattern.text;
    return spec;
  }
  if (c.type == "Strip") {
    DecoderSpec spec{Kind::kStrip};
    WEIR_ASSIGN_OR_RETURN(spec.text, read_character(c, "content"));
    WEIR_ASSIGN_OR_RETURN(spec.start, read_count(c, "start"));
    WEIR_ASSIGN_OR_RETURN(spec.stop, read_count(c, "stop"));
    return spec;
  }
  if (c.type == "Metaspace") {
    DecoderSpec spec{Kind::kMetaspace};
    WEIR_ASSIGN_OR_RETURN(spec.text, read_character(c, "replacement"));
    WEIR_ASSIGN_OR_RETURN(spec.prepend, read_prepend(c));
    return spec;
  }
  if (c.type == "BPEDecoder") {
    DecoderSpec spec{Kind::kBpe};
    WEIR_ASSIGN_OR_RETURN(spec.text, c.text("suffix"));
    if (spec.text.empty()) return json_error(c.where, "suffix is empty");
    return spec;
  }
  return unsupported(c, "Sequence, ByteLevel, ByteFallback, Fuse, Replace, Strip, Metaspace, BPEDecoder");
}

// {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}: the ids a name in a template stands for.
Status read_special_ids(const Component& c, const std::string& name, std::vector<int32_t>* ids) {
  const json::value* all = json_member(*c.object, "special_tokens");
  const json::value* entry = all != nullptr && all->is_object() ? json_member(all->get_object(), name) : nullptr;
  const json::value* list = entry != nullptr && entry->is_object() ? json_member(entry->get_object(), "ids") : nullptr;
  if (list == nullptr || !list->is_array()) {
    return json_error(c.where, "special_tokens has no ids for " + name.substr(0, 64));
  }
  for (const json::value& value : list->get_array()) {
    WEIR_ASSIGN_OR_RETURN(const int64_t id, json_int(value, kTokenIdMax, c.where + ".special_tokens"));
    ids->push_back(static_cast<int32_t>(id));
  }
  return ok_status();
}

Result<TemplateSpec> read_template(const Component& c) {
  const json::value* single = json_member(*c.object, "single");
  if (single == nullptr || !single->is_array()) return json_error(c.where, "single must be an array");
  TemplateSpec spec;
  for (const json::value& value : single->get_array()) {
    const json::object* piece = value.if_object();
    const json::value* text = piece != nullptr ? json_member(*piece, "Sequence") : nullptr;
    const json::value* special = piece != nullptr ? json_member(*piece, "SpecialToken") : nullptr;
    const json::value* inner = text != nullptr ? text : special;
    if (inner == nullptr || !inner->is_object()) {
      return json_error(c.where, "single must hold {\"SpecialToken\": ..} and {\"Sequence\": ..}");
    }
    WEIR_ASSIGN_OR_RETURN(const std::string id, json_string(inner->get_object(), "id", c.where + ".single"));
    if (text != nullptr && id != "A") return json_error(c.where, "single may hold the sequence A alone");
    spec.pieces.push_back({text != nullptr, {}});
    if (text == nullptr) WEIR_RETURN_IF_ERROR(read_special_ids(c, id, &spec.pieces.back().ids));
  }
  return spec;
}

// ["</s>", 2]
Result<std::vector<int32_t>> read_name_and_id(const Component& c, const char* key) {
  const json::value* value = json_member(*c.object, key);
  if (value == nullptr || !value->is_array() || value->get_array().size() != 2) {
    return json_error(c.where, std::string(key) + " must be [\"token\", id]");
  }
  WEIR_ASSIGN_OR_RETURN(const int64_t id, json_int(value->get_array()[1], kTokenIdMax, c.where + "." + key));
  return std::vector<int32_t>{static_cast<int32_t>(id)};
}

Result<TemplateSpec> read_cls_sep(const Component& c) {
  WEIR_ASSIGN_OR_RETURN(std::vector<int32_t> cls, read_name_and_id(c, "cls"));
  WEIR_ASSIGN_OR_RETURN(std::vector<int32_t> sep, read_name_and_id(c, "sep"));
  return TemplateSpec{{{false, std::move(cls)}, {true, {}}, {false, std::move(sep)}}};
}

}  // namespace

Status read_normalizer(const json::value& value, std::string_view where, std::vector<NormalizerSpec>* out) {
  WEIR_ASSIGN_OR_RETURN(const Component c, open(value, where));
  if (c.type == "Sequence") {
    return each_child(c, "normalizers", [&](const auto& child, const std::string& at) {
      return read_normalizer(child, at, out);
    });
  }
  WEIR_ASSIGN_OR_RETURN(NormalizerSpec spec, read_one_normalizer(c));
  return append(c, std::move(spec), out);
}

Status read_pretokenizer(const json::value& value, std::string_view where, std::vector<PretokenizerSpec>* out) {
  WEIR_ASSIGN_OR_RETURN(const Component c, open(value, where));
  if (c.type == "Sequence") {
    return each_child(c, "pretokenizers", [&](const auto& child, const std::string& at) {
      return read_pretokenizer(child, at, out);
    });
  }
  WEIR_ASSIGN_OR_RETURN(PretokenizerSpec spec, read_one_pretokenizer(c));
  return append(c, std::move(spec), out);
}

Status read_decoder(const json::value& value, std::string_view where, std::vector<DecoderSpec>* out) {
  WEIR_ASSIGN_OR_RETURN(const Component c, open(value, where));
  if (c.type == "Sequence") {
    return each_child(c, "decoders", [&](const auto& child, const std::string& at) {
      return read_decoder(child, at, out);
    });
  }
  WEIR_ASSIGN_OR_RETURN(DecoderSpec spec, read_one_decoder(c));
  return append(c, std::move(spec), out);
}

Status read_post_processor(const json::value& value, std::string_view where, std::vector<TemplateSpec>* out) {
  WEIR_ASSIGN_OR_RETURN(const Component c, open(value, where));
  if (c.type == "Sequence") {
    return each_child(c, "processors", [&](const auto& child, const std::string& at) {
      return read_post_processor(child, at, out);
    });
  }
  if (c.type == "ByteLevel") return ok_status();  // trims offsets, which nobody here asks for
  if (c.type == "RobertaProcessing" || c.type == "BertProcessing") {
    WEIR_ASSIGN_OR_RETURN(TemplateSpec spec, read_cls_sep(c));
    return append(c, std::move(spec), out);
  }
  if (c.type == "TemplateProcessing") {
    WEIR_ASSIGN_OR_RETURN(TemplateSpec spec, read_template(c));
    return append(c, std::move(spec), out);
  }
  return unsupported(c, "Sequence, TemplateProcessing, ByteLevel, RobertaProcessing, BertProcessing");
}

}  // namespace weir
