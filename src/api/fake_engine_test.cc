#include "api/fake_engine_test.h"

#include <algorithm>

namespace weir::api {

FakeEngine::FakeEngine(Gateway* gateway, const Clock* clock, int running_max) : gateway_(gateway), clock_(clock) {
  commands_.reserve(gateway->command_capacity());
  for (int i = running_max; i-- > 0;) free_places_.push_back(i);
  script_ = say("hi");
  write_gauges();
}

void FakeEngine::take_commands() {
  commands_.clear();
  gateway_->drain_commands(&commands_);
  for (const Command& command : commands_) {
    const auto at = slots_.find(command.slot);
    switch (command.kind) {
      case Command::Kind::kSubmit:
        ++submits;
        EXPECT_EQ(at, slots_.end()) << "submitted while held";
        slots_[command.slot].spec = gateway_->channel(command.slot).spec;
        if (keep_specs) seen.push_back(*slots_[command.slot].spec);
        waiting_.push_back(command.slot);
        break;
      case Command::Kind::kCancel:
        if (at != slots_.end()) finish(command.slot, &at->second, FinishReason::kCancelled);
        break;
      case Command::Kind::kRelease:
        ++releases;
        ASSERT_NE(at, slots_.end());
        EXPECT_TRUE(at->second.finished) << "released before its end";
        if (at->second.place >= 0) free_places_.push_back(at->second.place);
        slots_.erase(at);
        break;
    }
  }
}

void FakeEngine::finish(SlotIndex slot, Running* r, FinishReason reason) {
  if (r->finished) return;
  r->finished = true;
  r->spec = nullptr;  // it may be gone from here on
  ++finishes;
  std::erase(waiting_, slot);
  gateway_->finish(slot, reason);
}

void FakeEngine::start_waiting() {
  const std::deque<SlotIndex> all = waiting_;
  for (const SlotIndex slot : all) {
    Running* r = &slots_[slot];
    if (is_late(*r)) {
      finish(slot, r, FinishReason::kDeadline);
    } else if (clock_->now_us() > r->spec->queue_deadline_us) {
      finish(slot, r, FinishReason::kQueueTimeout);
    } else if (!free_places_.empty() && !frozen) {
      r->place = free_places_.back();
      free_places_.pop_back();
      std::erase(waiting_, slot);
      Channel& channel = gateway_->channel(slot);
      gateway_->ring(r->place).reset();
      channel.ring = &gateway_->ring(r->place);
      channel.started_us = clock_->now_us();
      channel.wait.reason.store(WaitReason::kNone, std::memory_order_relaxed);
    }
  }
}

bool FakeEngine::is_late(const Running& r) const {
  return r.spec->deadline_us != 0 && clock_->now_us() > r.spec->deadline_us;
}

void FakeEngine::produce(SlotIndex slot, Running* r) {
  Channel& channel = gateway_->channel(slot);
  if (is_late(*r)) return finish(slot, r, FinishReason::kDeadline);
  if (const auto bad = fail_after.find(slot); bad != fail_after.end() && r->produced >= bad->second) {
    return finish(slot, r, FinishReason::kError);
  }
  if (channel.ring->room() == 0) return;
  const auto event = script_(*r->spec, channel.choice_index, r->produced);
  if (!event) return;
  EXPECT_TRUE(channel.ring->try_push(*event));
  gateway_->publish_tokens(slot);
  ++r->produced;
  const SamplingParams& params = r->spec->params;
  const auto& stops = params.stop_token_ids;
  const bool stop = (event->token == kEos && !params.ignore_eos) ||
                    std::find(stops.begin(), stops.end(), event->token) != stops.end();
  if (stop) {
    finish(slot, r, FinishReason::kStop);
  } else if (r->produced >= params.max_tokens) {
    finish(slot, r, FinishReason::kLength);
  }
}

void FakeEngine::step() {
  take_commands();
  start_waiting();
  if (!frozen) {
    for (auto& [slot, r] : slots_) {
      if (r.place >= 0 && !r.finished) produce(slot, &r);
    }
  }
  write_gauges();
  gateway_->wake_io();
}

void FakeEngine::end_all(FinishReason reason) {
  take_commands();
  for (auto& [slot, r] : slots_) finish(slot, &r, reason);
  write_gauges();
  gateway_->wake_io();
}

void FakeEngine::write_gauges() {
  LoadGauges& load = gateway_->load();
  int running = 0;
  int64_t prompt = 0;
  for (const auto& [slot, r] : slots_) {
    if (r.place < 0) continue;
    ++running;
    if (r.spec != nullptr) prompt += static_cast<int64_t>(r.spec->prompt.size());
  }
  for (size_t i = 0; i < waiting_.size(); ++i) {
    WaitView& wait = gateway_->channel(waiting_[i]).wait;
    wait.ahead = static_cast<int32_t>(i);
    wait.reason = WaitReason::kPlace;
  }
  load.running = running;
  load.waiting = static_cast<int>(waiting_.size());
  load.running_prompt_tokens = prompt;
  load.head_blocked = frozen;
  load.heartbeat_us = clock_->now_us();
}

FakeEngine::Script say(std::string text) {
  return [text](const RequestSpec&, int, int k) -> std::optional<TokenEvent> {
    const auto at = static_cast<size_t>(k);
    return TokenEvent{.token = at < text.size() ? static_cast<unsigned char>(text[at]) : kEos, .logprob = -0.5f};
  };
}

}  // namespace weir::api
