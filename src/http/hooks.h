// Hooks: what the layer above decides about a request before http has handed it over, and its look at the clock.
//
// Owner: the Server. Every hook is called on an io thread, must not block, and may be empty. This room asks; it knows
// neither ids nor deadlines nor operators.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace weir::http {

struct Request;

// An answer of the http layer itself. `reason` names a refusal for metrics and retries; static storage all.
struct Fault {
  int status = 0;  // 0: none
  const char* code = "";
  const char* reason = "";
  std::string message;
};

// Looks after one request while its body is read. Owner: the Request, with which it moves to the handler; destroyed with
// the connection otherwise. Thread: the connection's.
class BodyWatch {
 public:
  virtual ~BodyWatch() = default;
  // Asked once before the body is waited for and then at every tick. RETURNS: how to end the request, or nothing.
  virtual std::optional<Fault> verdict() = 0;
};

struct Hooks {
  // wanted: the request's x-request-id, or "". RETURNS: the id that its answer carries. Empty hook: faults carry none.
  std::function<std::string(std::string_view wanted)> choose_id;
  // For a request whose head is there and whose body is not. RETURNS: null where nobody looks after it.
  std::function<std::unique_ptr<BodyWatch>(const Request& head, int io_index)> watch_body;
  // Every Options::tick_ms_max or sooner, while the io thread has connections.
  std::function<void(int io_index)> on_tick;
};

}  // namespace weir::http
