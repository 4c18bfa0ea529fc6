// The input is a tokenizer.json, then (after a zero byte, if there is one) a text to encode. Whatever is accepted
// must encode and decode without a crash, and the stream must equal the whole decode.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "text/detokenizer.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

namespace {

using Ids = std::vector<int32_t>;

constexpr std::string_view kText = "Hello, w\u00F6rld 123\n\n  it's <s> \u4E2D\u6587 \U0001F600 e\u0301";

void check_decode(const weir::Tokenizer& tokenizer, const Ids& ids) {
  for (const bool skip : {false, true}) {
    weir::Detokenizer detokenizer(&tokenizer, skip);
    std::string text;
    for (const int32_t id : ids) detokenizer.add(id, &text);
    WEIR_CHECK(weir::utf8_valid(text));
    detokenizer.finish(&text);
    WEIR_CHECK(text == tokenizer.decode(ids, skip));
  }
}

void check_encode(const weir::Tokenizer& tokenizer, std::string_view text) {
  for (const bool special : {false, true}) {
    const auto ids = tokenizer.encode(text, special, special);
    if (!ids.ok()) continue;
    for (const int32_t id : *ids) WEIR_CHECK(id >= 0);
    check_decode(tokenizer, *ids);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t zero = input.find('\0');
  const auto tokenizer = weir::Tokenizer::parse(input.substr(0, zero));
  if (!tokenizer.ok()) {
    WEIR_CHECK(!tokenizer.status().message().empty());
    return 0;
  }
  const weir::Tokenizer& t = **tokenizer;
  check_encode(t, kText);
  if (zero != input.npos) check_encode(t, input.substr(zero + 1));
  Ids ids;
  for (int32_t id = -1; id < 40; ++id) ids.push_back(id * 7 % 41);
  for (const int32_t id : ids) (void)t.token_bytes(id);
  check_decode(t, ids);
  WEIR_CHECK(t.memory_bytes() > 0);
  return 0;
}
