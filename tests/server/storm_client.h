// One client of a storm: a non-blocking connection that sends its request, reads or does not, leaves or stays, and
// says in the end what became of it. Private to storm.cc. Test thread only; closes its socket when destroyed.
#pragma once

#include <cstdint>
#include <string>

#include "server/storm.h"
#include "server/storm_request.h"

namespace weir::testing {

class StormClient {
 public:
  // Connects at once; when that fails (no free port for the moment) is_open() is false.
  StormClient(StormRequest request, int port, int64_t now_ms);
  StormClient(StormClient&& other) noexcept;
  StormClient& operator=(StormClient&& other) noexcept;
  ~StormClient() { close(false); }

  bool is_open() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  const StormRequest& request() const { return request_; }
  // What to poll for; 0: errors alone.
  short wants(int64_t now_ms) const;
  // Does what can be done without waiting. RETURNS: whether it has ended; outcome() says how.
  bool turn(short events, int64_t now_ms);
  StormOutcome outcome() const { return outcome_; }
  std::string fault() const;  // for kFault

 private:
  bool all_sent() const { return sent_ >= request_.send_bytes; }
  void send_more(int64_t now_ms);
  void read_more(int64_t now_ms);
  bool must_leave(int64_t now_ms) const;
  bool end(StormOutcome outcome);
  StormOutcome judge() const;
  StormOutcome judge_success() const;
  void close(bool reset);

  StormRequest request_;
  int fd_ = -1;
  size_t sent_ = 0;
  std::string answer_;
  bool closed_ = false, lost_ = false;  // by the server: properly, or by an error
  int64_t begun_ms_, sent_ms_ = -1, next_read_ms_ = 0;
  StormOutcome outcome_ = StormOutcome::kFault;
};

}  // namespace weir::testing
