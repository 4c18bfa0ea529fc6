// The search for the nearest settings that fit. Each probe is one plan_as_given; a search makes at most 64.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "memory/plan/plan.h"

namespace weir {
namespace {

PlanInput at_settings(const PlanInput& input, int64_t session_tokens, int max_batch) {
  PlanInput out = input;
  out.session_tokens = session_tokens;
  out.max_batch = max_batch;
  if (input.fixed_lines_at) out.fixed_lines = input.fixed_lines_at(session_tokens, max_batch);
  return out;
}

// RETURNS: the largest n in [1, below) that `fits`, or 0. REQUIRES: what fits at n fits at every smaller one.
int64_t largest_that_fits(int64_t below, const std::function<bool(int64_t)>& fits) {
  int64_t good = 0;
  int64_t bad = below;
  while (bad - good > 1) {
    const int64_t middle = good + (bad - good) / 2;
    (fits(middle) ? good : bad) = middle;
  }
  return good;
}

std::optional<Alternative> as_alternative(const PlanInput& input, std::string flags) {
  const Result<MemoryPlan> plan = plan_as_given(input);
  if (!plan.ok()) return {};
  return Alternative{std::move(flags), plan->total_bytes};
}

std::optional<Alternative> other_cache(PlanInput input) {
  const bool ratio = input.cache.kind == CacheShare::Kind::kRatio;
  if (ratio && input.cache.ratio < 1) {
    input.cache.ratio = 1;
    return as_alternative(input, "--cache-max-entry-count 1.0");
  }
  if (ratio) return {};
  // The most that fits, in blocks: a ratio of 1 finds it, and a count says it in words that stay true.
  input.cache = {.kind = CacheShare::Kind::kRatio, .ratio = 1};
  const Result<MemoryPlan> most = plan_as_given(input);
  if (!most.ok() || most->kv_blocks < 2) return {};
  return Alternative{fmt::format("--cache-max-entry-count {}", most->kv_blocks), most->total_bytes};
}

std::optional<Alternative> shorter_session(const PlanInput& input) {
  const int64_t below = (input.session_tokens - 1) / input.block_tokens + 1;
  const int64_t blocks = largest_that_fits(below, [&](int64_t n) {
    return plan_as_given(at_settings(input, n * input.block_tokens, input.max_batch)).ok();
  });
  if (blocks == 0) return {};
  const int64_t tokens = blocks * input.block_tokens;
  return as_alternative(at_settings(input, tokens, input.max_batch), fmt::format("--session-len {}", tokens));
}

std::optional<Alternative> smaller_batch(const PlanInput& input) {
  const int64_t batch = largest_that_fits(input.max_batch, [&](int64_t n) {
    return plan_as_given(at_settings(input, input.session_tokens, static_cast<int>(n))).ok();
  });
  if (batch == 0) return {};
  return as_alternative(at_settings(input, input.session_tokens, static_cast<int>(batch)),
                        fmt::format("--max-batch-size {}", batch));
}

std::optional<Alternative> both_halved(const PlanInput& input) {
  int64_t tokens = input.session_tokens;
  int batch = input.max_batch;
  while (tokens > input.block_tokens || batch > 1) {
    tokens = std::max<int64_t>(tokens / 2, std::min<int64_t>(tokens, input.block_tokens));
    batch = std::max(batch / 2, 1);
    auto found = as_alternative(at_settings(input, tokens, batch),
                                fmt::format("--session-len {} --max-batch-size {}", tokens, batch));
    if (found) return found;
  }
  return {};
}

PlanInput with_variant(const PlanInput& input, const PlanVariant& variant) {
  PlanInput out = input;
  out.fixed_lines = variant.fixed_lines;
  out.kv_block_bytes = variant.kv_block_bytes;
  return out;
}

}  // namespace

std::vector<Alternative> find_alternatives(const PlanInput& input) {
  std::vector<Alternative> out;
  const auto add = [&](std::optional<Alternative> found) {
    if (found) out.push_back(std::move(*found));
    return found.has_value();
  };
  add(other_cache(input));
  const bool session = add(shorter_session(input));
  const bool batch = input.fixed_lines_at && add(smaller_batch(input));
  if (!session && !batch && input.fixed_lines_at) add(both_halved(input));
  for (const PlanVariant& variant : input.variants) {
    add(as_alternative(with_variant(input, variant), variant.flags));
  }
  return out;
}

}  // namespace weir
