// Recorder: GovernorActions that only write down what was asked of them, for this room's tests.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "memory/monitor/governor.h"

namespace weir {

struct Recorder final : GovernorActions {
  std::vector<std::string> calls;
  void stop_growing(bool on) override { calls.push_back(on ? "stop_growing" : "grow"); }
  void drop_caches() override { calls.push_back("drop"); }
  void shrink_work(bool on) override { calls.push_back(on ? "shrink" : "widen"); }
  void refuse_new(bool on) override { calls.push_back(on ? "refuse" : "admit"); }
  void cancel_newest() override { calls.push_back("cancel"); }
  std::vector<std::string> take() { return std::exchange(calls, {}); }
};

}  // namespace weir
