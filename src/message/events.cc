#include "message/events.h"

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
  }
  return "unknown";
}

}  // namespace weir
