#include "schedule/prefill_guard.h"

#include <algorithm>
#include <utility>

namespace weir {
namespace {

constexpr double kTokensMax = 1e9;  // far beyond any step

bool is_new(const StepTimeModel& model) {
  return model.observed() < StepTimeModel::kConfidentAfter && !model.confident();
}

}  // namespace

int64_t PrefillGuard::floor(const StepTimeModel& model, Micros allowed, int64_t context) {
  const int64_t share = model.prefill_tokens_in(kFloorShare * static_cast<double>(allowed), context);
  return std::min(share, static_cast<int64_t>(kFirstTokens));
}

int64_t PrefillGuard::limit(const StepTimeModel& model, const StepShape& decodes, Micros allowed,
                            int64_t context) const {
  if (allowed == 0) return StepTimeModel::kNoLimit;
  const int64_t fits = model.prefill_tokens_within(decodes, allowed, context);
  return std::max(floor(model, allowed, context), std::min(fits, static_cast<int64_t>(kept_tokens_)));
}

int64_t PrefillGuard::grant(const StepTimeModel& model, const StepShape& decodes, Micros allowed, int64_t context) {
  granted_tokens_ = limit(model, decodes, allowed, context);
  floor_tokens_ = floor(model, allowed, context);
  // Decodes that take longer than they are allowed are not the chunk's fault.
  promised_us_ = allowed == 0 ? 0 : std::max(allowed, model.predict_work(decodes) + allowed / 4);
  return granted_tokens_;
}

bool PrefillGuard::note(const StepTimeModel& model, const StepShape& shape, Micros wall_us) {
  const Micros promised = std::exchange(promised_us_, 0);
  // A step says something of the chunk that was granted only where it had most of it.
  if (promised == 0 || 2 * shape.prefill_tokens < granted_tokens_) return false;
  const auto granted = static_cast<double>(granted_tokens_), lowest = static_cast<double>(floor_tokens_);
  if (static_cast<double>(wall_us) > kPatience * static_cast<double>(promised)) {
    if (!is_new(model)) in_time_ = 0;
    const bool cut = granted > lowest;
    kept_tokens_ = std::max(granted / 2, lowest);
    return cut;
  }
  in_time_ = std::min(in_time_, kForgiveAfter) + 1;
  const bool doubles = in_time_ > kForgiveAfter && wall_us <= promised && (is_new(model) || model.confident());
  if (granted + 1 <= kept_tokens_) return false;  // the chunk was bounded by the model
  const double grown = std::max(kept_tokens_, lowest) * (doubles ? 2 : kCreep);
  kept_tokens_ = std::min(grown, is_new(model) ? kNewTokens : kTokensMax);
  return false;
}

}  // namespace weir
