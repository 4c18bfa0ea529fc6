// The search for the nearest settings that fit. Each probe is one plan_as_given; a search makes at most 64 for each way
// of looking.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/units.h"
#include "memory/plan/plan.h"

namespace weir {
namespace {

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

// One halving, never below `floor` unless the value was there already.
int64_t halved(int64_t value, int64_t floor) { return std::max(value / 2, std::min(value, floor)); }

std::vector<int64_t> knob_values(const PlanInput& input) {
  std::vector<int64_t> values;
  for (const PlanKnob& knob : input.knobs) values.push_back(knob.value);
  return values;
}

// "1MiB" where it is a whole one, else plain bytes: parse_bytes() reads both.
std::string knob_text(const PlanKnob& knob, int64_t value) {
  if (knob.in_bytes && value % static_cast<int64_t>(kMiB) == 0) return fmt::format("{} {}MiB", knob.flag, value >> 20);
  if (knob.in_bytes && value % static_cast<int64_t>(kKiB) == 0) return fmt::format("{} {}KiB", knob.flag, value >> 10);
  return fmt::format("{} {}", knob.flag, value);
}

std::string knob_flags(const PlanInput& input, std::span<const int64_t> values) {
  std::string flags;
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] == input.knobs[i].value) continue;
    flags += (flags.empty() ? "" : " ") + knob_text(input.knobs[i], values[i]);
  }
  return flags;
}

// MODIFIES: values of the knobs that `which` selects (-1: all). RETURNS: whether any became smaller.
bool halve(const PlanInput& input, int which, std::vector<int64_t>* values) {
  bool smaller = false;
  for (size_t i = 0; i < values->size(); ++i) {
    if (which >= 0 && i != static_cast<size_t>(which)) continue;
    const int64_t next = halved((*values)[i], input.knobs[i].floor);
    smaller |= next < (*values)[i];
    (*values)[i] = next;
  }
  return smaller;
}

std::optional<KnobChange> halve_until(const PlanInput& input, int which,
                                      const std::function<bool(const PlanInput&)>& fits) {
  std::vector<int64_t> values = knob_values(input);
  while (halve(input, which, &values)) {
    PlanInput changed = with_knobs(input, values);
    if (fits(changed)) return KnobChange{knob_flags(input, values), std::move(changed)};
  }
  return {};
}

// Session and batch halved together, and the knobs with them where `knobs_too`.
std::optional<Alternative> halved_together(const PlanInput& input, bool knobs_too) {
  int64_t tokens = input.session_tokens;
  int64_t batch = input.max_batch;
  std::vector<int64_t> values = knobs_too ? knob_values(input) : std::vector<int64_t>();
  for (;;) {
    const int64_t tokens_before = tokens, batch_before = batch;
    tokens = halved(tokens, input.block_tokens);
    batch = halved(batch, 1);
    if (!halve(input, -1, &values) && tokens == tokens_before && batch == batch_before) return {};
    PlanInput at = at_settings(input, tokens, static_cast<int>(batch));
    std::string flags = fmt::format("--session-len {} --max-batch-size {}", tokens, batch);
    if (knobs_too) {
      at = with_knobs(at, values);
      const std::string more = knob_flags(input, values);
      if (!more.empty()) flags += " " + more;
    }
    if (auto found = as_alternative(at, std::move(flags))) return found;
  }
}

}  // namespace

PlanInput at_settings(const PlanInput& input, int64_t session_tokens, int max_batch) {
  PlanInput out = input;
  out.session_tokens = session_tokens;
  out.max_batch = max_batch;
  if (input.fixed_lines_at) out.fixed_lines = input.fixed_lines_at(session_tokens, max_batch);
  return out;
}

PlanInput with_variant(const PlanInput& input, const PlanVariant& variant) {
  PlanInput out = input;
  out.fixed_lines = variant.fixed_lines;
  out.kv_block_bytes = variant.kv_block_bytes;
  return out;
}

PlanInput with_knobs(const PlanInput& input, std::span<const int64_t> values) {
  PlanInput out = input;
  for (size_t i = 0; i < values.size(); ++i) out.knobs[i].value = values[i];
  if (input.knob_lines_at) out.fixed_lines = input.knob_lines_at(input.session_tokens, input.max_batch, values);
  return out;
}

int64_t largest_that_fits(int64_t below, const std::function<bool(int64_t)>& fits) {
  int64_t good = 0;
  int64_t bad = below;
  while (bad - good > 1) {
    const int64_t middle = good + (bad - good) / 2;
    (fits(middle) ? good : bad) = middle;
  }
  return good;
}

std::vector<KnobChange> halve_knobs(const PlanInput& input, const std::function<bool(const PlanInput&)>& fits) {
  std::vector<KnobChange> out;
  if (!input.knob_lines_at) return out;
  for (size_t i = 0; i < input.knobs.size(); ++i) {
    if (auto found = halve_until(input, static_cast<int>(i), fits)) out.push_back(std::move(*found));
  }
  if (!out.empty() || input.knobs.size() < 2) return out;
  if (auto found = halve_until(input, -1, fits)) out.push_back(std::move(*found));
  return out;
}

std::vector<Alternative> find_alternatives(const PlanInput& input) {
  std::vector<Alternative> out;
  const auto add = [&](std::optional<Alternative> found) {
    if (found) out.push_back(std::move(*found));
    return found.has_value();
  };
  add(other_cache(input));
  bool alone = add(shorter_session(input));
  if (input.fixed_lines_at) alone |= add(smaller_batch(input));
  const auto fits = [](const PlanInput& changed) { return plan_as_given(changed).ok(); };
  for (KnobChange& change : halve_knobs(input, fits)) {
    alone |= add(as_alternative(change.input, std::move(change.flags)));
  }
  if (!alone && input.fixed_lines_at) alone = add(halved_together(input, false));
  if (!alone && input.knob_lines_at) add(halved_together(input, true));
  for (const PlanVariant& variant : input.variants) {
    add(as_alternative(with_variant(input, variant), variant.flags));
  }
  return out;
}

}  // namespace weir
