// Clock: the only source of time for schedule, admission and engine, so that tests and the simulator own it.
#pragma once

#include <atomic>
#include <cstdint>

namespace weir {

using Micros = int64_t;  // microseconds since an arbitrary start; differences only

// Any thread.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Micros now_us() const = 0;
};

// CLOCK_MONOTONIC.
class SteadyClock final : public Clock {
 public:
  Micros now_us() const override;
};

// Moves only when told to.
class FakeClock final : public Clock {
 public:
  Micros now_us() const override { return now_.load(std::memory_order_relaxed); }
  void advance_us(Micros by) { now_.fetch_add(by, std::memory_order_relaxed); }

 private:
  std::atomic<Micros> now_{1};
};

int64_t unix_seconds();  // wall clock, for OpenAI's "created" alone

}  // namespace weir
