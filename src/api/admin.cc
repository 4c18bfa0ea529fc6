#include "api/admin.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "api/abort.h"
#include "api/fields.h"
#include "api/json_in.h"
#include "api/json_out.h"

namespace weir::api {
namespace {

constexpr std::array<std::string_view, 5> kNames = {"cache_max_entry_count", "max_concurrent_requests",
                                                    "max_queued_requests", "max_queued_tokens", "dry_run"};
constexpr int64_t kLimitMax = int64_t{1} << 40;  // the server knows better; this only keeps sums from overflowing
constexpr size_t kShareTextMax = 32;             // it is kept, shown and logged
constexpr size_t kWordShown = 60;                // of a name that is not known

ApiError closed() {
  return {.status = {Code::kFailedPrecondition, "the admin endpoints are closed; start the server with --admin-key, or with "
                                                "WEIR_ADMIN_KEY in its environment"},
          .code = "admin_closed",
          .http = 403};
}

std::string limits_json(const LiveLimits& limits, bool dry_run = false) {
  std::string out = dry_run ? R"({"dry_run":true,"cache_max_entry_count":)" : R"({"cache_max_entry_count":)";
  append_json_string(limits.cache_max_entry_count, &out);
  out += fmt::format(R"(,"kv_blocks":{},"max_concurrent_requests":{},"max_queued_requests":{},"max_queued_tokens":{},)",
                     limits.kv_blocks, limits.max_concurrent_requests, limits.max_queued_requests, limits.max_queued_tokens);
  out += fmt::format(R"("ceilings":{{"kv_blocks":{},"max_concurrent_requests":{},"max_queued_requests":{},)"
                     R"("max_queued_tokens":{}}}}})",
                     limits.kv_blocks_ceiling, limits.max_concurrent_requests_ceiling, limits.max_queued_requests_ceiling,
                     limits.max_queued_tokens_ceiling);
  return out;
}

// 0.25 is "0.25": without an exponent, which no setting has, and without zeros that nobody wrote.
std::string plain_decimal(double number) {
  std::string text = fmt::format("{:.9f}", number);
  text.erase(text.find_last_not_of('0') + 1);
  return text.substr(0, kShareTextMax);
}

// A ratio or a number of blocks may be written as a number, a size is a text: "8GiB".
std::optional<std::string> cache_share(Fields* fields) {
  const boost::json::value* value = fields->find("cache_max_entry_count");
  if (value == nullptr) return {};
  if (value->is_string()) {
    const std::string_view text(value->as_string());
    if (text.size() <= kShareTextMax) return std::string(text);
    fields->fail("cache_max_entry_count", fmt::format("has {} characters, more than the {} that any size needs; write a "
                                                      "size such as \"8GiB\"", text.size(), kShareTextMax));
    return {};
  }
  if (const auto whole = as_integer(*value)) return std::to_string(*whole);
  if (const auto number = as_number(*value)) return plain_decimal(*number);
  fields->fail("cache_max_entry_count", "is " + describe(*value) + "; write a ratio, a number of blocks or a size such as \"8GiB\"");
  return {};
}

LimitsPatch read_patch(Fields* fields) {
  for (const auto& member : fields->raw()) {
    if (std::find(kNames.begin(), kNames.end(), std::string_view(member.key())) != kNames.end()) continue;
    fields->fail(std::string(member.key()).substr(0, kWordShown),
                 "is no limit that can be changed while serving; those are "
                 "cache_max_entry_count, max_concurrent_requests, "
                 "max_queued_requests and max_queued_tokens; \"dry_run\": true "
                 "changes none of them");
    return {};
  }
  LimitsPatch patch;
  patch.cache_max_entry_count = cache_share(fields);
  patch.max_concurrent_requests = fields->integer("max_concurrent_requests", 1, kLimitMax);
  patch.max_queued_requests = fields->integer("max_queued_requests", 0, kLimitMax);
  patch.max_queued_tokens = fields->integer("max_queued_tokens", 1, kLimitMax);
  patch.dry_run = fields->flag("dry_run", false);
  return patch;
}

// Messages of the server begin with the limit that they are about.
ApiError not_done(Status status) {
  std::string param;
  for (const std::string_view name : kNames) {
    if (status.message().rfind(name, 0) == 0) param = name;
  }
  return {.status = std::move(status), .param = std::move(param)};
}

ApiError busy() {
  return {.status = {Code::kResourceExhausted, "other changes are under way; try again later",
                     refusal_name(Refusal::kTextPoolFull)}};
}

void patch_limits(Service* service, http::Request request, Reply reply) {
  LimitsPatch patch;
  {
    auto json = JsonBody::parse(request.body);
    if (!json.ok()) return reply.error({.status = json.status()});
    Fields fields(json->object());
    patch = read_patch(&fields);
    if (!fields.ok()) return reply.error(*fields.error());
  }
  struct Job {
    Reply reply;
    LimitsPatch patch;
  };
  auto job = std::make_shared<Job>(Job{std::move(reply), std::move(patch)});
  http::Callback change = [service, job] {
    auto done = service->context.patch_limits(job->patch);
    job->reply.exchange().post([job, done = std::move(done)] {
      if (done.ok()) return job->reply.json(200, limits_json(*done, job->patch.dry_run));
      job->reply.error(not_done(done.status()));
    });
  };
  if (service->admin_pool.try_run(std::move(change))) return;
  job->reply.error(busy());
}

// A reload takes no words; one that it does not know would otherwise be passed over, and the file be read all the
// same.
std::optional<ApiError> reload_words(const http::Request& request) {
  if (request.body.empty()) return {};
  auto json = JsonBody::parse(request.body);
  if (!json.ok()) return ApiError{.status = json.status()};
  if (json->object().empty()) return {};
  const std::string word = std::string(json->object().begin()->key()).substr(0, kWordShown);
  return bad_param(word, word + " is no part of a reload, which takes an empty body");
}

// The file is read on the admin thread: a disk may take its time.
void reload(Service* service, const http::Request& request, Reply reply) {
  if (const auto wrong = reload_words(request)) return reply.error(*wrong);
  if (!service->context.reload_tenants) {
    return reply.error({.status = {Code::kFailedPrecondition, "there is no key file to read again; start the server with "
                                                              "--api-keys FILE.toml"}});
  }
  auto shared = std::make_shared<Reply>(std::move(reply));
  http::Callback work = [service, shared] {
    auto done = service->context.reload_tenants();
    shared->exchange().post([shared, done = std::move(done)] {
      if (!done.ok()) return shared->error({.status = done.status(), .http = 400});
      shared->json(200, fmt::format(R"({{"tenants":{},"keys":{}}})", done->tenants, done->keys));
    });
  };
  if (service->admin_pool.try_run(std::move(work))) return;
  shared->error(busy());
}

}  // namespace

std::optional<ApiError> admin_refusal(const Service& service, std::string_view authorization) {
  if (service.context.admin_key.empty()) return closed();
  Status status = service.admin_auth.check(authorization);
  if (status.ok()) return std::nullopt;
  return ApiError{.status = std::move(status)};
}

void answer_admin(Service* service, Route route, http::Request request, Reply reply) {
  if (const auto error = admin_refusal(*service, request.header("authorization"))) return reply.error(*error);
  if (const std::string word = unknown_query_word(request.query, {}); !word.empty()) {
    return reply.error(
        bad_param(word, word + " is no query parameter of this route, so nothing was done; what a change is to do "
                               "stands in its body, {\"dry_run\": true} too"));
  }
  if (request.body.size() > kInlineBodyBytes) {
    return reply.error(
        {.status = {Code::kTooLarge, fmt::format("the body has {} bytes and no admin request needs more than {}",
                                                 request.body.size(), kInlineBodyBytes)}});
  }
  if (route == Route::kAbort) return answer_abort(service, request, std::move(reply));
  if (route == Route::kReload) return reload(service, request, std::move(reply));
  if (route == Route::kReadLimits) return reply.json(200, limits_json(service->context.live_limits()));
  patch_limits(service, std::move(request), std::move(reply));
}

}  // namespace weir::api
