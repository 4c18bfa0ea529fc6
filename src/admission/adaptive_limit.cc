#include "admission/adaptive_limit.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace weir {
namespace {

constexpr double kFade = 0.6;        // of a period's weight in the next one: two or three periods count
constexpr double kSpreadMin = 0.15;  // of the running: nearer points show noise and no slope
constexpr double kSlopeShareMin =
    0.1;                           // of signal / running: a flatter line is noise, and a step along it unbounded
constexpr double kSurprise = 0.2;  // of the signal, between a point and the line
constexpr double kHoldsTheLimit = 0.9;  // of the limit: with fewer running it is not the limit that holds them back

}  // namespace

const char* limit_reason_name(LimitReason reason) {
  switch (reason) {
    case LimitReason::kOverTarget:
      return "over_target";
    case LimitReason::kDemand:
      return "demand";
    case LimitReason::kBounds:
      return "bounds";
  }
  return "unknown";
}

AdaptiveLimit::AdaptiveLimit(const AdaptiveOptions& options) : options_(options), limit_(options.limit_max) {
  WEIR_CHECK(options.limit_min >= 1 && options.limit_min <= options.limit_max);
  WEIR_CHECK(options.under < options.aim && options.aim < options.over);
}

// What the points so far say of so many running; nothing where they are too few, or all far from it and alike.
std::optional<double> AdaptiveLimit::Line::expected(double running) const {
  if (weight == 0) return {};
  const double mean = n / weight, away = running - mean, spread = nn / weight - mean * mean;
  if (spread > kSpreadMin * kSpreadMin * mean * mean)
    return s / weight + (ns / weight - mean * s / weight) / spread * away;
  if (std::abs(away) > kSpreadMin * running) return {};
  return s / weight;
}

// A point far from the line is another machine or another load: what the line knew is then worse than nothing.
void AdaptiveLimit::Line::add(double running, double signal) {
  if (const auto line = expected(running); line && std::abs(*line - signal) > kSurprise * signal) *this = {};
  weight = kFade * weight + 1;
  n = kFade * n + running;
  s = kFade * s + signal;
  nn = kFade * nn + running * running;
  ns = kFade * ns + running * signal;
}

// Of a + b * running with a, b >= 0, so at most signal / running.
std::optional<double> AdaptiveLimit::Line::slope(double running, double signal) const {
  const double mean = n / weight;
  const double spread = nn / weight - mean * mean;
  if (!(spread > kSpreadMin * kSpreadMin * running * running)) return {};
  const double most = signal / running;
  const double slope = (ns / weight - mean * s / weight) / spread;
  if (slope < kSlopeShareMin * most) return {};
  return std::min(slope, most);
}

double AdaptiveLimit::wanted(double running, double signal, double slope) const {
  return running + (options_.aim - signal) / slope;
}

std::optional<LimitChange> AdaptiveLimit::move(double to, const AdaptiveReading& reading, LimitReason reason,
                                               Micros now) {
  const double bounded =
      std::clamp(to, static_cast<double>(options_.limit_min), static_cast<double>(options_.limit_max));
  const int limit = static_cast<int>(std::lround(bounded));
  if (limit == limit_) return {};
  const LimitChange change{.at_us = now,
                           .from = limit_,
                           .to = limit,
                           .signal = reading.signal,
                           .queue_delay_us = reading.queue_delay_us,
                           .reason = reason};
  limit_ = limit;
  return change;
}

std::optional<LimitChange> AdaptiveLimit::set_bounds(int limit_min, int limit_max, Micros now) {
  WEIR_CHECK(limit_min >= 1 && limit_min <= limit_max);
  const bool at_top = limit_ == options_.limit_max;
  options_.limit_min = limit_min;
  options_.limit_max = limit_max;
  return move(at_top ? limit_max : limit_, {}, LimitReason::kBounds, now);
}

std::optional<LimitChange> AdaptiveLimit::period(const AdaptiveReading& reading, Micros now) {
  const double signal = reading.signal;
  if (!std::isfinite(signal) || signal <= 0 || reading.running < 1) return {};
  const auto running = static_cast<double>(reading.running);
  line_.add(running, signal);
  const std::optional<double> slope = line_.slope(running, signal);
  const double to = wanted(running, signal, slope.value_or(signal / running));
  if (signal > options_.over) {
    const double least = running * (1 - (slope ? options_.known_cut_max : options_.cut_max));
    const double cut = std::clamp(std::floor(to), least, static_cast<double>(limit_));
    return move(cut, reading, LimitReason::kOverTarget, now);
  }
  const bool demand = reading.waiting > 0 && reading.queue_delay_us >= options_.demand_delay_us;
  const bool held_back = running >= kHoldsTheLimit * limit_;
  if (signal < options_.under && demand && held_back) {
    const double grown = std::clamp(to, limit_ + 1.0, std::max(options_.growth_max * limit_, limit_ + 1.0));
    return move(grown, reading, LimitReason::kDemand, now);
  }
  return {};
}

}  // namespace weir
