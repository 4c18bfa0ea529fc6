#include "memory/monitor/governor.h"

#include <algorithm>

#include "base/check.h"

namespace weir {
namespace {

size_t index_of(Stage stage) { return static_cast<size_t>(stage); }
Stage above(Stage stage) { return static_cast<Stage>(index_of(stage) + 1); }
Stage below(Stage stage) { return static_cast<Stage>(index_of(stage) - 1); }

void set(Stage stage, bool on, GovernorActions* actions) {
  switch (stage) {
    case Stage::kStopGrowing:
      return actions->stop_growing(on);
    case Stage::kShrinkWork:
      return actions->shrink_work(on);
    case Stage::kRefuseNew:
      return actions->refuse_new(on);
    case Stage::kCalm:
    case Stage::kDropCaches:
    case Stage::kCancelNewest:
      break;  // these are done, not switched on
  }
}

}  // namespace

const char* stage_name(Stage stage) {
  switch (stage) {
    case Stage::kCalm:
      return "calm";
    case Stage::kStopGrowing:
      return "stop_growing";
    case Stage::kDropCaches:
      return "drop_caches";
    case Stage::kShrinkWork:
      return "shrink_work";
    case Stage::kRefuseNew:
      return "refuse_new";
    case Stage::kCancelNewest:
      return "cancel_newest";
  }
  return "unknown";
}

Governor::Governor(const GovernorOptions& options) : options_(options) {
  WEIR_CHECK(std::is_sorted(options.enter.begin(), options.enter.end()));
  WEIR_CHECK(options.gap > 0 && options.enter[1] > options.gap && options.jump_level >= options.enter[kStages - 1]);
}

Stage Governor::wanted(const PressureReading& reading) const {
  Stage stage = Stage::kCalm;
  while (stage != Stage::kCancelNewest) {
    const Stage next = above(stage);
    const bool sign_counts = next <= kHighestStageOfSigns;
    const double level = sign_counts ? reading.level() : reading.limit_level;
    if (!(level >= options_.enter[index_of(next)])) break;
    stage = next;
  }
  return stage;
}

bool Governor::still_needed(const PressureReading& reading) const {
  const double level = stage_ <= kHighestStageOfSigns ? reading.level() : reading.limit_level;
  return level >= options_.enter[index_of(stage_)] - options_.gap;
}

void Governor::move(const PressureReading& reading, Micros now) {
  const Stage want = wanted(reading);
  if (want > stage_) {
    const bool jump = reading.limit_level >= options_.jump_level;
    if (!jump && stage_ != Stage::kCalm && now - moved_us_ < options_.rise_us) return;
    stage_ = jump ? want : above(stage_);
  } else if (stage_ != Stage::kCalm && now - needed_us_ >= options_.quiet_us) {
    stage_ = below(stage_);
  } else {
    return;
  }
  moved_us_ = needed_us_ = now;
}

GovernorStep Governor::feed(const PressureReading& reading, Micros now) {
  now_ = fed_ ? std::max(now_, now) : now;
  fed_ = true;
  GovernorStep step;
  step.from = stage_;
  if (stage_ != Stage::kCalm && still_needed(reading)) needed_us_ = now_;
  move(reading, now_);
  step.to = stage_;
  const bool entered = step.from < Stage::kDropCaches;
  step.drop_caches = stage_ >= Stage::kDropCaches && (entered || now_ - dropped_us_ >= options_.period_us);
  if (step.drop_caches) dropped_us_ = now_;
  const bool due = !cancelled_ || now_ - cancelled_us_ >= options_.period_us;
  step.cancel_newest = wanted(reading) == Stage::kCancelNewest && stage_ == Stage::kCancelNewest && due;
  if (step.cancel_newest) cancelled_us_ = now_;
  cancelled_ = cancelled_ || step.cancel_newest;
  return step;
}

void carry_out(const GovernorStep& step, GovernorActions* actions) {
  for (Stage at = step.from; at > step.to; at = below(at)) set(at, false, actions);
  for (Stage at = step.from; at < step.to;) {
    at = above(at);
    if (at == Stage::kDropCaches) actions->drop_caches();
    set(at, true, actions);
  }
  const bool dropped_on_the_way = step.from < Stage::kDropCaches && step.to >= Stage::kDropCaches;
  if (step.drop_caches && !dropped_on_the_way) actions->drop_caches();
  if (step.cancel_newest) actions->cancel_newest();
}

}  // namespace weir
