// Connection: one socket of a worker and the request on it. Plain state; worker.cc moves it.
//
// Owner and thread: its Worker. A connection is reused when its answer was complete and both sides allow it. A kept
// connection that turns out closed before a byte of the answer came is replaced once, as HTTP clients do (RFC 9112
// section 9.3.1); a fresh one is not, so that a server that slams its door is seen.
#pragma once

#include <optional>
#include <string>

#include "load/answer.h"
#include "load/dial.h"
#include "load/meter.h"
#include "load/workload.h"

namespace weir::load {

struct Connection {
  enum class State : uint8_t { kFree, kIdle, kConnecting, kActive };

  State state = State::kFree;
  bool kept = false;        // the request went out on a connection that had carried another
  bool peer_ended = false;  // its end was told, perhaps together with the last bytes of an answer, and is not told again
  uint32_t use = 0;         // counts requests, so that an old timer finds nobody
  uint32_t socket_use = 0;  // counts sockets, so that an old event finds nobody
  Socket socket;
  PlannedRequest request;
  Outcome outcome;
  std::string bytes;  // the request; kept until an answer begins
  size_t bytes_sent = 0;
  Micros connect_by_us = 0, end_by_us = 0;
  std::optional<AnswerReader> reader;
};

}  // namespace weir::load
