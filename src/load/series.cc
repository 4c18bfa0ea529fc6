#include "load/series.h"

#include <algorithm>

namespace weir::load {

void Series::Bin::add(const Bin& other) {
  started += other.started;
  ended += other.ended;
  completed += other.completed;
  refused += other.refused;
  failed += other.failed;
  tokens += other.tokens;
}

void Series::widen() {
  std::vector<Bin> joined((bins_.size() + 1) / 2);
  for (size_t i = 0; i < bins_.size(); ++i) joined[i / 2].add(bins_[i]);
  bins_ = std::move(joined);
  bin_us_ *= 2;
}

Series::Bin& Series::bin_at(Micros at_us) {
  at_us = std::clamp<Micros>(at_us, 0, Micros{1} << 50);
  while (static_cast<size_t>(at_us / bin_us_) >= kBinsMax) widen();
  const auto index = static_cast<size_t>(at_us / bin_us_);
  if (index >= bins_.size()) bins_.resize(index + 1);
  return bins_[index];
}

void Series::ended(Micros at_us, Ending ending) {
  Bin& bin = bin_at(at_us);
  ++bin.ended;
  if (ending == Ending::kCompleted) ++bin.completed;
  if (ending == Ending::kRefused) ++bin.refused;
  if (ending == Ending::kFailed) ++bin.failed;
}

void Series::merge(const Series& other) {
  Series theirs = other;
  while (bin_us_ < theirs.bin_us_) widen();
  while (theirs.bin_us_ < bin_us_) theirs.widen();
  if (bins_.size() < theirs.bins_.size()) bins_.resize(theirs.bins_.size());
  for (size_t i = 0; i < theirs.bins_.size(); ++i) bins_[i].add(theirs.bins_[i]);
}

std::vector<int64_t> Series::in_flight() const {
  std::vector<int64_t> levels;
  int64_t level = 0;
  for (const Bin& bin : bins_)
    levels.push_back(level += static_cast<int64_t>(bin.started) - static_cast<int64_t>(bin.ended));
  return levels;
}

}  // namespace weir::load
