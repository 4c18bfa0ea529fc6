#include "admission/brown_out.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace weir {
namespace {

constexpr double kFillLevelMax = 0.95;  // a queue that is full answers for itself
constexpr double kLevelMax = 100;       // what is shown of a start that is a day away

size_t index_of(Rung rung) { return static_cast<size_t>(rung); }
Rung above(Rung rung) { return static_cast<Rung>(index_of(rung) + 1); }
Rung below(Rung rung) { return static_cast<Rung>(index_of(rung) - 1); }
double sign(double value) { return std::isfinite(value) ? std::clamp(value, 0.0, kFillLevelMax) : 0; }

void set(Rung rung, bool on, BrownOutActions* actions) {
  switch (rung) {
    case Rung::kCalm:
      return;
    case Rung::kSmallerChunks:
      return actions->smaller_chunks(on);
    case Rung::kClampBackground:
      return actions->clamp_background(on);
    case Rung::kEvictCaches:
      return actions->evict_caches(on);
    case Rung::kQueue:
      return actions->queue(on);
    case Rung::kRefuse:
      return actions->refuse(on);
  }
}

}  // namespace

const char* rung_name(Rung rung) {
  switch (rung) {
    case Rung::kCalm:
      return "calm";
    case Rung::kSmallerChunks:
      return "smaller_chunks";
    case Rung::kClampBackground:
      return "clamp_background";
    case Rung::kEvictCaches:
      return "evict_caches";
    case Rung::kQueue:
      return "queue";
    case Rung::kRefuse:
      return "refuse";
  }
  return "unknown";
}

BrownOut::BrownOut(const BrownOutOptions& options) : options_(options) {
  WEIR_CHECK(std::is_sorted(options.enter.begin(), options.enter.end()));
  WEIR_CHECK(options.gap > 0 && options.enter[1] > options.gap && options.enter[kRungs - 1] > kFillLevelMax);
}

double BrownOut::level_of(const BrownOutReading& reading) {
  double level = std::max(sign(reading.queue_fill), sign(reading.pressure));
  if (reading.start_limit_us > 0 && reading.start_p90_us > 0) {
    level =
        std::max(level, static_cast<double>(reading.start_p90_us) / static_cast<double>(reading.start_limit_us));
  }
  return std::min(level, kLevelMax);
}

bool BrownOut::may_rise() const {
  if (rung_ == Rung::kRefuse || level_ < options_.enter[index_of(above(rung_))]) return false;
  return rung_ == Rung::kCalm || now_ - moved_us_ >= options_.rise_us;
}

bool BrownOut::may_fall() const {
  if (rung_ == Rung::kCalm) return false;
  return rung_ == Rung::kRefuse ? needed_us_ < now_ : now_ - needed_us_ >= options_.quiet_us;
}

BrownOutStep BrownOut::feed(const BrownOutReading& reading, Micros now) {
  now_ = fed_ ? std::max(now_, now) : now;
  fed_ = true;
  level_ = level_of(reading);
  BrownOutStep step{.from = rung_, .to = rung_, .level = level_};
  if (rung_ != Rung::kCalm && level_ >= options_.enter[index_of(rung_)] - options_.gap) needed_us_ = now_;
  if (may_rise()) {
    step.to = above(rung_);
  } else if (may_fall()) {
    step.to = below(rung_);
  }
  if (step.to == step.from) return step;
  rung_ = step.to;
  moved_us_ = needed_us_ = now_;
  return step;
}

void carry_out(const BrownOutStep& step, BrownOutActions* actions) {
  if (step.to > step.from) set(step.to, true, actions);
  if (step.to < step.from) set(step.from, false, actions);
}

}  // namespace weir
