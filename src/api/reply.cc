#include "api/reply.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "api/rate_limit.h"
#include "base/log.h"
#include "http/sse.h"

namespace weir::api {
namespace {

constexpr const char* kIdHeader = "x-request-id";

// What a client may read back of its own path: short, printable.
std::string shown(std::string_view text) {
  std::string out(text.substr(0, 120));
  std::replace_if(out.begin(), out.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return out;
}

}  // namespace

http::Headers Reply::own_headers() const {
  http::Headers headers = {{kIdHeader, request_id_}};
  headers.insert(headers.end(), cors_.begin(), cors_.end());
  if (with_limits_) append_rate_limits(door_->tenant_view({tenant_, clock_->now_us()}), &headers);
  return headers;
}

// A bucket tells the real time; everything else waits for sequences to end.
int Reply::retry_after_seconds(const ApiError& error) {
  if (tenant_ < 0 || error.status.reason() != refusal_name(Refusal::kTenantTokens)) {
    return door_->next_retry_after_seconds(class_index_);
  }
  const Micros wait_us = door_->tokens_wait_us({tenant_, clock_->now_us()});
  return static_cast<int>(std::clamp<int64_t>((wait_us + 999'999) / 1'000'000, 1, std::numeric_limits<int>::max()));
}

void Reply::whole(int status, std::string_view content_type, std::string body, http::ChargedBy charged_by) {
  http::Headers headers = own_headers();
  said_ = Said::kAll;
  exchange_->respond(status, content_type, std::move(body), std::move(headers), charged_by);
}

void Reply::no_content(http::Headers headers) {
  headers.emplace_back(kIdHeader, request_id_);
  exchange_->respond(204, "", "", std::move(headers));
}

// Refusals are what a client is told to change or to retry, and what has a named reason; bugs of ours are not.
void Reply::count(const ApiError& error) {
  const int status = http_status(error);
  if (status < 500 || status == 503 || !error.status.reason().empty()) door_->count_refusal(error.status.reason(), tenant_);
  if (!log_enabled(LogLevel::kDebug)) return;
  log_debug("api", fmt::format("request {}: refused with {} {}", request_id_, status, error.status.reason()));
}

void Reply::send_error(const ApiError& error, http::Headers headers) {
  for (auto& header : own_headers()) headers.push_back(std::move(header));
  if (wants_retry_after(error)) headers.emplace_back("Retry-After", std::to_string(retry_after_seconds(error)));
  if (http_status(error) == 401) headers.emplace_back("WWW-Authenticate", "Bearer");
  std::string body = error_body(error);
  said_ = Said::kAll;
  exchange_->respond(http_status(error), "application/json", std::move(body), std::move(headers));
}

void Reply::error(const ApiError& error) {
  send_error(error, {});
  count(error);  // afterwards, so that an error that cannot be sent is not counted for a reason that no client saw
}

void Reply::wrong_path(std::string_view method, std::string_view path) {
  send_error({.status = not_found(fmt::format("there is no {} {}; GET / lists what there is", method, shown(path)))}, {});
}

void Reply::wrong_method(std::string_view method, std::string_view path, std::string_view allow) {
  ApiError error{.status = invalid_argument(fmt::format("{} takes {}, not {}", shown(path), allow, method)),
                 .code = "method_not_allowed",
                 .http = 405};
  send_error(error, {{"Allow", std::string(allow)}});
}

void Reply::begin_sse() {
  http::Headers headers = http::sse_headers();
  for (auto& header : own_headers()) headers.push_back(std::move(header));
  said_ = Said::kHead;
  exchange_->begin_stream(200, http::kSseContentType, std::move(headers));
}

void Reply::sse_error(const ApiError& error) {
  exchange_->write("data: " + error_body(error) + "\n\n");
  count(error);
  end_sse();
}

void Reply::end_sse() {
  said_ = Said::kAll;
  exchange_->end_stream();
}

void Reply::end_after_throw(Thrown thrown) noexcept {
  if (said_ == Said::kAll) return;  // the exception came after the end
  const auto say = [&] { said_ == Said::kHead ? sse_error(error_of(thrown)) : error(error_of(thrown)); };
  if (contain(say) == Thrown::kNothing || said_ == Said::kAll) return;
  said_ = Said::kAll;
  door_->count_refusal(thrown == Thrown::kOutOfMemory ? Refusal::kOutOfMemory : Refusal::kUnexpected, tenant_);
  exchange_->cut();
}

}  // namespace weir::api
