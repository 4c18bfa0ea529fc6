#include "http/head_parser.h"

#define BOOST_ASIO_SEPARATE_COMPILATION 1  // Beast pulls in Asio's buffers: the same setting as asio.h
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

#include "http/request_check.h"

namespace weir::http {
namespace {

namespace beast_http = boost::beast::http;
using boost::beast::string_view;
using BeastError = boost::beast::error_code;

std::string_view view(string_view v) { return {v.data(), v.size()}; }

Fault fault_of(const BeastError& error, const ParseLimits& limits) {
  using E = beast_http::error;
  if (error == E::header_limit) return head_too_large();
  if (error == E::body_limit) return body_too_large(limits);
  if (error == E::bad_version) return Fault{505, "http_version", "", "speak HTTP/1.1 or HTTP/1.0"};
  if (error == E::bad_method) return malformed("the request line is malformed");
  if (error == E::bad_target) return malformed("the request target is malformed: percent-encode it");
  if (error == E::bad_content_length || error == E::multiple_content_length)
    return malformed("Content-Length is malformed or contradicts another header");
  if (error == E::bad_transfer_encoding) return malformed("Transfer-Encoding contradicts another header");
  return malformed("the request headers are malformed");
}

// Fills a Request straight from Beast's events; no field container in between.
class Filler final : public beast_http::basic_parser<true> {
 public:
  Filler(const ParseLimits& limits, Head* head) : head_(*head) {
    header_limit(static_cast<uint32_t>(limits.head_bytes_max));
    body_limit(limits.body_bytes_max);
  }
  const Fault& fault() const { return fault_; }  // status 0 unless one of ours stopped the parser

 private:
  void fail(Fault fault, BeastError& ec) {
    fault_ = std::move(fault);
    ec = beast_http::error::bad_value;
  }

  void on_request_impl(beast_http::verb, string_view method, string_view target, int version,
                       BeastError& ec) override {
    ec = {};
    head_.http10 = version == 10;
    head_.request.method = view(method);
    head_.request.target = view(target);
  }

  void on_field_impl(beast_http::field, string_view name, string_view value, BeastError& ec) override {
    ec = {};
    if (head_.request.headers.size() == kHeadersMax) return fail(head_too_large(), ec);
    std::string lower(view(name));
    for (char& c : lower) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    }
    head_.request.headers.emplace_back(std::move(lower), std::string(view(value)));
  }

  void on_header_impl(BeastError& ec) override {
    ec = {};
    Fault fault = check_head(&head_.request, head_.http10);
    if (fault.status != 0) fail(std::move(fault), ec);
  }

  // Requests alone are parsed, and their bodies elsewhere: none of these is ever called.
  void on_response_impl(int, string_view, int, BeastError&) override {}
  void on_body_init_impl(const boost::optional<uint64_t>&, BeastError&) override {}
  size_t on_body_impl(string_view, BeastError&) override { return 0; }
  void on_chunk_header_impl(uint64_t, string_view, BeastError&) override {}
  size_t on_chunk_body_impl(uint64_t, string_view, BeastError&) override { return 0; }
  void on_finish_impl(BeastError& ec) override { ec = {}; }

  Head& head_;
  Fault fault_;
};

}  // namespace

Fault malformed(std::string message) { return Fault{400, "invalid_request", "", std::move(message)}; }

Fault head_too_large() {
  return Fault{431, "headers_too_large", "",
               "the request line and headers are too large: send fewer or shorter ones"};
}

Fault body_too_large(const ParseLimits& limits) {
  return Fault{
      413, "body_too_large", "",
      "the body is larger than the limit of " + std::to_string(limits.body_bytes_max) + " bytes: send less"};
}

Fault parse_head(std::string_view bytes, const ParseLimits& limits, Head* head) {
  Filler filler(limits, head);
  BeastError error;
  const size_t used = filler.put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
  if (filler.fault().status != 0) return filler.fault();
  if (error) return fault_of(error, limits);
  if (!filler.is_header_done() || used != bytes.size()) return malformed("the request headers are malformed");
  head->keep_alive = filler.keep_alive();
  head->chunked = filler.chunked();
  if (const auto length = filler.content_length()) head->content_length = *length;
  return {};
}

}  // namespace weir::http
