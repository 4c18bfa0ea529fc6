#include "api/live_requests.h"

#include "api/generation.h"
#include "api/head_check.h"
#include "api/routes.h"
#include "api/service.h"

namespace weir::api {
namespace {

using LiveOrError = std::variant<std::unique_ptr<LiveRequest>, ApiError>;

// The earlier of what the client asks for and --request-timeout.
Result<Micros> deadline_of(const Service& service, const http::Request& request, Micros arrival_us) {
  const Micros timeout_us = service.context.request_timeout_us;
  Micros deadline_us = timeout_us > 0 ? arrival_us + timeout_us : 0;
  const std::string_view header = request.header(kDeadlineHeader);
  if (header.empty()) return deadline_us;
  WEIR_ASSIGN_OR_RETURN(const Micros asked, parse_deadline(header, {.arrival_us = arrival_us,
                                                                    .now_us = service.now_us(),
                                                                    .unix_ms = service.unix_ms()}));
  return deadline_us == 0 ? asked : std::min(deadline_us, asked);
}

// The key is in the head, so whose request it is is known before its body is here.
int32_t tenant_of(const Service& service, const http::Request& request) {
  const Result<Caller> caller = identify(*service.context.tenants->directory(), request.header("authorization"));
  return caller.ok() ? caller->tenant : LiveRequest::kStranger;
}

LiveOrError make_live(Service* service, const http::Request& request, const std::string& id, int io_index) {
  const Micros arrival_us = service->now_us() - request.age_us;
  const Result<Micros> deadline = deadline_of(*service, request, arrival_us);
  if (!deadline.ok()) return bad_deadline(deadline.status());
  LiveRequests& all = service->live_requests[static_cast<size_t>(io_index)];
  return std::make_unique<LiveRequest>(&all,
                                       LiveRequest::Facts{id, tenant_of(*service, request), arrival_us, *deadline});
}

// A request whose body is on its way.
class Upload final : public http::BodyWatch {
 public:
  Upload(Service* service, LiveOrError live) : service_(service), live_(std::move(live)) {}

  std::optional<http::Fault> verdict() override {
    if (const auto* wrong = std::get_if<ApiError>(&live_)) return end(*wrong);
    const LiveRequest& live = *std::get<std::unique_ptr<LiveRequest>>(live_);
    if (live.aborted()) return end(aborted_by_operator());
    if (!live.past_deadline(service_->now_us())) return std::nullopt;
    return end(deadline_passed("while its body was being read"));
  }
  LiveOrError take() { return std::move(live_); }

 private:
  // It is counted here: http counts what it refuses itself.
  http::Fault end(const ApiError& error) {
    service_->context.door->count_refusal(error.status.reason());
    return fault_of(error);
  }

  Service* const service_;
  LiveOrError live_;
};

bool generates(const http::Request& head) {
  const Route route = match_route(head.method, head.path).route;
  return route == Route::kChat || route == Route::kCompletion;
}

}  // namespace

LiveRequest::LiveRequest(LiveRequests* all, Facts facts) : all_(all), next_(all->first_), facts_(std::move(facts)) {
  if (next_ != nullptr) next_->previous_ = this;
  all_->first_ = this;
}

LiveRequest::~LiveRequest() {
  if (all_ == nullptr) return;
  (previous_ == nullptr ? all_->first_ : previous_->next_) = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
}

bool LiveRequest::abort() {
  if (reading_) return aborted_ = true;  // http asks at its next tick, or the handler when the body is there
  const std::shared_ptr<Generation> generation = generation_.lock();
  return generation != nullptr && generation->abort();
}

// What an exchange that outlives the server still holds.
LiveRequests::~LiveRequests() {
  for (LiveRequest* one = first_; one != nullptr; one = one->next_) one->all_ = nullptr;
}

void LiveRequests::find_tenants(std::string_view id, std::set<int32_t>* tenants) const {
  for (const LiveRequest* one = first_; one != nullptr; one = one->next_) {
    if (one->facts_.id == id && one->facts_.tenant != LiveRequest::kStranger) tenants->insert(one->facts_.tenant);
  }
}

// An abort and a tick end exchanges, and those tell it from the event loop, so no entry goes while the list is walked.
int LiveRequests::abort(std::string_view id, int32_t tenant) {
  int ended = 0;
  for (LiveRequest* one = first_; one != nullptr; one = one->next_) {
    if (one->facts_.id == id && one->facts_.tenant == tenant) ended += one->abort();
  }
  return ended;
}

void LiveRequests::tick(Micros now) {
  for (LiveRequest* one = first_; one != nullptr; one = one->next_) {
    if (const auto generation = one->generation_.lock()) generation->tick(now);
  }
}

void LiveRequests::name_slots(std::map<SlotIndex, std::string>* ids) const {
  for (const LiveRequest* one = first_; one != nullptr; one = one->next_) {
    const auto generation = one->generation_.lock();
    if (generation == nullptr) continue;
    for (const SlotIndex slot : generation->live_slots()) ids->emplace(slot, one->facts_.id);
  }
}

LiveOrError live_request_of(Service* service, http::Request* request, const std::string& id, int io_index) {
  if (request->watch == nullptr) return make_live(service, *request, id, io_index);
  const std::unique_ptr<http::BodyWatch> watch = std::move(request->watch);
  return static_cast<Upload&>(*watch).take();  // no other watch is ever made
}

std::unique_ptr<http::BodyWatch> watch_body(Service* service, const http::Request& head, int io_index) {
  if (!generates(head)) return nullptr;
  return std::make_unique<Upload>(service, make_live(service, head, head.id, io_index));
}

}  // namespace weir::api
