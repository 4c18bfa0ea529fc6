#include "api/params.h"

#include <charconv>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "admission/front_door.h"
#include "api/unsupported.h"

namespace weir::api {
namespace {

constexpr int64_t kMaxTokensMax = std::numeric_limits<int32_t>::max();

void set_float(std::optional<double> number, float* out) {
  if (number) *out = static_cast<float>(*number);
}

// A positive double may round to a float of 0, which (0, 1] does not contain.
void set_positive(std::optional<double> number, float* out) {
  if (number) *out = std::max(static_cast<float>(*number), std::numeric_limits<float>::min());
}

void read_sampling(Fields* f, SamplingParams* p) {
  set_float(f->number("temperature", {0, 2}), &p->temperature);
  set_float(f->number("top_p", {0, 1}), &p->top_p);
  set_float(f->number("min_p", {0, 1}), &p->min_p);
  set_positive(f->number("repetition_penalty", {0, 10, true}), &p->repetition_penalty);
  set_float(f->number("presence_penalty", {-2, 2}), &p->presence_penalty);
  set_float(f->number("frequency_penalty", {-2, 2}), &p->frequency_penalty);
  if (const auto k = f->integer("top_k", -1, std::numeric_limits<int32_t>::max())) {
    p->top_k = *k < 0 ? 0 : static_cast<int32_t>(*k);
  }
  p->ignore_eos = f->flag("ignore_eos", p->ignore_eos);
}

// -1 asks for a random seed, as in LMDeploy and vLLM.
void read_seed(Fields* f, GenerateRequest* r) {
  constexpr auto kAny = std::numeric_limits<int64_t>::max();
  const auto seed = f->integer("seed", -kAny - 1, kAny);
  r->seeded = seed && *seed != -1;
  if (r->seeded) r->params.seed = static_cast<uint64_t>(*seed);
}

// max_completion_tokens is the newer name of the same thing and wins.
void read_lengths(Fields* f, GenerateRequest* r) {
  const bool may_be_none = r->endpoint == Endpoint::kCompletion && f->flag("echo", false);
  r->max_tokens = f->integer("max_tokens", may_be_none ? 0 : 1, kMaxTokensMax);
  if (const auto newer = f->integer("max_completion_tokens", 1, kMaxTokensMax)) {
    r->max_tokens = newer;
    r->max_tokens_field = "max_completion_tokens";
  }
  const auto least = f->integer("min_tokens", 0, kMaxTokensMax);
  if (!least) return;
  r->params.min_tokens = static_cast<int32_t>(*least);
  if (r->max_tokens && *least > *r->max_tokens) {
    f->fail("min_tokens", fmt::format("is {} and max_tokens is only {}", *least, *r->max_tokens));
  }
}

void add_stop(const boost::json::value& value, Fields* f, std::vector<std::string>* stop) {
  if (!value.is_string()) return f->fail("stop", "must be a string or an array of strings");
  const std::string_view text = value.get_string();
  if (text.empty() || text.size() > kStopBytesMax) {
    return f->fail("stop", fmt::format("strings must have 1 to {} bytes, got {}", kStopBytesMax, text.size()));
  }
  stop->emplace_back(text);
}

void read_stop(Fields* f, GenerateRequest* r) {
  const auto* stop = f->find("stop");
  if (stop == nullptr) return;
  if (!stop->is_array()) return add_stop(*stop, f, &r->stop);
  const auto& array = stop->get_array();
  if (array.size() > kStopStringsMax) {
    return f->fail("stop", fmt::format("may hold at most {} strings, got {}", kStopStringsMax, array.size()));
  }
  for (const auto& value : array) add_stop(value, f, &r->stop);
}

void read_stop_token_ids(const ParamLimits& limits, Fields* f, SamplingParams* p) {
  const auto* array = f->array("stop_token_ids");
  if (array == nullptr) return;
  if (array->size() > kStopTokenIdsMax) {
    return f->fail("stop_token_ids", fmt::format("may hold at most {} ids, got {}", kStopTokenIdsMax, array->size()));
  }
  for (const int32_t id : read_token_ids(*array, "stop_token_ids", limits.vocab_size, f)) {
    p->stop_token_ids.push_back(id);
  }
}

bool read_bias(std::string_view key, const boost::json::value& value, int32_t vocab_size, LogitBias* bias) {
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), bias->token);
  if (error != std::errc() || end != key.data() + key.size() || bias->token < 0 || bias->token >= vocab_size) return false;
  const auto number = as_number(value);
  if (!number || !(std::abs(*number) <= 100)) return false;
  bias->bias = static_cast<float>(*number);
  return true;
}

void read_logit_bias(const ParamLimits& limits, Fields* f, SamplingParams* p) {
  const auto* object = f->object("logit_bias");
  if (object == nullptr) return;
  if (object->size() > kLogitBiasMax) {
    return f->fail("logit_bias", fmt::format("may hold at most {} ids, got {}", kLogitBiasMax, object->size()));
  }
  p->logit_bias.clear();
  for (const auto& member : *object) {
    LogitBias bias;
    if (!read_bias(member.key(), member.value(), limits.vocab_size, &bias)) {
      return f->fail("logit_bias", fmt::format("must map token ids from 0 to {} to numbers from -100 to 100",
                                               limits.vocab_size - 1));
    }
    p->logit_bias.push_back(bias);
  }
}

void read_streaming(Fields* f, GenerateRequest* r) {
  r->stream = f->flag("stream", false);
  const auto* options = f->object("stream_options");
  if (options == nullptr) return;
  if (!r->stream) return f->fail("stream_options", "is only allowed when stream is true");
  Fields inner(*options, "stream_options.");
  r->include_usage = inner.flag("include_usage", false);
  if (inner.flag("continuous_usage_stats", false)) {
    inner.fail(unsupported_param("stream_options.continuous_usage_stats",
                                 "stream_options.continuous_usage_stats is not supported; use include_usage"));
  }
  if (!inner.ok()) f->fail(*inner.error());
}

}  // namespace

void read_common_params(const ParamLimits& limits, Fields* f, GenerateRequest* r) {
  reject_unsupported(r->endpoint, f);
  read_sampling(f, &r->params);
  read_seed(f, r);
  read_lengths(f, r);
  read_stop(f, r);
  read_stop_token_ids(limits, f, &r->params);
  read_logit_bias(limits, f, &r->params);
  read_streaming(f, r);
  r->n = static_cast<int>(f->integer("n", 1, kChoicesMax).value_or(1));
  const auto best_of = f->integer("best_of", 1, kChoicesMax);
  if (best_of && *best_of != r->n) {
    f->fail(unsupported_param("best_of", fmt::format("best_of must equal n ({}), got {}", r->n, *best_of)));
  }
  r->skip_special_tokens = f->flag("skip_special_tokens", true);
  r->add_special_tokens = f->flag("add_special_tokens", r->endpoint == Endpoint::kCompletion);
}

void check_sequences(const ParamLimits& limits, int prompts, Fields* f, const GenerateRequest& r) {
  const int64_t sequences = int64_t{r.n} * prompts;
  if (sequences <= limits.running_max) return;
  f->fail({.status = {Code::kInvalidArgument,
                      fmt::format("the request asks for {} sequences (n times prompts) and at most {} run at once "
                                  "(--max-concurrent-requests); send it in parts",
                                  sequences, limits.running_max),
                      refusal_name(Refusal::kTooManySequences)},
           .param = r.n > 1 ? "n" : "prompt"});
}

std::vector<int32_t> read_token_ids(const boost::json::array& array, std::string_view name, int32_t vocab_size,
                                    Fields* f) {
  std::vector<int32_t> ids;
  ids.reserve(array.size());
  for (const auto& value : array) {
    const auto id = as_integer(value);
    if (!id || *id < 0 || *id >= vocab_size) {
      f->fail(name, fmt::format("must hold token ids from 0 to {}, got {} at place {}", vocab_size - 1,
                                describe(value), ids.size()));
      return {};
    }
    ids.push_back(static_cast<int32_t>(*id));
  }
  return ids;
}

}  // namespace weir::api
