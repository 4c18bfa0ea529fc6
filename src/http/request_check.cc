#include "http/request_check.h"

#include <algorithm>
#include <array>

namespace weir::http {
namespace {

bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

// pchar, '/' and '?' of RFC 3986, and the characters that browsers send bare although they should not: | { } ^ ` [
// ] \ "
bool is_target_char(char c) { return c > 0x20 && c < 0x7f && c != '#' && c != '<' && c != '>'; }

bool valid_target_bytes(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (!is_target_char(text[i])) return false;
    if (text[i] != '%') continue;
    if (i + 2 >= text.size() || !is_hex(text[i + 1]) || !is_hex(text[i + 2])) return false;
    if (text[i + 1] == '0' && text[i + 2] == '0') return false;  // a NUL cuts paths short in C code behind us
  }
  return true;
}

bool starts_with_ignoring_case(std::string_view text, std::string_view lower) {
  return text.size() >= lower.size() && std::equal(lower.begin(), lower.end(), text.begin(), [](char l, char c) {
           return l == (c >= 'A' && c <= 'Z' ? c + 32 : c);
         });
}

bool equals_ignoring_case(std::string_view text, std::string_view lower) {
  return text.size() == lower.size() && starts_with_ignoring_case(text, lower);
}

bool known_method(std::string_view method) {
  static constexpr std::array<std::string_view, 7> kMethods = {"GET",   "HEAD",   "POST",   "PUT",
                                                               "PATCH", "DELETE", "OPTIONS"};
  return std::find(kMethods.begin(), kMethods.end(), method) != kMethods.end();
}

size_t count_of(const Request& request, std::string_view name) {
  return static_cast<size_t>(std::count_if(request.headers.begin(), request.headers.end(),
                                           [&](const auto& header) { return header.first == name; }));
}

Fault bad(std::string message) { return Fault{400, "invalid_request", "", std::move(message)}; }

// RFC 9112 section 6.3: whoever disagrees with a proxy about where a body ends can be fed a second request.
Fault check_framing(const Request& request, bool http10) {
  const size_t lengths = count_of(request, "content-length");
  const size_t encodings = count_of(request, "transfer-encoding");
  if (lengths > 1) return bad("more than one Content-Length: send exactly one");
  if (lengths > 0 && encodings > 0) return bad("Content-Length and Transfer-Encoding exclude each other: send one");
  if (lengths == 1) {
    const std::string_view value = request.header("content-length");
    const bool digits = !value.empty() && value.size() < 20 &&
                        std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!digits) return bad("Content-Length must be one decimal number");
  }
  if (encodings == 0) return {};
  if (http10) return bad("HTTP/1.0 has no Transfer-Encoding: use HTTP/1.1 or Content-Length");
  if (encodings > 1 || !equals_ignoring_case(request.header("transfer-encoding"), "chunked"))
    return Fault{501, "not_implemented", "", "the only Transfer-Encoding served is exactly 'chunked'"};
  return {};
}

}  // namespace

std::string_view Request::header(std::string_view lower_name) const {
  const auto found =
      std::find_if(headers.begin(), headers.end(), [&](const auto& header) { return header.first == lower_name; });
  return found != headers.end() ? std::string_view(found->second) : std::string_view();
}

bool split_target(Request* request) {
  std::string_view rest = request->target;
  if (!valid_target_bytes(rest)) return false;
  if (rest == "*") {
    request->path = "*";
    return request->method == "OPTIONS";
  }
  for (std::string_view scheme : {"http://", "https://"}) {
    if (!starts_with_ignoring_case(rest, scheme)) continue;
    rest.remove_prefix(scheme.size());
    const size_t authority_end = std::min(rest.find_first_of("/?"), rest.size());
    if (authority_end == 0) return false;
    rest.remove_prefix(authority_end);
    if (rest.empty() || rest[0] == '?') request->path = "/";
    break;
  }
  if (request->path.empty() && (rest.empty() || rest[0] != '/')) return false;
  const size_t question = std::min(rest.find('?'), rest.size());
  request->path += rest.substr(0, question);
  if (question < rest.size()) request->query = rest.substr(question + 1);
  return true;
}

Fault check_head(Request* request, bool http10) {
  if (!known_method(request->method))
    return Fault{501, "not_implemented", "", "this method is not served: use GET, HEAD, POST, PUT, PATCH, DELETE"};
  if (!split_target(request)) return bad("the request target is not a valid path: percent-encode it");
  const size_t hosts = count_of(*request, "host");
  if (hosts > 1 || (hosts == 0 && !http10)) return bad("send exactly one Host header");
  Fault fault = check_framing(*request, http10);
  if (fault.status != 0) return fault;
  const std::string_view expect = request->header("expect");
  if (!expect.empty() && !http10 && !equals_ignoring_case(expect, "100-continue"))
    return Fault{417, "expectation_failed", "", "the only expectation served is 100-continue"};
  return {};
}

}  // namespace weir::http
