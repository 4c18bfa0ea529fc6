// Hooks: what the layer above decides about a request before http has handed it over, and its look at the clock.
//
// Owner: the Server. Every hook is called on an io thread, must not block, and may be empty. This room asks; it
// knows neither keys nor ids nor deadlines nor operators.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::http {

struct Request;
using Headers = std::vector<std::pair<std::string, std::string>>;

inline constexpr size_t kGroupsMax = 1024;  // of clients that the layer above tells apart

// An answer of the http layer itself. `reason` names a refusal for metrics and retries; static storage all.
struct Fault {
  int status = 0;  // 0: none
  const char* code = "";
  const char* reason = "";
  std::string message;
  Headers headers = {};  // besides those that every fault has
};

// What a request is for.
enum class Lane : uint8_t {
  kOpen,     // health and metrics: answered to anybody, also beyond the connection slots, without a body
  kControl,  // another short answer; what its reader leaves unread comes from the budget of such answers
  kWork,     // everything else; its bytes are the request's own
};

// Who sends it.
enum class Standing : uint8_t {
  kStranger,  // has shown no key where one is needed: its connection gives way to anybody's
  kAnybody,   // no key is needed: peers share what there is
  kKnown,     // one of `group`: groups share what there is
};

struct HeadVerdict {
  Lane lane = Lane::kWork;
  Standing standing = Standing::kAnybody;
  int group = 0;           // of kKnown, [0, kGroupsMax)
  bool contended = false;  // of kKnown: there are other groups, so this one may not have every slot
  int cost = 1;            // of an answer that serves nobody (open and control lanes, errors), in refusals
  std::optional<Fault>
      fault;  // the answer, where the head says enough; its maker has counted it. The body is not read
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
  // For every complete head, before any byte of its body is kept. Empty hook: work of anybody.
  std::function<HeadVerdict(const Request& head)> judge_head;
  // For a request whose head is there and whose body is not. RETURNS: null where nobody looks after it.
  std::function<std::unique_ptr<BodyWatch>(const Request& head, int io_index)> watch_body;
  // A refusal by this room, with its Fault::reason. group: -1 where none is known.
  std::function<void(std::string_view reason, int group)> on_refusal;
  // Every Options::tick_ms_max or sooner, while the io thread has connections.
  std::function<void(int io_index)> on_tick;
};

}  // namespace weir::http
