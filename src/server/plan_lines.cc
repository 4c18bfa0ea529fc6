#include "server/plan_lines.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/host_bytes.h"
#include "api/metrics_text.h"
#include "api/roster.h"
#include "api/text_work.h"
#include "engine/engine.h"
#include "engine/model_executor.h"
#include "memory/prefix/prefix_cache.h"
#include "message/gateway.h"
#include "message/tenants.h"
#include "model/transformer.h"

namespace weir {
namespace {

// An answer that is not streamed is kept as text until it is complete: about 5 bytes a token, with escapes and growth.
constexpr uint64_t kAnswerTokenBytes = 32;
// Program text, libraries, thread stacks, allocator arenas: a fixed allowance, checked by the storm tests.
constexpr uint64_t kRuntimeBytes = 48 * kMiB;
constexpr uint64_t kHeadroomFloorBytes = 16 * kMiB;

std::string packed_formula(const Blueprint& b, const ModelOptions& options) {
  return fmt::format("{} parameters as {}, rotary tables for {} positions", format_count(parameter_count(b.spec)),
                     weight_format_name(options.format), format_count(static_cast<uint64_t>(options.session_tokens)));
}

// The parts that the ledger bounds together; it lends the bytes of one to another.
std::string requests_formula(const Blueprint& b, const ModelOptions& options, const Settings& s) {
  if (s.host_request_bytes > 0) return "--host-request-bytes";
  const auto running = static_cast<uint64_t>(options.sequences_max);
  const auto session = static_cast<uint64_t>(options.session_tokens);
  const http::Options http = http_options(s);
  return fmt::format(
      "{} waiting x {}, ids of {} waiting and {} x {} running tokens, answers x {} bytes a token, bodies {}, "
      "unsent {} x {}",
      format_count(static_cast<uint64_t>(b.queued_max)), format_bytes(api::kWaitingRequestBytes),
      format_count(static_cast<uint64_t>(b.queued_tokens_max)), running, format_count(session), kAnswerTokenBytes,
      format_bytes(http.body_bytes_total_max), running, format_bytes(2 * http.out_bytes_max));
}

}  // namespace

uint64_t kv_block_bytes(const Blueprint& b, const ModelOptions& options) {
  return Transformer::needs(b.spec, options, b.backend->ops()).kv_block;
}

uint64_t request_bytes(const Blueprint& b, const ModelOptions& options, const Settings& s) {
  if (s.host_request_bytes > 0) return s.host_request_bytes;
  const auto running = static_cast<uint64_t>(options.sequences_max);
  const auto session = static_cast<uint64_t>(options.session_tokens);
  const auto queued_tokens = static_cast<uint64_t>(b.queued_tokens_max);
  return static_cast<uint64_t>(b.queued_max) * api::kWaitingRequestBytes +
         (queued_tokens + running * session) * sizeof(int32_t) + running * session * kAnswerTokenBytes +
         http::planned_request_bytes(http_options(s), running);
}

std::vector<PlanLine> plan_lines(const Blueprint& b, const ModelOptions& options, const Settings& s) {
  const ModelNeeds needs = Transformer::needs(b.spec, options, b.backend->ops());
  const auto session = static_cast<uint64_t>(options.session_tokens);
  const auto io = static_cast<uint64_t>(s.io_threads);
  const uint64_t text =
      session * b.token_bytes_max;  // a longer one is refused before it is tokenised (api/prompts.cc)

  const SchedulerOptions scheduler = b.scheduler_options(options);
  BlockPoolOptions pool;
  pool.blocks = static_cast<int32_t>(b.pool_blocks_max(options));
  pool.block_tokens = static_cast<int32_t>(options.block_tokens);
  pool.sequences_max = scheduler.places();
  pool.blocks_per_sequence_max = static_cast<int32_t>(std::min<int64_t>(options.blocks_per_sequence(), pool.blocks));
  const uint64_t tables = BlockPool::storage_bytes(pool);
  PrefixCacheOptions prefix;
  prefix.blocks_max = pool.blocks;
  prefix.block_tokens = pool.block_tokens;
  const http::Options http = http_options(s);

  std::vector<PlanLine> lines;
  const auto add = [&](std::string name, uint64_t bytes, std::string formula) {
    lines.push_back({std::move(name), bytes, std::move(formula)});
  };
  const auto add_resident = [&](std::string name, uint64_t bytes, std::string formula) {
    lines.push_back({std::move(name), bytes, std::move(formula), true});
  };
  add_resident("weights", needs.weights, packed_formula(b, options));
  add_resident("workspace", needs.workspace, fmt::format("activations of {} tokens in a step", options.step_tokens_max));
  add_resident("logits", needs.logits, fmt::format("{} rows x {} x 4 bytes", options.sample_rows_max(), format_count(static_cast<uint64_t>(b.spec.vocab))));
  add_resident("sampler", ModelExecutor::bytes(b.spec, options, b.backend->threads()),
               fmt::format("{} rows at once x scratch of a vocabulary",
                           ModelExecutor::sampler_count(options, b.backend->threads())));
  add_resident("block tables", tables, fmt::format("{} places x {} blocks, {} blocks at most", scheduler.places(),
                                                   options.blocks_per_sequence(), pool.blocks));
  if (s.enable_prefix_caching) {
    add_resident("prefix index", PrefixCache::storage_bytes(prefix),
                 fmt::format("{} blocks x {} tokens, links and hashes", pool.blocks, pool.block_tokens));
  }
  add_resident("sequences", Engine::bytes(scheduler, pool), fmt::format("{} histories x {} tokens x 4 bytes, step buffers, queue{}", scheduler.places(), format_count(session), scheduler.speculation.enabled() ? ", n-gram tables" : ""));
  add_resident("slots and rings", Gateway::bytes(scheduler.slots, scheduler.places(), s.io_threads, Gateway::kRingEvents) + api::Roster::bytes(scheduler.slots),
               fmt::format("{} slots, {} rings x {} events", scheduler.slots, scheduler.places(), Gateway::kRingEvents));
  add("requests", request_bytes(b, options, s), requests_formula(b, options, s));
  add("connections", http::planned_bytes(http),
      fmt::format("{} slots, {} spare, {} io threads", format_count(http.connections_max),
                  http.spare_connections_max, io));
  add("control", http::planned_control_bytes(http),
      fmt::format("half heads {}, unread answers of control routes {}", format_bytes(http.head_bytes_total_max),
                  format_bytes(http.control_bytes_total_max)));
  const uint64_t small_body = std::min<uint64_t>(api::kInlineBodyBytes, s.max_body_bytes);
  const uint64_t json = api::json_bytes_max(small_body);
  add("parsing", io * json,
      fmt::format("{} x {} of JSON: bodies up to {} on an io thread", io, format_bytes(json),
                  format_bytes(small_body)));
  const auto threads = static_cast<uint64_t>(text_threads(b));
  const uint64_t light = api::text_job_bytes(small_body, text);
  const uint64_t heavy = s.max_body_bytes > small_body ? api::text_job_bytes(s.max_body_bytes, text) : 0;
  add("texts", threads * light + heavy,
      fmt::format("JSON, template values and output, tokenising in turn: {} x {}, and {} shared by bodies above {}",
                  threads, format_bytes(light), format_bytes(heavy), format_bytes(small_body)));
  const uint64_t named = s.tenants_file.empty() ? 1 : kTenantsMax;
  add("metrics", 2 * api::metrics_bytes_max(named), fmt::format("2 texts for {} tenants", format_count(named)));
  add_resident("tokeniser", b.tokenizer->memory_bytes(), fmt::format("{} tokens", format_count(static_cast<uint64_t>(b.tokenizer->vocab_size()))));
  add("loading", needs.loading, "pieces of the checkpoint while they are packed");
  add("runtime", kRuntimeBytes, "program, libraries, stacks, allocator");
  uint64_t sum = 0;
  for (const PlanLine& line : lines) sum += line.bytes;
  add("headroom", std::max(kHeadroomFloorBytes, sum / 50), "2 % of the lines above, at least 16 MiB");
  return lines;
}

}  // namespace weir
