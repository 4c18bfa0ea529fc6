// sse_client: one HTTP request over plain TCP, its answer read as a body or as server-sent events.
//
// Thread: the caller's; blocks. For `weir chat` and the calls before a load test, so small on purpose: no TLS, no
// keep-alive, no redirects, no proxy. Every wait has a bound: connect 10 s per address, silence of the server
// `silence_ms`, a body 4 MiB.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "load/server_url.h"

namespace weir {

struct HttpCall {
  std::string method = "GET";
  std::string path;                         // below the address's path: "/models"
  std::string json;                         // the body; empty: none
  std::string api_key;                      // sent as a bearer token when not empty
  int64_t silence_ms = 300'000;             // longest wait without a byte from the server
  const std::atomic<bool>* stop = nullptr;  // looked at ten times a second; true ends the call with kCancelled
};

struct HttpReply {
  int status = 0;
  std::string retry_after;  // as sent; empty when absent
  std::string body;         // empty when the answer was an event stream
};

// event: data of each event of a text/event-stream answer; false ends the call early, as if the stream had ended.
// ERRORS: kUnavailable (no connection), kDeadlineExceeded (silence), kCancelled (stop), kDataLoss (broken answer),
// kTooLarge (body). An HTTP error status is a reply, not an error.
Result<HttpReply> http_call(const ServerAddress& server, const HttpCall& call,
                            const std::function<bool(std::string_view data)>& event);

}  // namespace weir
