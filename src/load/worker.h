// Worker: one event loop of a load test: sends when it is time, reads what comes, never waits for a server.
//
// Thread: run() is the body of one thread; live() may be read by any; the rest belongs to main before and after it.
// Owner: run_load(). epoll, edge-triggered, beside one timerfd, so that an arrival is not rounded to milliseconds.
// Limits: connections_max sockets. An arrival that finds none free is a failure of ours (too_many_in_flight), told
// apart from the server's, and never a delay of those after it.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <queue>
#include <vector>

#include "base/clock.h"
#include "load/connection.h"
#include "load/pace.h"
#include "load/piece.h"
#include "load/run_options.h"
#include "load/workload.h"

namespace weir::load {

// What the progress line reads. Relaxed.
struct Live {
  std::atomic<uint64_t> sent{0}, in_flight{0}, completed{0}, refused{0}, failed{0}, aborted{0}, tokens{0};
  std::atomic<uint64_t> first_tokens{0}, first_token_us{0};  // sum over first tokens, for a mean
};

// What the workers of one run share; outlives them.
struct RunShared {
  const RunOptions& options;
  const Workload& workload;
  const SocketAddress& target;
  Micros start_us = 0;                  // SteadyClock's time of the start
  std::atomic<bool> stop{false};        // end now
  std::atomic<uint64_t> next_index{0};  // closed loop
};

class Worker {
 public:
  Worker(RunShared* shared, int index);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  Status open();  // before run(). ERRORS: kFailedPrecondition: no descriptors for the loop itself
  void run();

  const Live& live() const { return live_; }
  const Meter& meter() const { return meter_; }        // after run()
  double cpu_seconds() const { return cpu_seconds_; }  // after run(); of its thread

 private:
  enum class TimerKind : uint8_t { kSlowRead, kAbort, kPlace };
  struct Timer {
    Micros at_us;
    TimerKind kind;
    uint32_t connection, use;
    bool operator>(const Timer& other) const { return at_us > other.at_us; }
  };

  // What is due.
  void start_due();
  void start_place(Micros due_us);
  void begin(uint64_t index, Micros due_us);
  void run_timers();
  void run_timer(const Timer& timer);
  void sweep_deadlines();
  bool finished() const;
  Micros next_wake_us() const;
  void wait_for_events();
  void interrupt_everything();

  // One connection.
  void take_event(uint32_t id, uint32_t events);
  void open_socket(uint32_t id);
  bool connected(uint32_t id);
  void send_more(uint32_t id);
  void read_slowly(uint32_t id);
  void read_some(uint32_t id, bool to_the_end);
  bool read_once(uint32_t id, size_t bytes_max, ssize_t* count);
  void fail(uint32_t id, Failure failure);
  bool replace_kept(uint32_t id);
  void end_if_over(uint32_t id);
  void close(uint32_t id);
  uint32_t take_connection(bool wants_fresh);
  void count_live(const Connection& connection);

  Micros now() const { return clock_.now_us() - shared_->start_us; }  // since the start of the run
  Connection& at(uint32_t id) { return *connections_[id]; }

  const SteadyClock clock_;
  RunShared* const shared_;
  const RunOptions& options_;
  const bool closed_loop_;
  const size_t connections_max_;
  Socket epoll_, timer_;
  Micros armed_us_ = -1;
  Pace pace_;
  std::optional<Arrival> next_arrival_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<uint32_t> free_, idle_;
  std::vector<uint32_t> again_;  // had more to read than one turn allows
  std::deque<Micros> places_;    // closed loop: places that may send, by the time they became free
  bool places_over_ = false;
  std::priority_queue<Timer, std::vector<Timer>, std::greater<Timer>> timers_;
  size_t in_flight_ = 0, pauses_ = 0;
  Micros next_sweep_us_ = 0;
  PieceParser pieces_;
  std::unique_ptr<char[]> scratch_;
  Meter meter_;
  Live live_;
  double cpu_seconds_ = 0;
};

}  // namespace weir::load
