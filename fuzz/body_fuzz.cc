// Fuzz target: the JSON body of a generation request. The first byte chooses the endpoint, the rest is the body. What
// is accepted must be within the ranges that the rooms behind it rely on; what is not is an error with a message.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "api/json_in.h"
#include "api/parse_chat.h"
#include "api/parse_completion.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void check(const weir::api::GenerateRequest& request, const weir::api::ParamLimits& limits) {
  const weir::SamplingParams& p = request.params;
  require(request.n >= 1 && request.n <= weir::api::kChoicesMax);
  require(p.temperature >= 0 && p.temperature <= 100);
  require(p.top_p >= 0 && p.top_p <= 1);
  require(p.top_k >= 0 && p.min_p >= 0 && p.min_p <= 1);
  require(p.repetition_penalty > 0 && p.repetition_penalty <= 10);
  require(p.top_logprobs >= -1 && p.top_logprobs <= weir::kTopLogprobsMax);
  require(!request.max_tokens || *request.max_tokens >= 0);
  for (const weir::LogitBias& bias : p.logit_bias) require(bias.token >= 0 && bias.token < limits.vocab_size);
  for (const int32_t id : p.stop_token_ids) require(id >= 0 && id < limits.vocab_size);
  for (const weir::api::Prompt& prompt : request.prompts) {
    for (const int32_t id : prompt.tokens) require(id >= 0 && id < limits.vocab_size);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto json = weir::api::JsonBody::parse(body);
  if (!json.ok()) {
    require(!json.status().message().empty());
    return 0;
  }
  const weir::api::ParamLimits limits{.vocab_size = 1000, .running_max = 8};
  weir::api::Fields fields(json->object());
  weir::api::GenerateRequest request;
  if (data[0] % 2 == 0) {
    parse_chat(limits, {"<s>", "</s>"}, &fields, &request);
  } else {
    parse_completion(limits, &fields, &request);
  }
  if (fields.ok()) {
    check(request, limits);
  } else {
    require(!fields.error()->status.message().empty());
  }
  return 0;
}
