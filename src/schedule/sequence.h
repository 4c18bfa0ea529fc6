// Sequence: what the scheduler knows of one admitted slot. Private to schedule/. Engine thread.
#pragma once

#include <algorithm>
#include <cstdint>

#include "message/gateway.h"
#include "schedule/start_forecast.h"

namespace weir {

enum class SequenceStage : uint8_t { kFree, kWaiting, kRunning, kEnded };

struct Sequence {
  SequenceStage stage = SequenceStage::kFree;
  const RequestSpec* spec = nullptr;
  int32_t choice_index = 0;
  int32_t tenant = 0;
  int32_t class_now = 0;         // its class, or a higher one that it has aged into
  uint64_t age = 0;              // smaller is older; kept when it is preempted
  Micros submitted_us = 0;
  Micros since_us = 0;           // waiting: when it joined class_now, less the time it ran in between
  Micros waited_us = 0;          // running: for how long it had waited in class_now
  StartTold told;                // what it was told of its start
  int32_t place = -1;            // kept while preempted and after the end, until release
  int32_t prompt_tokens = 0;
  int32_t output_tokens = 0;
  int32_t scored_tokens = 0;     // of the output, that are given; it begins with them
  int32_t kv_tokens = 0;         // positions whose KV is in its blocks
  int32_t shared_blocks = 0;     // at the front, taken over from others when it started
  int32_t published_blocks = 0;  // at the front, known to the prefix cache
  int32_t lost_tokens = 0;       // computed before it was preempted
  bool waited_for_prefix = false;
  bool can_publish = true;

  // Of the step being planned or executed.
  int32_t planned_tokens = 0;    // drafts included
  int32_t planned_drafts = 0;
  bool gives_way = false;

  int32_t total() const { return prompt_tokens + output_tokens; }
  int32_t chosen() const { return std::max(output_tokens - scored_tokens, 0); }
  int32_t scored_to_come() const { return std::max(scored_tokens - output_tokens, 0); }
  int32_t pending() const { return total() - kv_tokens; }
  bool fresh() const { return place < 0; }  // it never started
};

}  // namespace weir
