#include "server/drain.h"

#include <fmt/format.h>

#include <chrono>
#include <thread>

#include "base/log.h"

namespace weir {
namespace {

constexpr Micros kTellUs = 3'000'000;
constexpr auto kLookEvery = std::chrono::milliseconds(5);

}  // namespace

std::string Drain::text() const {
  const LoadGauges& load = gateway_->load();
  return fmt::format("{} requests are under way: {} sequences hold places, {} wait", api_->live_requests(),
                     load.running.load(std::memory_order_relaxed), load.waiting.load(std::memory_order_relaxed));
}

bool Drain::wait(int64_t timeout_ms) const {
  log_info("server", fmt::format("draining for up to {} ms: {}", timeout_ms, text()));
  return wait(timeout_ms, true);
}

bool Drain::wait(int64_t timeout_ms, bool tell) const {
  const Micros begin = clock_->now_us(), end = begin + timeout_ms * 1000;
  Micros told = begin;
  while (api_->live_requests() > 0 || door_->admitted() > 0) {
    const Micros now = clock_->now_us();
    if (now >= end) return false;
    if (tell && now - told >= kTellUs) {
      told = now;
      log_info("server", fmt::format("draining since {} s: {}", (now - begin) / 1'000'000, text()));
    }
    std::this_thread::sleep_for(kLookEvery);
  }
  return true;
}

}  // namespace weir
