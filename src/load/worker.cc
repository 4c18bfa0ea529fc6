// The loop of a Worker: what is due, and when to wake. worker_connection.cc has what happens on one socket.
#include "load/worker.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

namespace weir::load {
namespace {

constexpr uint32_t kTimerId = UINT32_MAX;
constexpr int kEventsMax = 256;
constexpr Micros kFailurePauseUs =
    100'000;  // a place whose request failed waits, or a dead server costs a whole core
constexpr Micros kSweepMaxUs = 250'000, kSweepMinUs = 10'000;
constexpr Micros kSlowReadUs = 250'000;
constexpr size_t kScratchBytes = 64 << 10;

size_t share_of(size_t total, int index, int count) {
  const auto each = total / static_cast<size_t>(count), rest = total % static_cast<size_t>(count);
  return each + (static_cast<size_t>(index) < rest ? 1 : 0);
}

const Trace* trace_of(const Workload& workload) {
  return workload.options().trace ? &*workload.options().trace : nullptr;
}

}  // namespace

Worker::Worker(RunShared* shared, int index)
    : shared_(shared),
      options_(shared->options),
      closed_loop_(shared->options.concurrency > 0),
      connections_max_(share_of(closed_loop_ ? static_cast<size_t>(options_.concurrency) : options_.connections_max,
                                index, options_.threads)),
      pace_(options_, shared->workload.options().seed, trace_of(shared->workload), index),
      scratch_(new char[kScratchBytes]),
      meter_(shared->workload.tenants().size(), options_.targets) {
  if (!closed_loop_) {
    next_arrival_ = pace_.next();
    return;
  }
  for (size_t i = 0; i < connections_max_; ++i) {  // places of all workers begin interleaved over the ramp
    const auto nth = static_cast<double>(i * static_cast<size_t>(options_.threads) + static_cast<size_t>(index));
    const auto at_us = static_cast<Micros>(nth / static_cast<double>(options_.concurrency) *
                                           static_cast<double>(options_.ramp_us));
    timers_.push({at_us, TimerKind::kPlace, 0, 0});
    ++pauses_;
  }
}

Worker::~Worker() = default;

Status Worker::open() {
  epoll_ = Socket(::epoll_create1(EPOLL_CLOEXEC));
  timer_ = Socket(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
  epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.u64 = kTimerId}};
  if (epoll_.fd() < 0 || timer_.fd() < 0 || ::epoll_ctl(epoll_.fd(), EPOLL_CTL_ADD, timer_.fd(), &event) != 0) {
    return failed_precondition(std::string("cannot make an event loop: ") + std::strerror(errno));
  }
  return ok_status();
}

void Worker::run() {
  while (!finished()) {
    if (shared_->stop.load(std::memory_order_relaxed)) {
      interrupt_everything();
      break;
    }
    run_timers();
    start_due();
    sweep_deadlines();
    std::vector<uint32_t> again;
    again.swap(again_);
    for (const uint32_t id : again) {
      if (at(id).state == Connection::State::kActive) read_some(id, true);
    }
    wait_for_events();
  }
  timespec spent{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
  cpu_seconds_ = static_cast<double>(spent.tv_sec) + static_cast<double>(spent.tv_nsec) * 1e-9;
}

bool Worker::finished() const {
  if (in_flight_ > 0) return false;
  return closed_loop_ ? places_over_ || (places_.empty() && pauses_ == 0) : !next_arrival_;
}

Micros Worker::next_wake_us() const {
  Micros wake_us = next_sweep_us_;
  if (next_arrival_) wake_us = std::min(wake_us, next_arrival_->due_us);
  if (!timers_.empty()) wake_us = std::min(wake_us, timers_.top().at_us);
  return wake_us;
}

// Waits for sockets or the next due time, and serves the sockets.
void Worker::wait_for_events() {
  const Micros wake_us = next_wake_us();
  const bool at_once = !again_.empty() || !places_.empty() || wake_us <= now();
  if (!at_once && wake_us != armed_us_) {
    const Micros absolute_us = wake_us + shared_->start_us;
    const itimerspec when{{}, {absolute_us / 1'000'000, absolute_us % 1'000'000 * 1000}};
    ::timerfd_settime(timer_.fd(), TFD_TIMER_ABSTIME, &when, nullptr);
    armed_us_ = wake_us;
  }
  epoll_event events[kEventsMax];
  const int count = ::epoll_wait(epoll_.fd(), events, kEventsMax, at_once ? 0 : -1);
  const Micros begun_us = now();
  for (int i = 0; i < count; ++i) {
    const auto id = static_cast<uint32_t>(events[i].data.u64);
    if (id == kTimerId) {
      uint64_t times = 0;
      if (::read(timer_.fd(), &times, sizeof times) > 0) armed_us_ = -1;
    } else if (at(id).socket_use == static_cast<uint32_t>(events[i].data.u64 >> 32)) {
      take_event(id, events[i].events);
    }
    start_due();  // a busy turn must not delay who is due within it
  }
  if (count > 0) meter_.turn.record(now() - begun_us);
}

void Worker::start_due() {
  while (next_arrival_ && next_arrival_->due_us <= now()) {
    begin(next_arrival_->index, next_arrival_->due_us);
    next_arrival_ = pace_.next();
  }
  for (size_t i = places_.size(); i > 0 && !places_.empty(); --i) {
    const Micros due_us = places_.front();
    places_.pop_front();
    start_place(due_us);
  }
}

void Worker::start_place(Micros due_us) {
  if (places_over_) return;
  const uint64_t index = shared_->next_index.fetch_add(1, std::memory_order_relaxed);
  const bool enough = options_.requests != 0 && index >= options_.requests;
  const bool late = options_.duration_us != 0 && due_us >= options_.warmup_us + options_.duration_us;
  if (enough || late) {
    places_over_ = true;
    places_.clear();
    return;
  }
  begin(index, due_us);
}

void Worker::begin(uint64_t index, Micros due_us) {
  const Workload& workload = shared_->workload;
  const PlannedRequest request = workload.plan(index);
  const uint32_t id = take_connection(request.slow);
  Outcome outcome{.tenant = request.tenant,
                  .measured = due_us >= options_.warmup_us,
                  .slow = request.slow,
                  .stream = workload.options().stream,
                  .due_us = due_us,
                  .begun_us = now(),
                  .planned_prompt_tokens = request.prompt_tokens};
  meter_.series.started(outcome.begun_us);
  live_.sent.fetch_add(1, std::memory_order_relaxed);
  if (id == kTimerId) {
    outcome.end_us = outcome.begun_us;
    live_.failed.fetch_add(1, std::memory_order_relaxed);
    meter_.record(outcome, {.ending = Ending::kFailed, .failure = Failure::kTooManyInFlight});
    return;
  }
  Connection& connection = at(id);
  connection.request = request;
  connection.outcome = outcome;
  connection.bytes = workload.request_bytes(request);
  connection.bytes_sent = 0;
  connection.end_by_us = outcome.begun_us + options_.timeout_us;
  const AnswerWish wish{outcome.stream, request.abort_after_events,
                        outcome.measured && !request.slow ? &meter_.gap : nullptr};
  connection.reader.emplace(wish, &pieces_);
  live_.in_flight.store(++in_flight_, std::memory_order_relaxed);
  if (request.slow) timers_.push({outcome.begun_us + kSlowReadUs, TimerKind::kSlowRead, id, connection.use});
  if (request.abort_after_us > 0) {
    timers_.push({outcome.begun_us + request.abort_after_us, TimerKind::kAbort, id, connection.use});
  }
  if (connection.state == Connection::State::kIdle) {
    connection.state = Connection::State::kActive;
    connection.kept = true;
    send_more(id);
  } else {
    connection.kept = false;
    open_socket(id);
  }
}

// RETURNS: kTimerId when every connection is taken.
uint32_t Worker::take_connection(bool wants_fresh) {
  if (!wants_fresh && !idle_.empty()) {
    const uint32_t id = idle_.back();
    idle_.pop_back();
    return id;
  }
  if (free_.empty() && connections_.size() < connections_max_) {
    connections_.push_back(std::make_unique<Connection>());
    return static_cast<uint32_t>(connections_.size() - 1);
  }
  if (free_.empty() && !idle_.empty()) {
    const uint32_t id = idle_.back();
    idle_.pop_back();
    close(id);
  }
  if (free_.empty()) return kTimerId;
  const uint32_t id = free_.back();
  free_.pop_back();
  return id;
}

void Worker::run_timers() {
  while (!timers_.empty() && timers_.top().at_us <= now()) {
    const Timer timer = timers_.top();
    timers_.pop();
    run_timer(timer);
  }
}

void Worker::run_timer(const Timer& timer) {
  if (timer.kind == TimerKind::kPlace) {
    --pauses_;
    places_.push_back(timer.at_us);
    return;
  }
  Connection& connection = at(timer.connection);
  if (connection.use != timer.use) return;
  if (timer.kind == TimerKind::kAbort) {
    connection.reader->abort();
    return end_if_over(timer.connection);
  }
  if (connection.state == Connection::State::kActive) read_slowly(timer.connection);
  if (connection.use == timer.use) {
    timers_.push({now() + kSlowReadUs, TimerKind::kSlowRead, timer.connection, timer.use});
  }
}

void Worker::sweep_deadlines() {
  const Micros now_us = now();
  if (now_us < next_sweep_us_) return;
  next_sweep_us_ = now_us + std::clamp(options_.timeout_us / 4, kSweepMinUs, kSweepMaxUs);
  for (uint32_t id = 0; id < connections_.size(); ++id) {
    const Connection& connection = at(id);
    const bool connecting = connection.state == Connection::State::kConnecting;
    if (!connecting && connection.state != Connection::State::kActive) continue;
    if (now_us >= connection.end_by_us) {
      fail(id, Failure::kTimeout);
    } else if (connecting && now_us >= connection.connect_by_us) {
      fail(id, Failure::kConnectTimeout);
    }
  }
}

void Worker::interrupt_everything() {
  for (uint32_t id = 0; id < connections_.size(); ++id) {
    const Connection::State state = at(id).state;
    if (state != Connection::State::kConnecting && state != Connection::State::kActive) continue;
    at(id).reader->interrupt();
    end_if_over(id);
  }
}

void Worker::end_if_over(uint32_t id) {
  Connection& connection = at(id);
  if (!connection.reader->over()) return;
  const Answer& answer = connection.reader->answer();
  connection.outcome.end_us = now();
  meter_.record(connection.outcome, answer);
  count_live(connection);
  const bool keep = answer.reusable && !connection.peer_ended && options_.keep_alive && !connection.request.slow &&
                    connection.bytes_sent == connection.bytes.size();
  const bool pause = answer.ending == Ending::kFailed;
  live_.in_flight.store(--in_flight_, std::memory_order_relaxed);
  ++connection.use;
  if (keep) {
    connection.state = Connection::State::kIdle;
    connection.reader.reset();
    idle_.push_back(id);
  } else {
    close(id);
  }
  if (!closed_loop_) return;
  if (pause) {
    ++pauses_;
    timers_.push({connection.outcome.end_us + kFailurePauseUs, TimerKind::kPlace, 0, 0});
  } else {
    places_.push_back(connection.outcome.end_us);
  }
}

void Worker::count_live(const Connection& connection) {
  const Answer& answer = connection.reader->answer();
  std::atomic<uint64_t>* count = answer.ending == Ending::kCompleted ? &live_.completed
                                 : answer.ending == Ending::kRefused ? &live_.refused
                                 : answer.ending == Ending::kFailed  ? &live_.failed
                                                                     : &live_.aborted;
  count->fetch_add(1, std::memory_order_relaxed);
  if (answer.events == 0) return;
  live_.first_tokens.fetch_add(1, std::memory_order_relaxed);
  live_.first_token_us.fetch_add(
      static_cast<uint64_t>(std::max<Micros>(0, answer.first_us - connection.outcome.due_us)),
      std::memory_order_relaxed);
}

}  // namespace weir::load
