// Governor: turns pressure readings into stages of relief, and back again.
//
// Pure: no file, no clock and no thread of its own; the caller gives both the reading and the time, so tests and
// the simulator drive the same code. Owner: the monitor thread; one thread at a time. It never allocates.
//
// Upwards one stage at a time, each given rise_us to work before the next; but straight to the last stage when
// there is next to no room. Downwards one stage at a time, after quiet_us in which the pressure stayed below that
// stage's leave mark. Enter and leave marks lie apart, so a signal that swings about one mark moves nothing.
#pragma once

#include <array>
#include <cstdint>

#include "base/clock.h"
#include "memory/monitor/pressure.h"

namespace weir {

// In order; a stage keeps the measures of all those before it.
enum class Stage : uint8_t {
  kCalm,          // nothing is done
  kStopGrowing,   // caches take no new memory
  kDropCaches,    // clean caches are given up, now and every period
  kShrinkWork,    // smaller chunks and batches
  kRefuseNew,     // the door refuses new requests: 503, reason memory_pressure
  kCancelNewest,  // the newest request is ended, one every period while the pressure lasts
};
inline constexpr size_t kStages = 6;
const char* stage_name(Stage stage);  // "calm", "stop_growing", ...; static storage, labels of a metric

// The most that a sign (stalls, resident memory above the plan) may ask for without a limit being near.
inline constexpr Stage kHighestStageOfSigns = Stage::kShrinkWork;

struct GovernorOptions {
  // Of the level, ascending; index 0 is not used. With PressureReading's scale these are 1.0, 0.8, 0.6, 0.4 and 0.2
  // reserves of room.
  std::array<double, kStages> enter = {0, 0.5, 0.6, 0.7, 0.8, 0.9};
  double gap = 0.125;        // a stage's leave mark lies this far below its enter mark: a quarter of a reserve
  double jump_level = 0.95;  // from here (a tenth of a reserve) straight to the last stage
  Micros rise_us = 500'000;  // between two stages on the way up
  Micros quiet_us = 2'000'000;
  Micros period_us = 1'000'000;
};

// What one reading led to.
struct GovernorStep {
  Stage from = Stage::kCalm;
  Stage to = Stage::kCalm;
  bool drop_caches = false;
  bool cancel_newest = false;
};

class Governor {
 public:
  explicit Governor(const GovernorOptions& options = {});

  // now: never before the last one; a clock that goes back is taken to stand still.
  GovernorStep feed(const PressureReading& reading, Micros now);
  Stage stage() const { return stage_; }

 private:
  Stage wanted(const PressureReading& reading) const;
  bool still_needed(const PressureReading& reading) const;
  void move(const PressureReading& reading, Micros now);

  const GovernorOptions options_;
  Stage stage_ = Stage::kCalm;
  Micros now_ = 0;
  Micros moved_us_ = 0;    // last change of stage
  Micros needed_us_ = 0;   // last time the stage was still needed, or entered
  Micros dropped_us_ = 0;  // last drop_caches
  Micros cancelled_us_ = 0;
  bool fed_ = false, cancelled_ = false;
};

// What can be done about pressure. Called on the monitor thread, which must not be held for long; implemented by
// the composition root, for this room knows neither engine nor door.
class GovernorActions {
 public:
  virtual ~GovernorActions() = default;
  virtual void stop_growing(bool on) = 0;
  virtual void drop_caches() = 0;  // once on entering its stage and again every period
  virtual void shrink_work(bool on) = 0;
  virtual void refuse_new(bool on) = 0;
  virtual void cancel_newest() = 0;  // one request
};

// The calls for one step: upwards in the order of the stages, downwards in the opposite one.
void carry_out(const GovernorStep& step, GovernorActions* actions);

}  // namespace weir
