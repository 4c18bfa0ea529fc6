#include "api/api.h"

#include <fmt/format.h>

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "api/admin.h"
#include "api/admission_view.h"
#include "api/control.h"
#include "api/generation.h"
#include "api/head_check.h"
#include "api/host_bytes.h"
#include "api/read_request.h"
#include "api/service.h"
#include "api/text_endpoints.h"

namespace weir {
namespace api {
namespace {

// Refuses before any work when the server is full: knock() costs microseconds, parsing and tokenising do not.
void generate(Service* service, Endpoint endpoint, const Caller& caller, http::Request request, Reply reply) {
  const bool uploaded = request.watch != nullptr;
  auto found = live_request_of(service, &request, reply.request_id(), reply.exchange().io_index());
  if (const auto* wrong = std::get_if<ApiError>(&found)) return reply.error(*wrong);
  auto live = std::move(std::get<std::unique_ptr<LiveRequest>>(found));
  if (live->aborted()) return reply.error(aborted_by_operator());
  if (live->past_deadline(service->now_us())) {
    return reply.error(deadline_passed(uploaded ? "while its body was being read" : "before any work was done"));
  }
  Result<Knock> knock = service->context.door->knock({caller.tenant, service->now_us()});
  if (!knock.ok()) return reply.error({.status = knock.status()});
  const std::shared_ptr<Account> account = account_of(request, &service->ledger());
  if (const Grant grant = join_tenant(account.get(), caller.tenant); grant != Grant::kYes) {
    return reply.error(host_refusal(grant, HostMoment::kBeforeWork, service->ledger(), caller.tenant));
  }
  if (endpoint == Endpoint::kChat && service->context.chat_template == nullptr) {
    return reply.error({.status = invalid_argument("this model has no chat template; use /v1/completions or start the "
                                                   "server with --chat-template")});
  }
  const uint64_t fixed_bytes = Generation::fixed_bytes(service->context);
  auto body = std::make_unique<RequestBody>(
      RequestBody{endpoint, caller, std::move(request.body), std::move(request.charge)});
  GenerateRequest parsed{
      .endpoint = endpoint, .tenant = caller.tenant, .work_bytes = service->text_bytes(body->bytes.size())};
  Charge held(account, HostKind::kRequest);
  if (body->bytes.size() <= kInlineBodyBytes) {
    if (auto error = read_request(*service, fixed_bytes, body.get(), &held, &parsed)) return reply.error(*error);
    body.reset();
  } else if (const Grant grant = held.try_grow(fixed_bytes + sizeof(RequestBody)); grant != Grant::kYes) {
    return reply.error(host_refusal(grant, HostMoment::kBeforeWork, *account));
  }
  std::make_shared<Generation>(service, std::move(body), std::move(parsed), std::move(reply), std::move(held),
                               std::move(*knock), std::move(live))
      ->start();
}

void handle(Service* service, http::Request request, std::shared_ptr<http::Exchange> exchange) {
  std::string id = request.id.empty() ? service->ids.choose(request.header("x-request-id")) : std::move(request.id);
  Reply reply(std::move(exchange), std::move(id), service->context.door);
  const BrowserRules& browser = service->context.browser;
  const std::string_view origin = request.header("origin");
  reply.for_browser(cors_headers(browser, origin));
  if (is_preflight(browser, request)) {
    if (!allows_origin(browser, origin)) return reply.error(origin_not_allowed(origin));
    return reply.no_content(preflight_headers(browser, request));
  }
  const Route route = match_route(request.method, request.path).route;
  Caller caller;
  if (needs_key(route)) {
    Result<Caller> known = identify(*service->context.tenants->directory(), request.header("authorization"));
    if (!known.ok()) return reply.error({.status = known.status()});
    caller = *known;
    reply.for_tenant(caller.tenant, service->context.clock, route == Route::kChat || route == Route::kCompletion);
  }
  switch (route) {
    case Route::kChat: return generate(service, Endpoint::kChat, caller, std::move(request), std::move(reply));
    case Route::kCompletion: return generate(service, Endpoint::kCompletion, caller, std::move(request), std::move(reply));
    case Route::kTokenize: return answer_tokenize(service, caller.tenant, std::move(request), std::move(reply));
    case Route::kDetokenize: return answer_detokenize(service, caller.tenant, std::move(request), std::move(reply));
    case Route::kAdmission: return answer_admission(*service, request, std::move(reply));
    case Route::kReload:
    case Route::kReadLimits:
    case Route::kPatchLimits:
    case Route::kAbort: return answer_admin(service, route, std::move(request), std::move(reply));
    default: return answer_control(*service, route, request, &reply);
  }
}

}  // namespace
}  // namespace api

int64_t api::Service::unix_ms() const {
  if (context.unix_ms) return context.unix_ms();
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
}

Api::Api(ApiContext context) : service_(std::make_unique<api::Service>(std::move(context))) {}

Status Api::start() {
  WEIR_RETURN_IF_ERROR(service_->text_pool.start());
  return service_->admin_pool.start();
}

Api::~Api() {
  stop_text_pool();
  WEIR_CHECK_MSG(live_requests() == 0, "a request outlived the Api");
}

// An exception that was not contained further in leaves the exchange without an owner, and http answers it with a
// 500.
void Api::handle(http::Request&& request, std::shared_ptr<http::Exchange> exchange) {
  const api::Thrown thrown =
      api::contain([&] { api::handle(service_.get(), std::move(request), std::move(exchange)); });
  if (thrown != api::Thrown::kNothing) service_->metrics.dropped.fetch_add(1, std::memory_order_relaxed);
}

http::Hooks Api::hooks() {
  api::Service* const service = service_.get();
  return {.choose_id = [service](std::string_view wanted) { return service->ids.choose(wanted); },
          .judge_head = [service](const http::Request& head) { return api::judge_head(*service, head); },
          .watch_body = [service](const http::Request& head, int io) { return api::watch_body(service, head, io); },
          .on_refusal = [service](std::string_view reason,
                                  int group) { service->context.door->count_refusal(reason, group); },
          .on_tick =
              [this, service](int io) {
                service->live_requests[static_cast<size_t>(io)].tick(service->now_us());
                drain(io);  // the engine's wake-up may have found no memory
              }};
}

std::map<SlotIndex, std::string> Api::request_ids(Micros patience_us) {
  struct Names {
    std::mutex mutex;
    std::condition_variable done;
    size_t left;
    std::map<SlotIndex, std::string> ids;
  };
  api::Service* const service = service_.get();
  const auto names = std::make_shared<Names>();
  names->left = service->live_requests.size();
  for (size_t io = 0; io < service->live_requests.size(); ++io) {
    http::Callback collect = [service, names, io] {
      const std::lock_guard lock(names->mutex);
      service->live_requests[io].name_slots(&names->ids);
      if (--names->left == 0) names->done.notify_all();
    };
    if (!service->context.post_io || !service->context.post_io(static_cast<int>(io), std::move(collect))) {
      const std::lock_guard lock(names->mutex);
      --names->left;
    }
  }
  std::unique_lock lock(names->mutex);
  names->done.wait_for(lock, std::chrono::microseconds(patience_us), [&] { return names->left == 0; });
  return names->ids;
}

void Api::drain(int io_index) {
  Gateway* const gateway = service_->context.gateway;
  for (Notice notice; gateway->next_notice(io_index, &notice);) {
    api::Generation::on_notice(gateway->channel(notice.slot).io_tag, notice.finish);
  }
}

void Api::stop_text_pool() {
  service_->admin_pool.stop();
  service_->text_pool.stop();
}

int Api::live_requests() const { return service_->live.load(std::memory_order_acquire); }

}  // namespace weir
