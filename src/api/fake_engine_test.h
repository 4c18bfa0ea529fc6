// The engine's side of this room's tests: it follows the Gateway's protocol and makes scripted tokens.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "message/gateway.h"

namespace weir::api {

constexpr int32_t kEos = 256;
constexpr int32_t kBos = 257;
constexpr int32_t kVocab = 258;

// Drives the Gateway as the engine thread does: places, one token per sequence and step, deadlines, gauges,
// what waits.
class FakeEngine {
 public:
  // RETURNS: the k-th event of a sequence, or nothing to hold it back this step.
  using Script = std::function<std::optional<TokenEvent>(const RequestSpec& spec, int choice, int k)>;

  FakeEngine(Gateway* gateway, const Clock* clock, int running_max);
  void set_script(Script script) { script_ = std::move(script); }
  void step();
  void end_all(FinishReason reason);  // everything that still goes on

  std::map<SlotIndex, int> fail_after;  // slot: ends with kError after so many tokens
  bool frozen = false;                  // takes commands, starts nobody, makes no tokens
  uint64_t submits = 0, finishes = 0, releases = 0;
  std::vector<RequestSpec> seen;        // a copy of every submitted spec, when keep_specs
  bool keep_specs = true;

 private:
  struct Running {
    int place = -1;  // -1: waiting
    int produced = 0;
    bool finished = false;
    const RequestSpec* spec = nullptr;
  };
  void take_commands();
  void start_waiting();
  bool is_late(const Running& r) const;
  void produce(SlotIndex slot, Running* r);
  void finish(SlotIndex slot, Running* r, FinishReason reason);
  void write_gauges();

  Gateway* const gateway_;
  const Clock* const clock_;
  Script script_;
  std::vector<Command> commands_;
  std::map<SlotIndex, Running> slots_;  // until released
  std::deque<SlotIndex> waiting_;
  std::vector<int> free_places_;
};

// Plays `text` one byte a step, then eos.
FakeEngine::Script say(std::string text);

}  // namespace weir::api
