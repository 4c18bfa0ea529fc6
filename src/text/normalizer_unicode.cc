// NFC, NFD, NFKC and NFKD over utf8proc, which decomposes and composes; what makes it fast and safe is here:
// parts that NFC cannot change are not looked at twice, and runs of combining marks are ordered by a stable
// sort, because utf8proc's own ordering is quadratic and a prompt may be nothing but marks.
#include <utf8proc.h>

#include <algorithm>

#include "base/check.h"
#include "text/normalizer.h"
#include "text/unicode.h"

namespace weir {
namespace {

using CodePoints = std::vector<utf8proc_int32_t>;

void decompose(std::string_view text, utf8proc_option_t options, CodePoints* out) {
  for (size_t at = 0; at < text.size();) {
    const CodePoint cp = utf8_decode(text.data() + at);
    at += cp.bytes;
    utf8proc_int32_t buffer[32];  // the longest decomposition, U+FDFA's, is 18
    int boundary = 0;
    const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(cp.value), buffer, 32, options, &boundary);
    WEIR_CHECK(count >= 0 && count <= 32);
    out->insert(out->end(), buffer, buffer + count);
  }
}

// The canonical ordering of Unicode 15, section 3.11: each run of characters with a combining class other than
// zero, by class, stable. The keys (class, place, character) are unique, which makes any sort stable.
void order_marks(CodePoints* text) {
  auto combining = [](utf8proc_int32_t cp) {
    return static_cast<uint64_t>(utf8proc_get_property(cp)->combining_class);
  };
  std::vector<uint64_t> keys;
  for (size_t at = 0; at < text->size(); ++at) {
    keys.clear();
    for (size_t i = at; i < text->size() && combining((*text)[i]) != 0; ++i) {
      keys.push_back(combining((*text)[i]) << 56 | (i - at) << 21 | static_cast<uint32_t>((*text)[i]));
    }
    if (keys.size() > 1) std::sort(keys.begin(), keys.end());
    for (const uint64_t key : keys) (*text)[at++] = static_cast<utf8proc_int32_t>(key & 0x1FFFFF);
  }
}

void append_normalized(std::string_view text, int options, std::string* out) {
  CodePoints cps;
  cps.reserve(text.size());
  decompose(text, static_cast<utf8proc_option_t>(options), &cps);
  order_marks(&cps);
  auto size = static_cast<utf8proc_ssize_t>(cps.size());
  if (options & UTF8PROC_COMPOSE) {
    size = utf8proc_normalize_utf32(cps.data(), size, static_cast<utf8proc_option_t>(options));
    WEIR_CHECK(size >= 0);
  }
  for (utf8proc_ssize_t i = 0; i < size; ++i) utf8_append(static_cast<char32_t>(cps[i]), out);
}

bool nfc_inert_at(std::string_view text, size_t at, uint32_t* bytes) {
  const CodePoint cp = utf8_decode(text.data() + at);
  *bytes = cp.bytes;
  return unicode_class(cp.value) & kUnicodeNfcInert;
}

// Copies what is inert and normalises each stretch that is not, from the inert character before it (which may
// compose with it) up to the next inert one.
std::string normalize_nfc(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 16);
  size_t copied = 0;
  size_t before = 0;  // start of the character before `at`
  uint32_t bytes = 0;
  for (size_t at = 0; at < text.size(); before = at, at += bytes) {
    if (nfc_inert_at(text, at, &bytes)) continue;
    size_t end = at + bytes;
    while (end < text.size() && !nfc_inert_at(text, end, &bytes)) end += bytes;
    out.append(text.substr(copied, before - copied));
    append_normalized(text.substr(before, end - before), UTF8PROC_STABLE | UTF8PROC_COMPOSE, &out);
    copied = end;
    if (end == text.size()) break;
    at = end;
    (void)nfc_inert_at(text, at, &bytes);
  }
  out.append(text.substr(copied));
  return out;
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

}  // namespace

std::string normalize_unicode(NormalForm form, std::string_view text) {
  if (is_ascii(text)) return std::string(text);
  if (form == NormalForm::kNfc) return normalize_nfc(text);
  std::string out;
  const int compat = form == NormalForm::kNfd ? 0 : UTF8PROC_COMPAT;
  const int direction = form == NormalForm::kNfkc ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  append_normalized(text, UTF8PROC_STABLE | compat | direction, &out);
  return out;
}

}  // namespace weir
