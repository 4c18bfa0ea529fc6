#include "api/read_request.h"

#include "api/host_bytes.h"
#include "api/json_in.h"
#include "api/parse_chat.h"
#include "api/parse_completion.h"
#include "api/priority.h"
#include "api/service.h"

namespace weir::api {
namespace {

// Absent is the served model, so that a client of a one-model server need not know its name.
void check_model(const ApiContext& context, Fields* fields) {
  const auto model = fields->text("model");
  if (!model || *model == context.model_name) return;
  fields->fail(unknown_model(*model, context.model_name));
}

// By the model's own marker, as by a stop token of the client's, so that min_tokens holds for it too.
void end_with_the_turn(const std::vector<int32_t>& ids, SamplingParams* params) {
  if (!params->ignore_eos) params->stop_token_ids.insert(params->stop_token_ids.end(), ids.begin(), ids.end());
}

void read_fields(const Service& service, const RequestBody& body, Fields* fields, GenerateRequest* request) {
  request->params = service.context.default_params;
  request->tenant = body.caller.tenant;
  check_model(service.context, fields);
  if (body.endpoint == Endpoint::kChat) {
    parse_chat(service.limits(), {service.context.bos_token, service.context.eos_token}, fields, request);
    end_with_the_turn(service.context.chat_end_ids, &request->params);
  } else {
    parse_completion(service.limits(), fields, request);
  }
  request->class_index = read_priority(service.context.classes, body.caller, fields);
}

std::optional<ApiError> refused(Grant why, const Charge& held) {
  if (why == Grant::kYes) return {};
  return host_refusal(why, HostMoment::kBeforeWork, *held.account());
}

}  // namespace

std::optional<ApiError> read_request(const Service& service, uint64_t fixed_bytes, RequestBody* body, Charge* held,
                                     GenerateRequest* request) {
  // The body's own charge stays for what is made from it, and as much again: two digits of a list become an id of
  // four bytes.
  const size_t body_bytes = body->bytes.size();
  if (auto error = refused(held->try_settle(fixed_bytes + sizeof(RequestBody) + body_bytes), *held)) return error;
  {
    auto json = JsonBody::parse(body->bytes);
    if (!json.ok()) return ApiError{.status = json.status()};
    std::string().swap(body->bytes);
    Fields fields(json->object());
    read_fields(service, *body, &fields, request);
    if (!fields.ok()) return *fields.error();
  }
  body->charge.release();
  return refused(held->try_settle(fixed_bytes + held_bytes(*request)), *held);
}

}  // namespace weir::api
