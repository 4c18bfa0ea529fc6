// Reply: one exchange with its request id; the only place that writes heads, so that every answer carries
// x-request-id and every refusal is counted once and says when to come back. A generation request's answers,
// whatever they are, say what is left of its tenant's limits.
//
// A value that shares the exchange; moved, never copied once it has answered. The exchange's io thread only.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "admission/front_door.h"
#include "api/contain.h"
#include "api/error.h"
#include "base/clock.h"
#include "http/server.h"

namespace weir::api {

class Reply {
 public:
  Reply(std::shared_ptr<http::Exchange> exchange, std::string request_id, FrontDoor* door)
      : exchange_(std::move(exchange)), request_id_(std::move(request_id)), door_(door) {}

  // From here on refusals count for this tenant, and Retry-After knows its bucket. with_limits: x-ratelimit-* too.
  void for_tenant(int32_t tenant, const Clock* clock, bool with_limits) {
    tenant_ = tenant;
    clock_ = clock;
    with_limits_ = with_limits;
  }

  // Headers that every answer carries, so that a page of another origin may read it.
  void for_browser(http::Headers headers) { cors_ = std::move(headers); }
  // 204 with these headers and no others but the id.
  void no_content(http::Headers headers);

  // charged_by: kCaller where the body was charged before it was made and stays so until the exchange is done.
  void json(int status, std::string body, http::ChargedBy charged_by = http::ChargedBy::kHttp) {
    whole(status, "application/json", std::move(body), charged_by);
  }
  void whole(int status, std::string_view content_type, std::string body,
             http::ChargedBy charged_by = http::ChargedBy::kHttp);
  void error(const ApiError& error);                      // counts it as a refusal where it is one
  void wrong_path(std::string_view method, std::string_view path);
  void wrong_method(std::string_view method, std::string_view path, std::string_view allow);
  void begin_sse();
  // In a stream that has begun. The client sees the error instead of "[DONE]".
  void sse_error(const ApiError& error);
  void end_sse();
  // After an exception, whatever was answered until then: ends the answer with the error, as far as it has not
  // ended; where there is no memory for that, the client is cut off.
  void end_after_throw(Thrown thrown) noexcept;

  // Whose predicted start Retry-After tells; without it, the default class's.
  void about_class(int class_index) { class_index_ = class_index; }

  http::Exchange& exchange() { return *exchange_; }
  const std::string& request_id() const { return request_id_; }

 private:
  void count(const ApiError& error);
  void send_error(const ApiError& error, http::Headers headers);
  http::Headers own_headers() const;
  int retry_after_seconds(const ApiError& error);

  enum class Said : uint8_t { kNothing, kHead, kAll };

  std::shared_ptr<http::Exchange> exchange_;
  Said said_ = Said::kNothing;  // set right before http is told: an exception before that has said nothing
  std::string request_id_;
  FrontDoor* door_;
  http::Headers cors_;
  int class_index_ = -1;
  int32_t tenant_ = -1;  // not known
  bool with_limits_ = false;
  const Clock* clock_ = nullptr;
};

}  // namespace weir::api
