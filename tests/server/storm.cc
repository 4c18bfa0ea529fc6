#include "server/storm.h"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "server/client.h"
#include "server/storm_client.h"

namespace weir::testing {
namespace {

constexpr int kRestTimeoutMs = 60'000;
constexpr int kPauseMs = 100;  // of a connection that was refused; without it, most of a storm would be refusals
constexpr size_t kFaultsShown = 10;

int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

class Storm {
 public:
  Storm(int port, const StormOptions& options, StormReport* report)
      : port_(port),
        at_once_(static_cast<size_t>(options.at_once)),
        generator_(options.seed, options.limits),
        report_(report) {}

  // Until `count` more requests have begun and all have ended.
  void drive(int count) {
    std::vector<pollfd> polls;
    while (count > 0 || !clients_.empty()) {
      std::erase_if(pausing_until_, [](int64_t until) { return until <= now_ms(); });
      for (; count > 0 && clients_.size() + pausing_until_.size() < at_once_; --count) begin_one();
      polls.clear();
      for (const StormClient& client : clients_) polls.push_back({client.fd(), client.wants(now_ms()), 0});
      poll(polls.data(), polls.size(), 5);
      for (size_t i = polls.size(); i-- > 0;) {
        if (!clients_[i].turn(polls[i].revents, now_ms())) continue;
        note(clients_[i].outcome(), clients_[i].fault());
        std::swap(clients_[i], clients_.back());
        clients_.pop_back();
      }
    }
  }

 private:
  void begin_one() {
    clients_.emplace_back(generator_.next(), port_, now_ms());
    if (clients_.back().is_open()) return;
    note(StormOutcome::kFault, "a connection was refused");
    clients_.pop_back();
  }

  void note(StormOutcome outcome, const std::string& fault) {
    ++report_->outcomes[static_cast<size_t>(outcome)];
    if (outcome == StormOutcome::kRefused || outcome == StormOutcome::kUnavailable)
      pausing_until_.push_back(now_ms() + kPauseMs);
    if (outcome == StormOutcome::kFault && report_->faults.size() < kFaultsShown) report_->faults.push_back(fault);
  }

  const int port_;
  const size_t at_once_;
  StormGenerator generator_;
  StormReport* const report_;
  std::vector<StormClient> clients_;
  std::vector<int64_t> pausing_until_;
};

bool all_returned(const StormRest& rest) {
  return rest.metric("weir_requests_running") == 0 && rest.metric("weir_requests_waiting") == 0 &&
         rest.metric("weir_places_held") == 0 && rest.metric("weir_kv_blocks{state=\"live\"}") == 0 &&
         rest.metric_sum("weir_host_bytes{") == 0 &&
         rest.metric("weir_http_connections") <= 1;  // the one that asks
}

StormRest rest_of(const ServerProcess& server) {
  StormRest rest;
  for (const int64_t end = now_ms() + kRestTimeoutMs; !rest.came && now_ms() < end;) {
    rest.metrics = server.metrics();
    rest.came = all_returned(rest);
    if (!rest.came) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  rest.rss_bytes = server.rss_bytes();
  return rest;
}

std::string megabytes(uint64_t bytes) { return std::to_string(static_cast<double>(bytes) / 1e6) + " MB"; }

}  // namespace

const char* storm_outcome_name(StormOutcome outcome) {
  switch (outcome) {
    case StormOutcome::kAnswered:
      return "answered";
    case StormOutcome::kEndedByError:
      return "stream ended by an error";
    case StormOutcome::kBad:
      return "refused as bad (4xx)";
    case StormOutcome::kRefused:
      return "refused, full (429)";
    case StormOutcome::kUnavailable:
      return "refused (503)";
    case StormOutcome::kLeft:
      return "client left";
    case StormOutcome::kCutOff:
      return "client cut off";
    case StormOutcome::kFault:
      return "FAULTS";
    case StormOutcome::kCount:
      break;
  }
  return "?";
}

double StormRest::metric(const std::string& name) const {
  const auto found = metrics.find(name);
  return found == metrics.end() ? -1 : found->second;
}

double StormRest::metric_sum(const std::string& prefix) const {
  double sum = 0;
  for (auto at = metrics.lower_bound(prefix); at != metrics.end() && at->first.rfind(prefix, 0) == 0; ++at)
    sum += at->second;
  return sum;
}

double StormReport::drift() const {
  return static_cast<double>(end.rss_bytes) / static_cast<double>(std::max<uint64_t>(warm.rss_bytes, 1)) - 1;
}

double StormReport::recomputed() const {
  return end.metric("weir_recomputed_tokens_total") / std::max(1.0, end.metric("weir_output_tokens_total"));
}

std::vector<std::string> StormReport::broken_promises(const StormGoals& goals) const {
  std::vector<std::string> broken = faults;
  const auto must = [&](bool holds, const std::string& sentence) {
    if (!holds) broken.push_back(sentence);
  };
  must(count(StormOutcome::kFault) == 0,
       std::to_string(count(StormOutcome::kFault)) + " answers ended without their reason");
  must(warm.came && end.came, "places, blocks, connections or ledger bytes did not come back");
  must(
      recomputed() < goals.recomputed || end.metric("weir_recomputed_tokens_total") < goals.recomputed_floor_tokens,
      "recomputed tokens are " + std::to_string(100 * recomputed()) + " % of those produced");
  if (goals.sanitized) return broken;
  must(peak_bytes > 0 && peak_bytes <= plan_bytes,
       "the peak of " + megabytes(peak_bytes) + " is above the plan of " + megabytes(plan_bytes));
  must(warm.rss_bytes > 0 && (drift() < goals.drift || end.rss_bytes < warm.rss_bytes + goals.drift_floor_bytes),
       "resident memory grew from " + megabytes(warm.rss_bytes) + " to " + megabytes(end.rss_bytes));
  must(end.metric("weir_sealed_allocations_total{thread=\"engine\"}") >= 0,
       "nobody counts the engine's allocations");
  must(end.metric_sum("weir_sealed_allocations_total{") == 0, "a sealed thread called the allocator");
  return broken;
}

StormReport run_storm(ServerProcess& server, const StormOptions& options) {
  StormReport report;
  Storm storm(server.port(), options, &report);
  storm.drive(options.warm_up_requests);
  report.warm = rest_of(server);
  storm.drive(options.requests - options.warm_up_requests);
  report.end = rest_of(server);
  report.plan_bytes = server.plan_bytes();
  report.peak_bytes = server.peak_bytes();
  return report;
}

}  // namespace weir::testing
