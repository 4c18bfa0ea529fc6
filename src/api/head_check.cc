#include "api/head_check.h"

#include "api/admin.h"
#include "api/auth.h"
#include "api/routes.h"
#include "api/service.h"

namespace weir::api {
namespace {

static_assert(kTenantsMax <= http::kGroupsMax);

// Of an answer, in refusals: /metrics formats some hundred lines.
constexpr int kMetricsCost = 8, kControlCost = 2;

http::Lane lane_of(Route route) {
  switch (route) {
    case Route::kLive:
    case Route::kReady:
    case Route::kHealth:
    case Route::kMetrics:
      return http::Lane::kOpen;
    case Route::kChat:
    case Route::kCompletion:
    case Route::kTokenize:
    case Route::kDetokenize:
      return http::Lane::kWork;
    default:
      return http::Lane::kControl;
  }
}

int cost_of(Route route) {
  if (route == Route::kMetrics) return kMetricsCost;
  return lane_of(route) == http::Lane::kControl ? kControlCost : 1;
}

const char* static_reason(std::string_view reason) {
  for (size_t i = 0; i < static_cast<size_t>(Refusal::kCount); ++i) {
    if (const char* name = refusal_name(static_cast<Refusal>(i)); reason == name) return name;
  }
  return "";
}

void refuse(const Service& service, const ApiError& error, http::HeadVerdict* verdict) {
  service.context.door->count_refusal(error.status.reason());
  verdict->standing = http::Standing::kStranger;
  verdict->fault = fault_of(error);
}

// A page that may ask may also read why it is refused.
void add_cors(const Service& service, const http::Request& head, http::HeadVerdict* verdict) {
  if (!verdict->fault) return;
  for (auto& header : cors_headers(service.context.browser, head.header("origin"))) {
    verdict->fault->headers.push_back(std::move(header));
  }
}

// A tenant's key, or none where none is asked for.
void judge_caller(const Service& service, const http::Request& head, http::HeadVerdict* verdict) {
  const auto directory = service.context.tenants->directory();
  if (!directory->asks_for_keys()) {  // anybody, but no page that somebody merely looks at
    if (const auto error = browser_refusal(service.context.browser, head)) refuse(service, *error, verdict);
    return;
  }
  const Result<Caller> caller = identify(*directory, head.header("authorization"));
  if (!caller.ok()) return refuse(service, {.status = caller.status()}, verdict);
  verdict->standing = http::Standing::kKnown;
  verdict->group = caller->tenant;
  verdict->contended = directory->tenants_with_keys() > 1;
}

}  // namespace

http::Fault fault_of(const ApiError& error) {
  http::Fault fault{.status = http_status(error),
                    .code = error_code(error),
                    .reason = static_reason(error.status.reason()),
                    .message = error.status.message()};
  if (fault.status == 401) fault.headers.emplace_back("WWW-Authenticate", "Bearer");
  return fault;
}

http::HeadVerdict judge_head(const Service& service, const http::Request& head) {
  const Route route = match_route(head.method, head.path).route;
  const std::string_view authorization = head.header("authorization");
  http::HeadVerdict verdict{.lane = lane_of(route), .cost = cost_of(route)};
  if (verdict.lane == http::Lane::kOpen) {
    verdict.standing = http::Standing::kStranger;
  } else if (is_preflight(service.context.browser, head)) {
    verdict.lane = http::Lane::kControl;
    verdict.standing = http::Standing::kStranger;
  } else if (is_admin(route)) {
    if (const auto error = admin_refusal(service, authorization)) refuse(service, *error, &verdict);
  } else if (route != Route::kAdmission || admin_refusal(service, authorization)) {
    judge_caller(service, head, &verdict);
  }
  add_cors(service, head, &verdict);
  return verdict;
}

}  // namespace weir::api
