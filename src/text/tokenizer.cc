#include "text/tokenizer.h"

#include <algorithm>
#include <cstring>

#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/detokenizer.h"
#include "text/normalizer.h"
#include "text/pretokenizer.h"
#include "text/tokenizer_json.h"
#include "text/unicode.h"

namespace weir {

struct Tokenizer::Impl {
  std::unique_ptr<BpeModel> model;
  AddedTokens added;
  Normalizer normalizer;
  Pretokenizer pretokenizer;
  DecoderChain decoder;
  std::vector<TemplateSpec> templates;
  int32_t vocab_size = 0;
  std::vector<bool> special;  // by id

  Status encode_text(std::string_view text, bool at_start, const SpecialRule& rule, Pieces* pieces,
                     BpeScratch* scratch, std::vector<int32_t>* out) const;
  Status cut_normalized(std::string_view text, const SpecialRule& rule, std::string* normalized,
                        std::vector<Segment>* segments) const;
  Status encode_pieces(bool at_start, Pieces* pieces, BpeScratch* scratch, std::vector<int32_t>* out) const;
};

namespace {

constexpr size_t kTextBytesMax = size_t{1} << 30;
constexpr size_t kTemplateTokensMax = 1024;
// U+FDD0, a code point that Unicode keeps free for uses inside a program: it stands in a text between normalising
// and splitting only, and a client's own is dropped with it.
constexpr std::string_view kGuard = "\xEF\xB7\x90";

void drop_guards(std::string* text) {
  size_t kept = text->find(kGuard);
  for (size_t at = kept; at != text->npos;) {
    at += kGuard.size();
    const size_t next = std::min(text->find(kGuard, at), text->size());
    std::memmove(text->data() + kept, text->data() + at, next - at);  // to the front; the two may overlap
    kept += next - at;
    at = next == text->size() ? text->npos : next;
  }
  text->resize(std::min(kept, text->size()));
}

// Ids of `text` inside one template.
std::vector<int32_t> apply_template(const TemplateSpec& spec, std::vector<int32_t> text) {
  std::vector<int32_t> out;
  out.reserve(text.size() + 8);
  for (const auto& piece : spec.pieces) {
    const auto& ids = piece.is_text ? text : piece.ids;
    out.insert(out.end(), ids.begin(), ids.end());
  }
  return out;
}

Status check_templates(const std::vector<TemplateSpec>& templates) {
  size_t fixed = 0, copies = 1;
  for (const auto& spec : templates) {
    size_t texts = 0;
    for (const auto& piece : spec.pieces) {
      texts += piece.is_text;
      fixed += piece.ids.size();
    }
    copies *= std::max<size_t>(texts, 1);
  }
  if (copies > 2 || fixed > kTemplateTokensMax) {
    return data_loss("post_processor repeats the text or adds more than " + std::to_string(kTemplateTokensMax) +
                     " tokens");
  }
  return ok_status();
}

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::~Tokenizer() = default;

Result<std::unique_ptr<Tokenizer>> Tokenizer::parse(std::string_view json) {
  WEIR_ASSIGN_OR_RETURN(TokenizerSpec spec, parse_tokenizer_json(json));
  return build(std::move(spec));
}

Result<std::unique_ptr<Tokenizer>> Tokenizer::build(TokenizerSpec spec) {
  WEIR_RETURN_IF_ERROR(check_templates(spec.templates));
  auto impl = std::make_unique<Impl>();
  impl->normalizer = Normalizer(std::move(spec.normalizers));
  impl->pretokenizer = Pretokenizer(std::move(spec.pretokenizers));
  impl->decoder = DecoderChain(std::move(spec.decoders));
  impl->templates = std::move(spec.templates);
  WEIR_ASSIGN_OR_RETURN(impl->model, BpeModel::build(spec.model, impl->pretokenizer.yields_bytes()));
  int32_t size = impl->model->vocab().size();
  std::vector<std::string> normalized;
  for (const AddedTokenSpec& token : spec.added) {
    size = std::max(size, token.id + 1);
    normalized.push_back(token.content);
    WEIR_RETURN_IF_ERROR(impl->normalizer.apply(&normalized.back()));
  }
  impl->vocab_size = size;
  impl->special.resize(static_cast<size_t>(size));
  for (const AddedTokenSpec& token : spec.added) impl->special[static_cast<size_t>(token.id)] = token.special;
  impl->added = AddedTokens(std::move(spec.added), normalized);
  return std::unique_ptr<Tokenizer>(new Tokenizer(std::move(impl)));
}

Result<std::vector<int32_t>> Tokenizer::encode(std::string_view utf8, bool add_special_tokens,
                                               bool parse_special) const {
  return encode(utf8, add_special_tokens, SpecialRule{.parse = parse_special});
}

Result<std::vector<int32_t>> Tokenizer::encode(std::string_view utf8, bool add_special_tokens,
                                               const SpecialRule& rule) const {
  if (utf8.size() >= kTextBytesMax) return Status(Code::kTooLarge, "the text is 1 GiB or longer; send a shorter one");
  if (const size_t good = utf8_valid_prefix(utf8); good < utf8.size()) {
    return invalid_argument("the text is not valid UTF-8 at byte " + std::to_string(good));
  }
  std::vector<int32_t> ids;
  ids.reserve(utf8.size() / 3 + 8);
  Pieces pieces;
  BpeScratch scratch;
  scratch.cache.prepare(utf8.size());
  std::vector<Segment> segments;
  impl_->added.cut_raw(utf8, rule, &segments);
  for (const Segment& segment : segments) {
    if (segment.id >= 0) {
      ids.push_back(segment.id);
      continue;
    }
    const auto text = utf8.substr(segment.begin, segment.end - segment.begin);
    SpecialRule here = rule;
    Authored part;
    if (rule.authored != nullptr && impl_->added.any_normalized()) {
      part = rule.authored->part(segment.begin, segment.end);
      here.authored = &part;
    }
    WEIR_RETURN_IF_ERROR(impl_->encode_text(text, segment.begin == 0, here, &pieces, &scratch, &ids));
  }
  if (add_special_tokens) {
    for (const auto& spec : impl_->templates) ids = apply_template(spec, std::move(ids));
  }
  return ids;
}

// One stretch without raw added tokens: normalise, cut at those that are matched after normalising, encode.
Status Tokenizer::Impl::encode_text(std::string_view text, bool at_start, const SpecialRule& rule, Pieces* pieces,
                                    BpeScratch* scratch, std::vector<int32_t>* out) const {
  std::string normalized;
  std::vector<Segment> segments;
  WEIR_RETURN_IF_ERROR(cut_normalized(text, rule, &normalized, &segments));
  const bool guarded = rule.authored != nullptr && added.any_normalized();
  if (guarded && segments.size() == 1 && segments[0].id < 0) drop_guards(&normalized);
  if (segments.size() == 1 && segments[0].id < 0) {
    pieces->text = std::move(normalized);
    return encode_pieces(at_start, pieces, scratch, out);
  }
  for (const Segment& segment : segments) {
    if (segment.id >= 0) {
      out->push_back(segment.id);
      continue;
    }
    pieces->text.assign(normalized, segment.begin, segment.end - segment.begin);
    if (guarded) drop_guards(&pieces->text);
    WEIR_RETURN_IF_ERROR(encode_pieces(at_start && segment.begin == 0, pieces, scratch, out));
  }
  return ok_status();
}

// Where the author's stretches matter, a normaliser can still make a token from what did not spell one before; then
// there are more than the author wrote, and none is taken for one.
Status Tokenizer::Impl::cut_normalized(std::string_view text, const SpecialRule& rule, std::string* normalized,
                                       std::vector<Segment>* segments) const {
  SpecialRule all = rule;
  all.authored = nullptr;
  if (rule.authored == nullptr || !added.any_normalized()) {
    normalized->assign(text);
    WEIR_RETURN_IF_ERROR(normalizer.apply(normalized));
    added.cut_normalized(*normalized, all, segments);
    return ok_status();
  }
  const size_t authored = added.guard_spelled(text, rule, kGuard, normalized);
  WEIR_RETURN_IF_ERROR(normalizer.apply(normalized));
  added.cut_normalized(*normalized, all, segments);
  if (added.count_control(*segments, rule) <= authored) return ok_status();
  all.parse = false;
  added.cut_normalized(*normalized, all, segments);
  return ok_status();
}

Status Tokenizer::Impl::encode_pieces(bool at_start, Pieces* pieces, BpeScratch* scratch,
                                      std::vector<int32_t>* out) const {
  WEIR_RETURN_IF_ERROR(pretokenizer.split(at_start, pieces));
  const std::string_view text = pieces->text;
  for (const Span& span : pieces->spans) {
    if (!model->encode(text.substr(span.begin, span.end - span.begin), scratch, out)) {
      return failed_precondition("the vocabulary lacks a character of this text, and the unk_token that the file names too");
    }
  }
  return ok_status();
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special_tokens) const {
  Detokenizer detokenizer(this, skip_special_tokens);
  std::string text;
  for (const int32_t id : ids) detokenizer.add(id, &text);
  detokenizer.finish(&text);
  return text;
}

int32_t Tokenizer::vocab_size() const { return impl_->vocab_size; }

std::optional<int32_t> Tokenizer::token_to_id(std::string_view token) const {
  if (const AddedTokenSpec* added = impl_->added.find(token)) return added->id;
  const int32_t id = impl_->model->vocab().find(token);
  return id < 0 ? std::nullopt : std::optional(id);
}

std::string_view Tokenizer::id_to_token(int32_t id) const {
  if (const std::string_view text = impl_->model->vocab().text(id); !text.empty()) return text;
  const AddedTokenSpec* added = impl_->added.find(id);
  return added == nullptr ? std::string_view{} : std::string_view(added->content);
}

bool Tokenizer::has_token(int32_t id) const { return !id_to_token(id).empty(); }

std::string Tokenizer::token_bytes(int32_t id) const { return impl_->decoder.bytes_of(id_to_token(id)); }

bool Tokenizer::is_special(int32_t id) const {
  return id >= 0 && id < impl_->vocab_size && impl_->special[static_cast<size_t>(id)];
}

bool Tokenizer::is_added(int32_t id) const { return impl_->added.find(id) != nullptr; }

uint64_t Tokenizer::memory_bytes() const {
  return sizeof(Impl) + impl_->model->memory_bytes() + impl_->added.memory_bytes() + impl_->special.size() / 8;
}

const DecoderChain& Tokenizer::decoder_chain() const { return impl_->decoder; }

}  // namespace weir
