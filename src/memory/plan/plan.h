// The planner: named lines of bytes and a limit in, a MemoryPlan or a refusal with the nearest settings that fit
// out.
//
// Pure: it knows no model, no kernel and no machine; the caller names the lines and their formulas. Any thread;
// values; allocates freely (startup and `weir plan` alone). All arithmetic is checked: nothing it returns exceeds
// 2^63-1, and total_bytes <= limit_bytes holds for every plan it returns.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace weir {

struct PlanLine {
  std::string name;  // "weights"
  uint64_t bytes = 0;
  std::string formula;  // "656,000 parameters x 4 bytes"
  bool resident = false;  // touched at start and held to the end, whatever the load
};

// --cache-max-entry-count.
struct CacheShare {
  enum class Kind { kRatio, kBlocks, kBytes };
  Kind kind = Kind::kRatio;
  double ratio = 0.8;   // kRatio: (0, 1], of what remains after every other line
  uint64_t amount = 0;  // kBlocks: > 1 blocks; kBytes: bytes
};

// "0.8", "1" and "1.0" are ratios; an integer above 1 is blocks; a number with a unit ("8GiB") is bytes.
// ERRORS: kInvalidArgument, naming the three forms.
Result<CacheShare> parse_cache_share(std::string_view text);
std::string cache_share_text(const CacheShare& share);  // parses back to the same share

// Every line but the KV cache, for other lengths and batches than the ones asked for. Must not shrink when either
// argument grows; the planner searches on that.
using FixedLinesAt = std::function<std::vector<PlanLine>(int64_t session_tokens, int max_batch)>;

// Another way to run the same model, tried when the given one does not fit: "--model-format int8".
struct PlanVariant {
  std::string flags;
  std::vector<PlanLine> fixed_lines;
  uint64_t kv_block_bytes = 0;
};

// A setting of the caller's that costs memory and could be smaller: "--max-connections". The search halves it.
struct PlanKnob {
  std::string flag;
  int64_t value = 0;
  int64_t floor = 1;      // below it the setting makes no sense; >= 1
  bool in_bytes = false;  // written as a size: "--max-body-bytes 1MiB"
};
// fixed_lines_at with other values for the knobs, one each and in their order. Must not shrink when any grows.
using KnobLinesAt =
    std::function<std::vector<PlanLine>(int64_t session_tokens, int max_batch, std::span<const int64_t> knobs)>;

struct PlanInput {
  std::vector<PlanLine> fixed_lines;  // everything but KV: weights, workspace, logits, tables, ..., headroom
  uint64_t kv_block_bytes = 0;        // all layers, keys and values, scales included
  int block_tokens = 64;
  std::string kv_format;  // how a key or value is stored, for the formula: "int8"; empty: not said
  CacheShare cache;
  uint64_t limit_bytes = 0;
  std::string limit_source;           // "physical memory"
  std::vector<std::string> notes;     // printed with the plan: what else should be looked at, one line each
  int64_t session_tokens = 0;         // --session-len: the longest one sequence may become
  int max_batch = 0;                  // --max-batch-size
  uint64_t kv_blocks_max = 0;         // a ratio never takes more blocks than this; 0 is no such cap
  FixedLinesAt fixed_lines_at;        // optional: without it only the cache and the variants are searched
  std::vector<PlanVariant> variants;  // optional
  std::vector<PlanKnob> knobs;        // optional; looked at only together with knob_lines_at
  KnobLinesAt knob_lines_at;
};

// The same question with other settings; each recomputes the fixed lines where the caller gave a function for it.
PlanInput at_settings(const PlanInput& input, int64_t session_tokens, int max_batch);
PlanInput with_variant(const PlanInput& input, const PlanVariant& variant);
PlanInput with_knobs(const PlanInput& input, std::span<const int64_t> values);

struct Capacity {
  int64_t tokens_each = 0;
  int64_t sequences = 0;  // at once, prompt and answer inside tokens_each; never above max_batch
};

struct MemoryPlan {
  std::vector<PlanLine> lines;  // the fixed lines in their order, then "kv cache"
  uint64_t total_bytes = 0;
  uint64_t limit_bytes = 0;
  std::string limit_source;
  uint64_t kv_blocks = 0;  // [1, 2^31)
  int block_tokens = 0;
  int64_t kv_tokens = 0;  // kv_blocks * block_tokens
  int64_t session_tokens = 0;
  int max_batch = 0;
  std::vector<Capacity> capacity;  // 256, 1024, 4096, ... tokens below the session's, and the session's
  std::vector<std::string> notes;
};

// Settings that would fit, and what they would take.
struct Alternative {
  std::string flags;
  uint64_t total_bytes = 0;
};

// ERRORS: kInvalidArgument for an input out of range; kFailedPrecondition, with the numbers, when the lines do not
// fit, the asked-for cache does not, or the cache cannot hold one sequence of session_tokens.
Result<MemoryPlan> plan_as_given(const PlanInput& input);

// The nearest settings that fit, each changing as little as it can: cache share, session length, batch size, each of
// the caller's knobs; session and batch halved together, or the knobs halved together, where none alone is enough;
// everything halved together where that is not enough either; and the caller's variants.
// At most 6 + knobs + variants.
std::vector<Alternative> find_alternatives(const PlanInput& input);

// Knobs halved one at a time, or all together where none alone is enough, until `fits`. RETURNS: flags and what fits.
struct KnobChange {
  std::string flags;
  PlanInput input;
};
std::vector<KnobChange> halve_knobs(const PlanInput& input, const std::function<bool(const PlanInput&)>& fits);

// RETURNS: the largest n in [1, below) that `fits`, or 0. REQUIRES: what fits at n fits at every smaller one.
int64_t largest_that_fits(int64_t below, const std::function<bool(int64_t)>& fits);

// plan_as_given, whose refusal also names the alternatives.
Result<MemoryPlan> make_plan(const PlanInput& input);

// What is resident as soon as the server is up: the lines that say so.
uint64_t resident_bytes(const MemoryPlan& plan);

// An aligned table for people; ends with a newline.
std::string format_plan(const MemoryPlan& plan);

// {"total_bytes","limit_bytes","limit_source","lines":[{"name","bytes","formula"}],
//  "kv":{"blocks","block_tokens","tokens"},"capacity":[{"tokens_each","sequences"}],"notes":[""]}
std::string plan_json(const MemoryPlan& plan);

}  // namespace weir
