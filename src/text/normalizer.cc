#include "text/normalizer.h"

#include <utf8proc.h>

#include "text/byte_level.h"
#include "text/unicode.h"

namespace weir {
namespace {

// The widest honest step: U+FDFA is 3 bytes and 33 in NFKD, a single-byte space may become a few characters.
constexpr size_t kGrowthMax = 32;
constexpr size_t kGrowthFloor = 64 * 1024;

void lowercase(std::string* text) {
  std::string out;
  out.reserve(text->size());
  for (size_t at = 0; at < text->size();) {
    const CodePoint cp = utf8_decode(text->data() + at);
    at += cp.bytes;
    if (cp.value == 0x130) {  // the one character whose full lower case is two
      out += "i\xCC\x87";
    } else {
      utf8_append(static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(cp.value))), &out);
    }
  }
  *text = std::move(out);
}

void strip(bool left, bool right, std::string* text) {
  std::string_view rest = *text;
  while (left && !rest.empty()) {
    const CodePoint cp = utf8_decode(rest.data());
    if (!(unicode_class(cp.value) & kUnicodeSpace)) break;
    rest.remove_prefix(cp.bytes);
  }
  while (right && !rest.empty()) {
    const CodePoint cp = utf8_last(rest);
    if (!(unicode_class(cp.value) & kUnicodeSpace)) break;
    rest.remove_suffix(cp.bytes);
  }
  *text = std::string(rest);
}

void strip_accents(std::string* text) {
  std::string out;
  out.reserve(text->size());
  for (size_t at = 0; at < text->size();) {
    const CodePoint cp = utf8_decode(text->data() + at);
    if (!(unicode_class(cp.value) & kUnicodeMark)) out.append(*text, at, cp.bytes);
    at += cp.bytes;
  }
  *text = std::move(out);
}

void byte_level(std::string* text) {
  std::string out;
  byte_level_encode(*text, &out);
  *text = std::move(out);
}

Status too_long() {
  return invalid_argument("the tokeniser's normaliser makes this text too long; send a shorter text");
}

Status apply_step(const NormalizerSpec& step, size_t bytes_max, std::string* text) {
  using Kind = NormalizerSpec::Kind;
  switch (step.kind) {
    case Kind::kPrepend:
      if (!text->empty()) text->insert(0, step.text);
      break;
    case Kind::kReplace: return replace_all(*step.regex, step.text, bytes_max, text);
    case Kind::kNfc: *text = normalize_unicode(NormalForm::kNfc, *text); break;
    case Kind::kNfd: *text = normalize_unicode(NormalForm::kNfd, *text); break;
    case Kind::kNfkc: *text = normalize_unicode(NormalForm::kNfkc, *text); break;
    case Kind::kNfkd: *text = normalize_unicode(NormalForm::kNfkd, *text); break;
    case Kind::kLowercase: lowercase(text); break;
    case Kind::kStrip: strip(step.left, step.right, text); break;
    case Kind::kStripAccents: strip_accents(text); break;
    case Kind::kByteLevel: byte_level(text); break;
  }
  return text->size() > bytes_max ? too_long() : ok_status();
}

}  // namespace

Status replace_all(const Regex& regex, std::string_view with, size_t bytes_max, std::string* text) {
  std::vector<Span> matches;
  WEIR_RETURN_IF_ERROR(regex.find_all(*text, &matches));
  if (matches.empty()) return ok_status();
  std::string out;
  size_t copied = 0;
  for (const Span& match : matches) {
    out.append(*text, copied, match.begin - copied);
    out.append(with);
    copied = match.end;
    if (out.size() > bytes_max) return too_long();
  }
  out.append(*text, copied);
  *text = std::move(out);
  return text->size() > bytes_max ? too_long() : ok_status();
}

Status Normalizer::apply(std::string* text) const {
  const size_t bytes_max = text->size() * kGrowthMax + kGrowthFloor;
  for (const NormalizerSpec& step : steps_) WEIR_RETURN_IF_ERROR(apply_step(step, bytes_max, text));
  return ok_status();
}

}  // namespace weir
