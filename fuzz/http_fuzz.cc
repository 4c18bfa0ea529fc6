// Fuzzes the request parser: whatever the bytes and however the network cuts them, the outcome is the same, within
// limits, and every charged byte is given back.
//
// The first byte chooses limits and the packet size; the rest is what a client sends.
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/check.h"
#include "http/parser.h"

namespace {

using weir::http::ByteBudget;
using weir::http::kHeadersMax;
using weir::http::ParsedBytes;
using weir::http::ParseLimits;
using weir::http::RequestParser;
using Phase = RequestParser::Phase;

void check_request(const ParsedBytes& parsed, const ParseLimits& limits) {
  const weir::http::Request& request = parsed.request;
  WEIR_CHECK(request.body.size() <= limits.body_bytes_max);
  WEIR_CHECK(request.headers.size() <= kHeadersMax);
  WEIR_CHECK(request.path == "*" || (!request.path.empty() && request.path[0] == '/'));
  WEIR_CHECK(request.charge.bytes() == 0 || request.charge.bytes() >= request.body.capacity());
  size_t head_bytes = request.method.size() + request.target.size();
  for (const auto& [name, value] : request.headers) {
    head_bytes += name.size() + value.size();
    WEIR_CHECK(!name.empty());
    for (char c : name) WEIR_CHECK(static_cast<unsigned char>(c) > 0x20 && c != ':' && !(c >= 'A' && c <= 'Z'));
    WEIR_CHECK(value.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos);
  }
  WEIR_CHECK(head_bytes <= limits.head_bytes_max);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const bool small = (data[0] & 1) != 0;
  const ParseLimits limits = small ? ParseLimits{128, 64} : ParseLimits{16 * 1024, 1 << 20};
  const size_t step = 1 + (data[0] >> 1);
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);

  const auto budget = std::make_shared<ByteBudget>(size_t{4} << 20);
  {
    const ParsedBytes whole = parse_request_bytes(bytes, limits, bytes.size() + 1, budget);
    const ParsedBytes cut = parse_request_bytes(bytes, limits, step, budget);
    WEIR_CHECK(whole.phase == cut.phase);
    WEIR_CHECK(whole.fault.status == cut.fault.status);
    WEIR_CHECK(whole.request.path == cut.request.path && whole.request.query == cut.request.query);
    WEIR_CHECK(whole.request.headers == cut.request.headers);
    WEIR_CHECK(whole.request.body == cut.request.body);
    if (whole.phase == Phase::kDone) {
      WEIR_CHECK(whole.consumed == cut.consumed && whole.consumed <= bytes.size());
      check_request(whole, limits);
    } else if (whole.phase == Phase::kFailed) {
      WEIR_CHECK(whole.fault.status >= 400 && whole.fault.status <= 505 && !whole.fault.message.empty());
    }
  }
  WEIR_CHECK(budget->used_bytes() == 0);
  return 0;
}
