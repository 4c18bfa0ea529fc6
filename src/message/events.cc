#include "message/events.h"

#include "message/wait_view.h"

namespace weir {

const char* finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kNone: return "none";
    case FinishReason::kStop: return "stop";
    case FinishReason::kLength: return "length";
    case FinishReason::kCancelled: return "cancelled";
    case FinishReason::kQueueTimeout: return "queue_timeout";
    case FinishReason::kShutdown: return "shutdown";
    case FinishReason::kError: return "error";
    case FinishReason::kMemoryPressure: return "memory_pressure";
    case FinishReason::kDeadline: return "deadline";
    case FinishReason::kExpired: return "expired";
    case FinishReason::kStuck: return "stuck";
  }
  return "unknown";
}

const char* wait_reason_name(WaitReason reason) {
  switch (reason) {
    case WaitReason::kNone: return "none";
    case WaitReason::kNew: return "new";
    case WaitReason::kOrder: return "order";
    case WaitReason::kPlace: return "place";
    case WaitReason::kBlocks: return "blocks";
    case WaitReason::kPrefix: return "prefix";
    case WaitReason::kTenantLimit: return "tenant_limit";
    case WaitReason::kPreempted: return "preempted";
  }
  return "unknown";
}

}  // namespace weir
