#include "server/blueprint.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/log.h"
#include "base/units.h"
#include "checkpoint/safetensors.h"
#include "memory/monitor/host_facts.h"
#include "server/plan_lines.h"
#include "tensor/parse_dtype.h"

namespace weir {
namespace {

Status check_directory(const std::string& path) {
  struct stat info {};
  if (path.empty()) return invalid_argument("no model given; name a Hugging Face directory, for example models/weir-demo");
  if (stat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
    return not_found("no model directory at '" + path + "'; give the path of a local Hugging Face directory");
  }
  return ok_status();
}

// The dtype that most of the checkpoint's bytes have, else what config.json says.
DType stored_dtype(const std::string& dir, const ModelSpec& spec) {
  uint64_t bytes[3] = {};
  const auto checkpoint = Checkpoint::open(dir);
  if (checkpoint.ok()) {
    for (const TensorView& tensor : (*checkpoint)->tensors()) {
      const auto dtype = weight_dtype(tensor);
      if (dtype.ok() && *dtype <= DType::kBF16) bytes[static_cast<size_t>(*dtype)] += tensor.bytes.size();
    }
  }
  const auto most = std::max_element(bytes, bytes + 3);
  if (*most == 0) return spec.file_dtype.value_or(DType::kBF16);
  return static_cast<DType>(most - bytes);
}

size_t longest_token(const Tokenizer& tokenizer) {
  size_t longest = 1;
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    longest = std::max({longest, tokenizer.token_bytes(id).size(), tokenizer.id_to_token(id).size()});
  }
  return longest;
}

WeightFormat format_of(DType dtype) {
  return dtype == DType::kF32 ? WeightFormat::kF32 : dtype == DType::kF16 ? WeightFormat::kF16 : WeightFormat::kBF16;
}

Status choose_formats(const Settings& settings, DType stored, ModelOptions* options) {
  DType dtype = stored;
  if (settings.dtype != "auto") {
    WEIR_ASSIGN_OR_RETURN(dtype, parse_dtype(settings.dtype));
  }
  options->format = format_of(dtype);
  if (settings.model_format == "int8") {
    options->format = WeightFormat::kInt8G32;
  } else if (settings.model_format != "auto" && settings.model_format != "hf") {
    return invalid_argument("--model-format '" + settings.model_format + "' is not one of auto, int8");
  }
  // Keys and values keep the float type, except that a quantised model does not pay for f32.
  const bool wide = dtype == DType::kF32 && options->format != WeightFormat::kInt8G32;
  options->kv_dtype = wide ? DType::kF32 : dtype == DType::kF16 ? DType::kF16 : DType::kBF16;
  return ok_status();
}

Status choose_sizes(Blueprint* b) {
  const Settings& s = b->settings;
  if (s.session_len > b->spec.context_max) {
    return invalid_argument(fmt::format("--session-len {} is longer than the model's context of {} tokens; lower it",
                                        s.session_len, b->spec.context_max));
  }
  b->running_max = std::max(1, std::min(s.max_concurrent_requests, s.max_batch_size));
  b->slots = b->running_max + s.max_queued_requests;
  b->model.session_tokens = s.session_len > 0 ? s.session_len : b->spec.context_max;
  b->model.block_tokens = s.cache_block_seq_len;
  b->model.sequences_max = b->running_max;
  b->model.step_tokens_max = std::max(s.max_prefill_token_num, b->running_max);
  b->queued_tokens_max =
      s.max_queued_tokens > 0 ? s.max_queued_tokens : std::max<int64_t>(65536, 4 * b->model.session_tokens);
  return ok_status();
}

// What the machine can give now: its limit, and no more than is available beside what this process already has.
Result<MemoryLimit> memory_limit(const Settings& settings) {
  const HostFacts facts = read_host_facts();
  const auto flag = settings.memory_limit > 0 ? std::optional<uint64_t>(settings.memory_limit) : std::nullopt;
  WEIR_ASSIGN_OR_RETURN(MemoryLimit limit, effective_limit(facts, flag));
  if (facts.mem_available_bytes && facts.rss_bytes && *facts.mem_available_bytes + *facts.rss_bytes < limit.bytes) {
    limit = {*facts.mem_available_bytes + *facts.rss_bytes, "memory available now"};
  }
  return limit;
}

PlanInput plan_input(const Blueprint& b, const CacheShare& cache, const MemoryLimit& limit) {
  PlanInput input;
  input.fixed_lines = plan_lines(b, b.model);
  input.kv_block_bytes = kv_block_bytes(b, b.model);
  input.block_tokens = static_cast<int>(b.model.block_tokens);
  input.cache = cache;
  input.limit_bytes = limit.bytes;
  input.limit_source = limit.source;
  input.session_tokens = b.model.session_tokens;
  input.max_batch = b.running_max;
  // More blocks than all places at full length could never be used: a ratio stops there.
  input.kv_blocks_max = static_cast<uint64_t>(b.running_max) * static_cast<uint64_t>(b.model.blocks_per_sequence());
  input.fixed_lines_at = [&b](int64_t session_tokens, int max_batch) {
    ModelOptions other = b.model;
    other.session_tokens = session_tokens;
    other.sequences_max = max_batch;
    return plan_lines(b, other);
  };
  if (b.model.format != WeightFormat::kInt8G32) {
    ModelOptions int8 = b.model;
    int8.format = WeightFormat::kInt8G32;
    int8.kv_dtype = DType::kBF16;
    input.variants.push_back({"--model-format int8", plan_lines(b, int8), kv_block_bytes(b, int8)});
  }
  return input;
}

// A session length that nobody asked for gives way to the memory: halved until the plan fits.
Status choose_plan(Blueprint* b, const CacheShare& cache, const MemoryLimit& limit) {
  constexpr int64_t kSessionFloor = 512;
  const int64_t asked = b->model.session_tokens;
  for (;;) {
    auto plan = plan_as_given(plan_input(*b, cache, limit));
    if (plan.ok()) {
      if (b->model.session_tokens != asked) {
        log_warning("plan", fmt::format("the model's context of {} tokens does not fit; serving with --session-len {}",
                                        asked, b->model.session_tokens));
      }
      b->plan = std::move(plan).value();
      return ok_status();
    }
    if (b->settings.session_len > 0 || b->model.session_tokens / 2 < kSessionFloor) break;
    b->model.session_tokens /= 2;
  }
  b->model.session_tokens = asked;
  return make_plan(plan_input(*b, cache, limit)).status();
}

}  // namespace

Result<Blueprint> draw_blueprint(const Settings& settings) {
  WEIR_RETURN_IF_ERROR(check_directory(settings.model));
  Blueprint b;
  b.settings = settings;
  WEIR_ASSIGN_OR_RETURN(b.spec, load_spec(settings.model));
  WEIR_ASSIGN_OR_RETURN(b.tokenizer, Tokenizer::load_dir(settings.model));
  b.token_bytes_max = longest_token(*b.tokenizer);
  if (b.tokenizer->vocab_size() > b.spec.vocab) {
    log_warning("plan", fmt::format("the tokeniser has {} ids and the model {}; ids beyond the model's are refused",
                                    b.tokenizer->vocab_size(), b.spec.vocab));
  }
  WEIR_ASSIGN_OR_RETURN(
      b.backend, make_backend(settings.device, {.threads = settings.threads, .isa = "", .pin = settings.pin_threads}));
  WEIR_RETURN_IF_ERROR(choose_formats(settings, stored_dtype(settings.model, b.spec), &b.model));
  WEIR_RETURN_IF_ERROR(choose_sizes(&b));
  WEIR_ASSIGN_OR_RETURN(const CacheShare cache, parse_cache_share(settings.cache_max_entry_count));
  WEIR_ASSIGN_OR_RETURN(const MemoryLimit limit, memory_limit(settings));
  WEIR_RETURN_IF_ERROR(choose_plan(&b, cache, limit));
  return b;
}

SchedulerOptions Blueprint::scheduler_options() const {
  SchedulerOptions options{.slots = slots, .running_max = running_max,
                           .step_tokens_max = static_cast<int>(model.step_tokens_max),
                           .session_tokens = model.session_tokens, .eos_ids = {}};
  for (const int64_t id : spec.eos) options.eos_ids.push_back(static_cast<int32_t>(id));
  return options;
}

BlockPoolOptions Blueprint::pool_options() const {
  const auto blocks = static_cast<int64_t>(plan.kv_blocks);
  return {.blocks = static_cast<int32_t>(blocks), .block_tokens = static_cast<int32_t>(model.block_tokens),
          .sequences_max = running_max,
          .blocks_per_sequence_max = static_cast<int32_t>(std::min(model.blocks_per_sequence(), blocks))};
}

http::Options Blueprint::http_options() const {
  http::Options options;
  options.address = settings.server_name;
  options.port = static_cast<uint16_t>(settings.server_port);
  options.io_threads = settings.io_threads;
  options.connections_max = static_cast<size_t>(settings.max_connections);
  options.body_bytes_max = settings.max_body_bytes;
  options.body_bytes_total_max = 4 * settings.max_body_bytes;  // two largest at once, growing
  if (settings.host_request_bytes > 0) {  // uploads need no key: they leave half to what runs, where one body allows it
    options.body_bytes_total_max =
        std::clamp<uint64_t>(settings.host_request_bytes / 2, 2 * settings.max_body_bytes, options.body_bytes_total_max);
  }
  return options;
}

// One request may have half of the ledger, so that it never stands in the way of all others; more only where the
// largest body, which is there twice while it grows, would not fit.
LedgerOptions Blueprint::ledger_options() const {
  const uint64_t total = request_bytes(*this, model);
  const uint64_t body = 2 * settings.max_body_bytes + kMiB;
  const uint64_t each = settings.host_bytes_per_request > 0 ? settings.host_bytes_per_request : std::max(total / 2, body);
  return {.total_bytes_max = total, .request_bytes_max = std::min(each, total)};
}

}  // namespace weir
