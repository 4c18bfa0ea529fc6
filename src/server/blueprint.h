// Blueprint: settings and a model directory turned into every size that the server will be built with, and the
// memory plan over them. `weir plan` and `weir serve` both start here, so what is printed is what is built.
//
// Reads config.json, the tokeniser and the headers of the weights; never the weights. Main thread, at start.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/status.h"
#include "checkpoint/model_spec.h"
#include "config/settings.h"
#include "http/server.h"
#include "kernels/backend.h"
#include "memory/blocks/block_pool.h"
#include "memory/ledger/ledger.h"
#include "memory/monitor/host_facts.h"
#include "memory/plan/plan.h"
#include "memory/prefix/prefix_cache.h"
#include "model/options.h"
#include "schedule/scheduler.h"
#include "server/cpu_placement.h"
#include "server/end_tokens.h"
#include "text/tokenizer.h"

namespace weir {

struct Blueprint {
  Settings settings;
  ModelSpec spec;
  std::unique_ptr<Tokenizer> tokenizer;
  std::string eos_text;           // the tokeniser's own end token; "" where it names none
  CpuPlacement placement;         // where the backend's threads are
  std::unique_ptr<Backend> backend;
  ModelOptions model;             // session_tokens and all other sizes of the forward
  int running_max = 0;            // places that are built; --max-concurrent-requests of them are in use
  int queued_max = 0;             // waiting sequences that there are slots for; --max-queued-requests of them are used
  int64_t queued_tokens_max = 0;
  size_t token_bytes_max = 0;     // text bytes of the longest token
  MemoryPlan plan;
  uint64_t reserve_bytes = 0;     // room that is to stay free beside the plan; the governor's measure

  // With other sizes of the forward, as the planner tries them; slots too follow from these.
  SchedulerOptions scheduler_options(const ModelOptions& options) const;
  SchedulerOptions scheduler_options() const { return scheduler_options(model); }
  std::vector<PriorityClass> classes() const;
  // turn_end: the token by which the chat template in use ends a turn.
  EndTokens end_tokens(std::optional<int32_t> turn_end) const {
    return end_tokens_of(spec, *tokenizer, eos_text, turn_end);
  }
  BlockPoolOptions pool_options() const;
  PrefixCacheOptions prefix_options() const;
  // Blocks that the pool can be grown to while serving: tables and address space are there for them.
  int64_t pool_blocks_max(const ModelOptions& options) const;
  // The plan with another --cache-max-entry-count and everything else as it is, for a server that runs already.
  Result<MemoryPlan> with_cache(std::string_view cache) const;

  MemoryLimit limit;              // as it was at start
  LedgerOptions ledger_options() const;
};

http::Options http_options(const Settings& settings);
// --text-threads, or a quarter of the compute threads within [2, 4]: one may be busy with a large body for a while.
int text_threads(const Blueprint& blueprint);

// ERRORS: those of loading the spec and the tokeniser; kInvalidArgument for settings that contradict the model;
// kFailedPrecondition when the plan does not fit, with the nearest settings that do.
Result<Blueprint> draw_blueprint(const Settings& settings);

}  // namespace weir
