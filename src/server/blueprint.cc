#include "server/blueprint.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <random>

#include "api/host_bytes.h"
#include "base/log.h"
#include "base/units.h"
#include "checkpoint/safetensors.h"
#include "device/host/cpu_topology.h"
#include "memory/monitor/host_facts.h"
#include "memory/monitor/pressure.h"
#include "server/app.h"
#include "server/key_file.h"
#include "server/plan_lines.h"
#include "tensor/parse_dtype.h"
#include "text/chat_template.h"

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
    for (const StoredTensor& tensor : (*checkpoint)->tensors()) {
      const auto dtype = weight_dtype(tensor);
      if (dtype.ok() && *dtype <= DType::kBF16) bytes[static_cast<size_t>(*dtype)] += tensor.bytes;
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
  if (settings.model_format != "auto" && settings.model_format != "hf") {
    const Result<WeightFormat> format = parse_weight_format(settings.model_format);
    if (!format.ok() || !weight_is_quantised(format.value())) {
      return invalid_argument("--model-format '" + settings.model_format + "' is not one of " + "auto, int8, int4, int4-g64, int4z, int4z-g64");
    }
    options->format = format.value();
  }
  // Keys and values keep the float type, except that a quantised model does not pay for f32.
  const bool wide = dtype == DType::kF32 && !weight_is_quantised(options->format);
  options->kv_format = wide ? KvFormat::kF32 : dtype == DType::kF16 ? KvFormat::kF16 : KvFormat::kBF16;
  if (settings.quant_policy == 8) options->kv_format = KvFormat::kInt8;
  if (settings.quant_policy == 4) options->kv_format = KvFormat::kInt4;
  return ok_status();
}

// Rows of logits for drafts, of a start with so many places.
int drafts_max(const Settings& settings, int running_max) {
  return settings.speculative == "ngram" ? settings.speculative_tokens * std::min(running_max, kDraftingSequences) : 0;
}

// The line "requests" follows the queue by itself; a number of the operator's own may be too small for it.
void warn_of_a_short_ledger(const Settings& s) {
  const uint64_t can_wait = s.host_request_bytes / api::kWaitingRequestBytes;
  if (s.host_request_bytes == 0 || can_wait >= static_cast<uint64_t>(std::max(s.max_queued_requests, 0))) return;
  log_warning(
      "plan",
      fmt::format("--host-request-bytes {} holds about {} requests that wait, fewer than --max-queued-requests {}; "
                  "the rest gets 429 host_bytes_full",
                  format_bytes(s.host_request_bytes), format_count(can_wait), s.max_queued_requests));
}

Status choose_sizes(Blueprint* b) {
  const Settings& s = b->settings;
  if (s.session_len > b->spec.context_max) {
    return invalid_argument(fmt::format("--session-len {} is longer than the model's context of {} tokens; lower it",
                                        s.session_len, b->spec.context_max));
  }
  constexpr int kQueuedFloor = 1024;  // slots are small; the queue can be lengthened so far while serving
  b->running_max = std::max({1, s.max_batch_size, s.max_concurrent_requests});
  b->queued_max = std::max(kQueuedFloor, s.max_queued_requests);
  b->model.session_tokens = s.session_len > 0 ? s.session_len : b->spec.context_max;
  b->model.block_tokens = s.cache_block_seq_len;
  b->model.sequences_max = b->running_max;
  b->model.step_tokens_max = std::max(s.max_prefill_token_num, b->running_max);
  b->model.drafts_max = drafts_max(s, b->running_max);
  b->queued_tokens_max =
      s.max_queued_tokens > 0 ? s.max_queued_tokens : std::max<int64_t>(65536, 4 * b->model.session_tokens);
  warn_of_a_short_ledger(s);
  return ok_status();
}

struct Allowance {
  MemoryLimit limit;
  uint64_t reserve_bytes = 0;
};

// What the machine can give now: its limit, no more than is available beside what this process already has, and less
// the room that the governor keeps free, so that a plan used to its last byte is no pressure. --memory-limit lowers it.
Result<Allowance> allowance(const Settings& settings) {
  const HostFacts facts = read_host_facts(settings.system_root);
  const auto flag = settings.memory_limit > 0 ? std::optional<uint64_t>(settings.memory_limit) : std::nullopt;
  WEIR_ASSIGN_OR_RETURN(const MemoryLimit given, effective_limit(facts, flag));
  MemoryLimit machine = effective_limit(facts, {}).ok() ? *effective_limit(facts, {}) : given;
  Allowance out{.limit = given, .reserve_bytes = settings.memory_reserve};
  if (out.reserve_bytes == 0) out.reserve_bytes = default_reserve_bytes(machine.bytes);
  if (facts.mem_available_bytes && facts.rss_bytes && *facts.mem_available_bytes + *facts.rss_bytes < machine.bytes) {
    machine = {*facts.mem_available_bytes + *facts.rss_bytes, "memory available now"};
  }
  if (settings.memory_governor != "off") {
    if (out.reserve_bytes >= machine.bytes) {
      return failed_precondition(fmt::format("--memory-reserve {} leaves nothing of {} ({}); lower it",
                                             format_bytes(out.reserve_bytes), format_bytes(machine.bytes), machine.source));
    }
    machine.bytes -= out.reserve_bytes;
    machine.source += fmt::format(" less a reserve of {}", format_bytes(out.reserve_bytes));
  }
  if (machine.bytes < given.bytes) out.limit = machine;
  return out;
}

int64_t useful_blocks(const Blueprint& b, const ModelOptions& options) {
  return options.sequences_max * options.blocks_per_sequence() * (b.settings.enable_prefix_caching ? 2 : 1);
}

// Settings beside the model that cost memory: for a small model they are most of the plan.
constexpr int64_t kConnectionsFloor = 64;
constexpr int64_t kBodyFloorBytes = 64 * kKiB;

void add_knobs(const Blueprint& b, PlanInput* input) {
  input->knobs = {{.flag = "--max-connections", .value = b.settings.max_connections, .floor = kConnectionsFloor},
                  {.flag = "--max-body-bytes", .value = static_cast<int64_t>(b.settings.max_body_bytes),
                   .floor = kBodyFloorBytes, .in_bytes = true}};
  input->knob_lines_at = [&b](int64_t session_tokens, int max_batch, std::span<const int64_t> knobs) {
    ModelOptions options = b.model;
    options.session_tokens = session_tokens;
    options.sequences_max = max_batch;
    options.drafts_max = drafts_max(b.settings, max_batch);
    Settings settings = b.settings;
    settings.max_connections = static_cast<int>(knobs[0]);
    settings.max_body_bytes = static_cast<uint64_t>(knobs[1]);
    return plan_lines(b, options, settings);
  };
}

// Refers to b, which outlives it.
PlanInput plan_input(const Blueprint& b, const CacheShare& cache, const MemoryLimit& limit) {
  PlanInput input;
  input.fixed_lines = plan_lines(b, b.model, b.settings);
  input.kv_block_bytes = kv_block_bytes(b, b.model);
  input.block_tokens = static_cast<int>(b.model.block_tokens);
  input.kv_format = kv_format_name(b.model.kv_format);
  input.cache = cache;
  input.limit_bytes = limit.bytes;
  input.limit_source = limit.source;
  input.notes = b.placement.warnings;
  input.session_tokens = b.model.session_tokens;
  input.max_batch = b.running_max;
  // More blocks than all places at full length, and as many again of prefixes, are of no use: a ratio stops there.
  input.kv_blocks_max = static_cast<uint64_t>(useful_blocks(b, b.model));
  input.fixed_lines_at = [&b](int64_t session_tokens, int max_batch) {
    ModelOptions other = b.model;
    other.session_tokens = session_tokens;
    other.sequences_max = max_batch;
    other.drafts_max = drafts_max(b.settings, max_batch);
    return plan_lines(b, other, b.settings);
  };
  for (const WeightFormat smaller : {WeightFormat::kInt8G32, WeightFormat::kInt4G32}) {
    if (b.model.format >= smaller) continue;  // formats stand in order of size
    ModelOptions quantised = b.model;
    quantised.format = smaller;
    if (!kv_is_quantised(quantised.kv_format)) quantised.kv_format = KvFormat::kBF16;
    input.variants.push_back({"--model-format " + std::string(weight_format_name(smaller)),
                              plan_lines(b, quantised, b.settings), kv_block_bytes(b, quantised)});
  }
  if (!kv_is_quantised(b.model.kv_format)) {
    ModelOptions int8 = b.model;
    int8.kv_format = KvFormat::kInt8;
    input.variants.push_back({"--quant-policy 8", plan_lines(b, int8, b.settings), kv_block_bytes(b, int8)});
  }
  add_knobs(b, &input);
  return input;
}

constexpr int64_t kSessionFloor = 512;  // a session that nobody asked for is not halved below it

// A session length that nobody asked for gives way to the memory: halved until the plan fits.
Status choose_plan(Blueprint* b, const CacheShare& cache, const MemoryLimit& limit) {
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

// Everything of a blueprint but its plan.
Result<Blueprint> draw_sizes(const Settings& settings) {
  WEIR_RETURN_IF_ERROR(check_directory(settings.model));
  Blueprint b;
  b.settings = settings;
  WEIR_ASSIGN_OR_RETURN(b.spec, load_spec(settings.model));
  WEIR_ASSIGN_OR_RETURN(b.tokenizer, Tokenizer::load_dir(settings.model));
  WEIR_ASSIGN_OR_RETURN(const ChatTemplateFiles texts, read_chat_template(settings.model));
  b.eos_text = texts.eos_token;
  b.token_bytes_max = longest_token(*b.tokenizer);
  if (b.tokenizer->vocab_size() > b.spec.vocab) {
    log_warning("plan", fmt::format("the tokeniser has {} ids and the model {}; ids beyond the model's are refused",
                                    b.tokenizer->vocab_size(), b.spec.vocab));
  }
  WEIR_ASSIGN_OR_RETURN(b.placement, place_threads({.cpu_set = settings.cpu_set, .threads = settings.threads,
                                                    .pin = settings.pin_threads, .allowed = process_cpus(),
                                                    .quota = read_host_facts(settings.system_root).cgroup_cpus,
                                                    .root = settings.system_root}));
  WEIR_ASSIGN_OR_RETURN(
      b.backend, make_backend(settings.device, {.threads = b.placement.threads, .isa = "", .pin = b.placement.pin,
                                                .spin = b.placement.spin, .cpus = b.placement.cpus, .memory_nodes = b.placement.nodes,
                                                .lock_memory = settings.mlock}));
  WEIR_RETURN_IF_ERROR(choose_formats(settings, stored_dtype(settings.model, b.spec), &b.model));
  WEIR_RETURN_IF_ERROR(choose_sizes(&b));
  return b;
}

Status check_against_model(const Blueprint& b, const FitQuestion& question) {
  const Settings& s = b.settings;
  if (question.prompt_tokens > b.spec.context_max - question.output_tokens) {
    return invalid_argument(fmt::format("--prompt {} and --output {} are more than the model's context of {} tokens; "
                                        "lower --prompt or --output",
                                        question.prompt_tokens, question.output_tokens, b.spec.context_max));
  }
  if (question.sequences > s.max_concurrent_requests && question.sequences <= s.max_batch_size) {
    return invalid_argument(fmt::format("--for {} is above --max-concurrent-requests {}: raise "
                                        "--max-concurrent-requests",
                                        question.sequences, s.max_concurrent_requests));
  }
  return ok_status();
}

}  // namespace

Result<PlanAnswer> answer_question(const Settings& settings, const FitQuestion& question) {
  WEIR_ASSIGN_OR_RETURN(Blueprint b, draw_sizes(settings));
  WEIR_ASSIGN_OR_RETURN(const CacheShare cache, parse_cache_share(settings.cache_max_entry_count));
  WEIR_ASSIGN_OR_RETURN(const Allowance allowed, allowance(settings));
  b.limit = allowed.limit;
  const MemoryLimit& limit = b.limit;
  WEIR_RETURN_IF_ERROR(check_against_model(b, question));
  const int64_t asked = b.model.session_tokens;
  PlanAnswer out;
  WEIR_ASSIGN_OR_RETURN(out.answer, fit_question(plan_input(b, cache, limit), question));
  const int64_t shortest = std::max(kSessionFloor, question.prompt_tokens + question.output_tokens);
  while (!out.answer.fits && settings.session_len == 0 && b.model.session_tokens / 2 >= shortest) {
    b.model.session_tokens /= 2;
    WEIR_ASSIGN_OR_RETURN(out.answer, fit_question(plan_input(b, cache, limit), question));
    const std::string session = fmt::format("--session-len {} ", b.model.session_tokens);
    if (out.answer.fits) out.answer.flags = session + out.answer.flags;
    for (Alternative& way : out.answer.alternatives) {
      if (way.flags.find("--session-len") == std::string::npos) way.flags = session + way.flags;
    }
  }
  b.model.session_tokens = asked;
  if (choose_plan(&b, cache, limit).ok()) out.plan = std::move(b.plan);
  return out;
}

Result<Blueprint> draw_blueprint(const Settings& settings) {
  WEIR_ASSIGN_OR_RETURN(Blueprint b, draw_sizes(settings));
  WEIR_ASSIGN_OR_RETURN(const CacheShare cache, parse_cache_share(settings.cache_max_entry_count));
  WEIR_ASSIGN_OR_RETURN(const Allowance allowed, allowance(settings));
  b.reserve_bytes = allowed.reserve_bytes;
  b.limit = allowed.limit;
  WEIR_RETURN_IF_ERROR(choose_plan(&b, cache, b.limit));
  return b;
}

std::vector<PriorityClass> Blueprint::classes() const { return classes_of(settings); }

// Work can be parked only where some class may ask for it and some must give way: as much of it as there are places.
SchedulerOptions Blueprint::scheduler_options(const ModelOptions& sizes) const {
  SchedulerOptions options{.slots = static_cast<int>(sizes.sequences_max) + queued_max,
                           .running_max = static_cast<int>(sizes.sequences_max),
                           .step_tokens_max = static_cast<int>(sizes.step_tokens_max),
                           .session_tokens = sizes.session_tokens, .eos_ids = {}};
  options.overcommit_quantile = settings.overcommit_quantile;
  options.ageing_us = settings.ageing_ms * 1000;
  options.codel_target_us = settings.queue_delay_target_ms * 1000;
  options.tpot_slo_us = settings.tpot_slo_ms * 1000;
  options.prefill_stretch = settings.prefill_stretch;
  if (sizes.drafts_max > 0) {
    options.speculation = {.tokens_max = settings.speculative_tokens, .step_tokens_max = static_cast<int>(sizes.drafts_max)};
  }
  options.classes.clear();
  bool urgent = false, background = false;
  for (const PriorityClass& one : classes()) {
    options.classes.push_back(one.kind);
    urgent |= one.kind == ClassKind::kUrgent;
    background |= one.kind == ClassKind::kBackground;
  }
  if (urgent && background) options.parked_max = options.running_max;
  options.eos_ids = end_tokens({}).everything;
  return options;
}

BlockPoolOptions Blueprint::pool_options() const {
  const auto blocks = static_cast<int64_t>(plan.kv_blocks);
  const int64_t most = pool_blocks_max(model);
  return {.blocks = static_cast<int32_t>(blocks), .blocks_max = static_cast<int32_t>(most),
          .block_tokens = static_cast<int32_t>(model.block_tokens), .sequences_max = scheduler_options().places(),
          .blocks_per_sequence_max = static_cast<int32_t>(std::min(model.blocks_per_sequence(), most))};
}

// What is useful, or what was asked for in blocks or bytes where that is more; never more than the limit holds.
int64_t Blueprint::pool_blocks_max(const ModelOptions& options) const {
  const uint64_t block = kv_block_bytes(*this, options);
  int64_t most = useful_blocks(*this, options);
  const auto cache = parse_cache_share(settings.cache_max_entry_count);
  if (cache.ok() && cache->kind == CacheShare::Kind::kBlocks) most = std::max(most, static_cast<int64_t>(std::min<uint64_t>(cache->amount, INT32_MAX)));
  if (cache.ok() && cache->kind == CacheShare::Kind::kBytes) most = std::max(most, static_cast<int64_t>(std::min<uint64_t>(cache->amount / block, INT32_MAX)));
  const auto fits = static_cast<int64_t>(std::min<uint64_t>(limit.bytes / block, INT32_MAX));
  return std::clamp<int64_t>(most, 1, std::max<int64_t>(1, fits));
}

PrefixCacheOptions Blueprint::prefix_options() const {
  return {.blocks_max = static_cast<int32_t>(pool_blocks_max(model)), .block_tokens = static_cast<int32_t>(model.block_tokens),
          .seed = std::random_device()() * 0x9e3779b97f4a7c15ull};
}

Result<MemoryPlan> Blueprint::with_cache(std::string_view text) const {
  WEIR_ASSIGN_OR_RETURN(const CacheShare cache, parse_cache_share(text));
  PlanInput input = plan_input(*this, cache, limit);
  input.kv_blocks_max = static_cast<uint64_t>(pool_blocks_max(model));
  WEIR_ASSIGN_OR_RETURN(MemoryPlan changed, plan_as_given(input));
  if (changed.kv_blocks > input.kv_blocks_max) {
    return failed_precondition(fmt::format("{} blocks are more than the {} that this server was started for; start it with "
                                           "--cache-max-entry-count {}", changed.kv_blocks, input.kv_blocks_max, text));
  }
  return changed;
}

http::Options http_options(const Settings& settings) {
  http::Options options;
  options.address = settings.server_name;
  options.port = static_cast<uint16_t>(settings.server_port);
  options.io_threads = settings.io_threads;
  options.connections_max = static_cast<size_t>(settings.max_connections);
  options.peer_connections_max = static_cast<size_t>(settings.max_connections_per_peer);
  options.refusals_per_second = settings.refusals_per_second == 1 ? 2 : settings.refusals_per_second;
  options.body_bytes_max = settings.max_body_bytes;
  if (settings.queue_keepalive_ms > 0) options.tick_ms_max = std::clamp<int64_t>(settings.queue_keepalive_ms / 4, 5, options.tick_ms_max);
  options.body_bytes_total_max =
      4 * settings.max_body_bytes;        // one client has three quarters: its largest body, growing
  if (settings.host_request_bytes > 0) {  // uploads leave half to what runs, where one body allows it
    options.body_bytes_total_max = std::clamp<uint64_t>(settings.host_request_bytes / 2,
                                                        3 * settings.max_body_bytes, options.body_bytes_total_max);
  }
  return options;
}

int text_threads(const Blueprint& blueprint) {
  if (blueprint.settings.text_threads > 0) return blueprint.settings.text_threads;
  return std::clamp(blueprint.placement.threads / 4, 2, 4);
}

// One request may have half of the ledger, so that it never stands in the way of all others; more only where the
// largest body, which is there twice while it grows, would not fit.
LedgerOptions Blueprint::ledger_options() const {
  const uint64_t total = request_bytes(*this, model, settings);
  const uint64_t body = 2 * settings.max_body_bytes + kMiB;
  const uint64_t each = settings.host_bytes_per_request > 0 ? settings.host_bytes_per_request : std::max(total / 2, body);
  return {.total_bytes_max = total, .request_bytes_max = std::min(each, total), .groups = kTenantsMax};
}

}  // namespace weir
