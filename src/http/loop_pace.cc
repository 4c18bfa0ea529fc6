// Refusals and keyless answers at a bounded rate: whose is next, and connections that are held back until then.
#include <chrono>

#include "http/connection.h"
#include "http/loop.h"

namespace weir::http {
namespace {

constexpr size_t kAnybody = kGroupsMax, kStrangers = kGroupsMax + 1;
constexpr int64_t kAheadUsMax = 10'000'000;
constexpr int kBurstParts = 4;      // of a second's refusals
constexpr int kStrangerFactor = 2;  // a keyless answer counts as so many
// A request that was served pays for so many refusals of clients in no haste: at five times what a server can do
// there are four for each. To clients in haste it gives nothing: they would take the processor that serves.
constexpr int kCreditPerAnswer = 6;
constexpr int kReleasesPerTurn = 256;
constexpr int64_t kLeastWaitUs = 1000;

}  // namespace

// Half of the rate is for connections that have not been in haste, so that those who do as they are told are
// answered promptly in a storm of others.
PaceRule choose_pace(const Options& options) {
  const int64_t each = static_cast<int64_t>(options.refusals_per_second) / 2;
  if (each == 0) return {};
  return {.interval_us = 1'000'000 / each, .burst = each / kBurstParts, .ahead_us_max = kAheadUsMax};
}

Loop::Pace& Loop::pace_of(const PacedBy& who) {
  return paces_[who.stranger ? kStrangers : who.group >= 0 ? static_cast<size_t>(who.group) : kAnybody];
}

int64_t Loop::book(const PacedBy& who, int cost) {
  Pace& pace = pace_of(who);
  return (who.hasty ? pace.hasty : pace.calm)
      .book(pace_rule_, now_us(), who.stranger ? cost * kStrangerFactor : cost);
}

void Loop::give_back_booking(const PacedBy& who, int cost) {
  Pace& pace = pace_of(who);
  (who.hasty ? pace.hasty : pace.calm).credit(pace_rule_, who.stranger ? cost * kStrangerFactor : cost);
}

void Loop::note_served(const PacedBy& who) { pace_of(who).calm.credit(pace_rule_, kCreditPerAnswer); }

Loop::Held::iterator Loop::hold(Connection* connection, int64_t due_us) {
  Counters::add(&counters_.held);
  const auto place = held_.emplace(due_us, connection);
  if (place == held_.begin()) arm_hold_timer();
  return place;
}

void Loop::arm_hold_timer() {
  if (held_.empty() || stopping_) return;
  const int64_t wait_us = std::max(kLeastWaitUs, held_.begin()->first - now_us());
  hold_timer_.expires_after(std::chrono::microseconds(wait_us));  // ends the wait that there was
  hold_timer_.async_wait([this](const ErrorCode& error) {
    if (!error) release_due();
  });
}

void Loop::release_due() {
  const int64_t now = now_us();
  for (int i = 0; i < kReleasesPerTurn && !held_.empty() && held_.begin()->first <= now; ++i) {
    held_.begin()->second->on_released();  // takes itself out
  }
  arm_hold_timer();
}

}  // namespace weir::http
