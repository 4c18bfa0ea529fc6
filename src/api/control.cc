#include "api/control.h"

#include <fmt/format.h>

#include "api/json_out.h"
#include "api/service.h"

namespace weir::api {
namespace {

constexpr std::string_view kIndexText =
    "weir " WEIR_VERSION
    "\n\n"
    "POST /v1/chat/completions   POST /v1/completions   GET /v1/models\n"
    "POST /tokenize              POST /detokenize\n"
    "GET  /health/live           GET  /health/ready     GET /health\n"
    "GET  /metrics               GET  /plan?format=text\n"
    "GET  /admission?limit=100   (one's own requests; all of them with the admin key)\n"
    "GET  /admin/limits          PATCH /admin/limits    (with the admin key)\n"
    "POST /admin/abort           {\"id\": x-request-id}  (with the admin key)\n"
    "POST /admin/reload          (with the admin key)\n";

std::string model_object(const ApiContext& context) {
  std::string out = R"({"id":)";
  append_json_string(context.model_name, &out);
  out.append(R"(,"object":"model","created":)");
  append_integer(context.model_created, &out);
  out.append(R"(,"owned_by":"weir","max_model_len":)");
  append_integer(context.session_tokens, &out);
  out.push_back('}');
  return out;
}

void answer_model(const ApiContext& context, std::string_view path, Reply* reply) {
  const std::string id = percent_decoded(path.substr(kModelPrefix.size()));
  if (id == context.model_name) return reply->json(200, model_object(context));
  reply->error(unknown_model(id, context.model_name));
}

// status: one word for people; orchestrators read the code.
void answer_health(bool good, std::string_view status, Reply* reply) {
  reply->json(good ? 200 : 503, fmt::format(R"({{"status":"{}"}})", status));
}

bool engine_alive(const ApiContext& context) { return !context.engine_alive || context.engine_alive(); }

// Ready means that work could be taken in this state of the server and its machine. A full queue passes by itself and is no reason to
// be restarted or taken out of rotation, so it does not count; refusals have their own status and metric.
void answer_ready(const ApiContext& context, Reply* reply) {
  if (context.door->draining()) return answer_health(false, "draining", reply);
  if (!context.door->ready()) return answer_health(false, "loading", reply);
  if (context.door->refusing_for_memory()) return answer_health(false, refusal_name(Refusal::kMemoryPressure), reply);
  const bool alive = engine_alive(context);
  answer_health(alive, alive ? "ready" : "stuck", reply);
}

void answer_plan(const ApiContext& context, std::string_view query, Reply* reply) {
  if (query_value(query, "format") == "text") return reply->whole(200, "text/plain; charset=utf-8", context.plan_text());
  reply->json(200, context.plan_json());
}

}  // namespace

bool is_control(Route route) {
  return route != Route::kChat && route != Route::kCompletion && route != Route::kTokenize &&
         route != Route::kDetokenize && route != Route::kAdmission && !is_admin(route);
}

void answer_control(const Service& service, Route route, const http::Request& request, Reply* reply) {
  const ApiContext& context = service.context;
  switch (route) {
    case Route::kIndex: return reply->whole(200, "text/plain; charset=utf-8", std::string(kIndexText));
    case Route::kModels:
      return reply->json(200, R"({"object":"list","data":[)" + model_object(context) + "]}");
    case Route::kModel: return answer_model(context, request.path, reply);
    case Route::kLive: {
      const bool alive = engine_alive(context);
      return answer_health(alive, alive ? "live" : "stuck", reply);
    }
    case Route::kReady:
    case Route::kHealth: return answer_ready(context, reply);
    case Route::kMetrics:
      return reply->whole(200, "text/plain; version=0.0.4; charset=utf-8",
                          service.metrics_page.text(service.now_us()));
    case Route::kPlan: return answer_plan(context, request.query, reply);
    case Route::kUnknownPath: return reply->wrong_path(request.method, request.path);
    case Route::kWrongMethod:
      return reply->wrong_method(request.method, request.path, match_route(request.method, request.path).allow);
    case Route::kChat:
    case Route::kCompletion:
    case Route::kTokenize:
    case Route::kDetokenize:
    case Route::kAdmission:
    case Route::kReadLimits:
    case Route::kPatchLimits:
    case Route::kAbort:
    case Route::kReload: break;
  }
  WEIR_CHECK(is_control(route));
}

}  // namespace weir::api
