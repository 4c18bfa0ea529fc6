// Names of how a request can end, as they stand in the report. Pure, any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace weir::load {

// How one request ended; exactly one each.
enum class Ending : uint8_t {
  kCompleted,    // status 200 and a whole answer
  kRefused,      // a whole answer with another status
  kFailed,       // a Failure says how
  kAborted,      // we left on purpose (--abort-fraction)
  kInterrupted,  // the test was stopped
};

enum class Failure : uint8_t {
  kNone,
  kConnectRefused,    // nobody listens
  kConnectFailed,     // another error of connect()
  kConnectTimeout,    // no connection within 10 s
  kNoDescriptor,      // ours: no socket could be had; see RLIMIT_NOFILE and the ports of one address
  kTooManyInFlight,   // ours: an arrival found every connection slot taken
  kClosedAtOnce,      // closed before the first byte of an answer
  kReset,             // the connection broke
  kClosedInAnswer,    // closed before the answer was complete
  kTimeout,           // not over within --timeout
  kBadStatusLine,     // what came is no HTTP/1
  kHeadTooLarge,      // a head that does not end
  kBadContentLength,  // a length that is no number
  kBadChunk,          // the chunked framing lies
  kEventTooLarge,     // an event or a line of more than 1 MiB
  kBodyTooLarge,      // a body of more than 4 MiB
  kNotAStream,        // a stream was asked for, something else came
  kHalfEvent,         // the stream ended within an event
  kBadJson,           // an event or a body that is no JSON object
  kErrorInStream,     // the stream carried an error object
  kUnfinished,        // the stream ended with neither a finish_reason nor [DONE]
  kEmptyAnswer,       // a whole answer without choices
  kCount
};

const char* failure_name(Failure failure);          // "connect_refused"; static storage
Failure failure_of_wire(std::string_view reason);   // of a ReplyParser's or EventSplitter's Status
std::string printable_name(std::string_view text);  // for a key of a table: ASCII, at most 64 bytes

}  // namespace weir::load
