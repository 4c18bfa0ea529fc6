// BrownOut: what the server does without, rung by rung, before it refuses anybody; and back again.
//
//   smaller_chunks    prefill takes at most half of a step, so that answers under way keep their pace
//   clamp_background  answers of the background classes are cut at kBackgroundTokensMax tokens
//   evict_caches      prefixes that nobody holds are forgotten, where it is KV blocks that the queue waits for
//   queue             background work stays in the queue while anybody else runs or waits
//   refuse            the door refuses what is new
//
// The level is the worst of: the predicted start (p90, standard class) over what may be waited (--ttft-slo, else
// --queue-timeout), how full the queue is, and any further pressure; 1 is the limit. A full queue refuses by
// itself, so its fill and the pressure alone never reach the last rung. Upwards one rung at a time, each given
// rise_us to work; downwards one at a time, after quiet_us below that rung's leave mark, which lies `gap` below its
// enter mark. The last rung is left as soon as the level is below its mark: a door that stays shut while the queue
// drains costs throughput.
//
// Owner: one thread (the monitor's, or the simulator's). Pure: no clock, no I/O, no allocation.
#pragma once

#include <array>
#include <cstdint>

#include "base/clock.h"

namespace weir {

// In order; a rung keeps the measures of all those below it.
enum class Rung : uint8_t {
  kCalm,
  kSmallerChunks,
  kClampBackground,
  kEvictCaches,
  kQueue,
  kRefuse,
};
inline constexpr size_t kRungs = 6;
const char* rung_name(Rung rung);  // "calm", "smaller_chunks", ...; static storage, labels of a metric

struct BrownOutReading {
  Micros start_p90_us = 0;    // predicted, of one that came now; 0: at once, or not known
  Micros start_limit_us = 0;  // what may be waited; 0: no limit
  double queue_fill = 0;      // [0, 1]
  double pressure = 0;        // any further sign; 1 is the limit
};

struct BrownOutOptions {
  std::array<double, kRungs> enter = {0, 0.5, 0.65, 0.8, 0.9, 1.1};  // of the level, ascending; index 0 is not used
  double gap = 0.15;
  Micros rise_us = 500'000;
  Micros quiet_us = 3'000'000;
};

struct BrownOutStep {
  Rung from = Rung::kCalm, to = Rung::kCalm;
  double level = 0;
};

class BrownOut {
 public:
  explicit BrownOut(const BrownOutOptions& options = {});

  // now: one that goes back is taken to stand still. RETURNS: at most one rung up or down.
  BrownOutStep feed(const BrownOutReading& reading, Micros now);
  Rung rung() const { return rung_; }
  double level() const { return level_; }
  static double level_of(const BrownOutReading& reading);

 private:
  bool may_rise() const;
  bool may_fall() const;

  const BrownOutOptions options_;
  Rung rung_ = Rung::kCalm;
  double level_ = 0;
  Micros now_ = 0;
  Micros moved_us_ = 0;   // last change of rung
  Micros needed_us_ = 0;  // last time the rung was still needed, or entered
  bool fed_ = false;
};

// What can be done; implemented by the composition root, called on the thread that feeds the ladder.
class BrownOutActions {
 public:
  virtual ~BrownOutActions() = default;
  virtual void smaller_chunks(bool on) = 0;
  virtual void clamp_background(bool on) = 0;
  virtual void evict_caches(bool on) = 0;
  virtual void queue(bool on) = 0;
  virtual void refuse(bool on) = 0;
};
// The call for one step, if any: upwards the new rung's measure on, downwards the old one's off.
void carry_out(const BrownOutStep& step, BrownOutActions* actions);

}  // namespace weir
