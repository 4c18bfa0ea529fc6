// Series: what happened over time, in at most kBinsMax bins. When a run outgrows them, neighbours are joined and
// each bin covers twice the time. Thread: its owner's. Times are microseconds since the start of the run.
#pragma once

#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "load/names.h"

namespace weir::load {

class Series {
 public:
  static constexpr size_t kBinsMax = 600;
  static constexpr Micros kFirstBinUs = 100'000;

  struct Bin {
    uint64_t started = 0, ended = 0, completed = 0, refused = 0, failed = 0;
    int64_t tokens = 0;  // events with text, when they came
    void add(const Bin& other);
  };

  void started(Micros at_us) { ++bin_at(at_us).started; }
  void tokens(Micros at_us, int64_t count) { bin_at(at_us).tokens += count; }
  void ended(Micros at_us, Ending ending);
  void merge(const Series& other);

  Micros bin_us() const { return bin_us_; }
  const std::vector<Bin>& bins() const { return bins_; }
  std::vector<int64_t> in_flight() const;  // at the end of each bin

 private:
  Bin& bin_at(Micros at_us);
  void widen();

  Micros bin_us_ = kFirstBinUs;
  std::vector<Bin> bins_;
};

}  // namespace weir::load
