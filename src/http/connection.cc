#include "http/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "http/exchange.h"
#include "http/faults.h"
#include "http/response.h"

namespace weir::http {
namespace {

constexpr int64_t kHasteUs = 50'000;    // nobody who was just told to come later comes back so soon
constexpr int64_t kSpareHeadMs = 1000;  // beyond the slots there is time for one head
constexpr int64_t kLingerMs = 1000;     // for the peer to read our last answer before a reset could

void release(std::string* text) { std::string().swap(*text); }

}  // namespace

Connection::Connection(Loop* loop, int fd, std::optional<ConnectionSlot> slot, std::string peer)
    : loop_(*loop),
      descriptor_(loop->context(), fd),
      slot_(std::move(slot)),
      peer_(std::move(peer)),
      share_(share_of_peer(peer_)) {}

// ---- Life -------------------------------------------------------------------------------------------------------

void Connection::start(Loop::Connections::iterator place, Rank rank, bool one_too_many) {
  place_ = place;
  rank_ = rank;
  counts_for_peer_ = !one_too_many;
  guarded([&] {
    const int64_t patience_ms = loop_.shared().options.head_timeout_ms;
    deadline_ms_ = loop_.now_ms() + (rank == Rank::kSpare ? std::min(kSpareHeadMs, patience_ms) : patience_ms);
    if (one_too_many) return refuse_connection(too_many_of_peer());
    if (!slot_) return refuse_connection(no_connection_slot());
    read_request();  // the request is usually there already
  });
}

void Connection::drain() {
  const bool idle = state_ == State::kReading && !parser_ && in_.empty();
  if (idle) cut(Gone::kNo);
}

void Connection::cut(Gone why) {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  if (why == Gone::kSlowReader || why == Gone::kWriteTimeout || why == Gone::kHostBytes || why == Gone::kCut) {
    const struct ::linger drop {
      .l_onoff = 1, .l_linger = 0
    };  // what the kernel still holds for this reader goes too
    ::setsockopt(descriptor_.native_handle(), SOL_SOCKET, SO_LINGER, &drop, sizeof drop);
  }
  ErrorCode ignored;
  descriptor_.close(ignored);  // pending waits end with an error and let go of this object
  parser_.reset();
  drop_unparsed();
  drop_unsent();
  slot_.reset();
  forget_hold();
  end_work();
  if (std::exchange(counts_for_peer_, false)) loop_.shared().peer_connections.give(peer_);
  const std::shared_ptr<Connection> self = shared_from_this();
  loop_.remove(place_, rank_);
  if (why == Gone::kClientClosed && exchange_) Counters::add(&loop_.mutable_counters().client_gone);
  if (why == Gone::kSlowReader) Counters::add(&loop_.mutable_counters().slow_readers);
  if (why == Gone::kHostBytes) Counters::add(&loop_.mutable_counters().dropped_answers);
  if (why == Gone::kWriteTimeout) Counters::add(&loop_.mutable_counters().timeouts);
  if (exchange_) std::exchange(exchange_, nullptr)->finish(why);
}

// Half-closes and reads the peer's last bytes away: closing with unread bytes would send a reset, and a reset makes
// the peer's kernel throw away the answer we just sent.
void Connection::linger() {
  slot_.reset();
  end_work();
  parser_.reset();
  drop_unparsed();
  drop_unsent();
  state_ = State::kLingering;
  go_to(Rank::kLingering);
  ::shutdown(descriptor_.native_handle(), SHUT_WR);
  deadline_ms_ = loop_.now_ms() + kLingerMs;
  arm_read();
}

void Connection::tick(int64_t now_ms) {
  if (dirty_) flush();  // only left over when there was no memory for the wake-up
  guarded([&] {
    if (state_ == State::kAnswering) {
      if (watch_by_state_ && client_left_by_state()) return cut(Gone::kClientClosed);
      if (doom_ == Gone::kNo && !exchange_->answered() && exchange_.use_count() == 1) {
        log_caught("a handler dropped a request without an answer");
        Headers headers;
        if (std::string id = loop_.shared().choose_id({}); !id.empty()) headers.emplace_back(kIdHeader, std::move(id));
        exchange_->respond(500, "application/json",
                           R"({"error":{"message":"the request was dropped","type":"server_error","code":)"
                           R"("internal_error","param":null}})",
                           std::move(headers), ChargedBy::kHttp);
      }
    }
    if (state_ == State::kReading && parser_ && asked_to_end()) return;
    if (deadline_ms_ != 0 && now_ms >= deadline_ms_) expire();
  });
}

void Connection::expire() {
  deadline_ms_ = 0;
  switch (state_) {
    case State::kReading:
      if (!parser_) return cut(Gone::kNo);  // idle: nobody waits for an answer
      Counters::add(&loop_.mutable_counters().timeouts);
      return refuse(Fault{408, "request_timeout", "", "the request did not arrive in time: send it faster"});
    case State::kAnswering:
      return cut(Gone::kWriteTimeout);
    case State::kRefusing:
    case State::kLingering:
      return cut(Gone::kNo);
    case State::kClosed:
      return;
  }
}

// ---- Reading ----------------------------------------------------------------------------------------------------

void Connection::arm_read() {
  if (read_armed_ || state_ == State::kClosed) return;
  descriptor_.async_wait(Descriptor::wait_read, [self = shared_from_this()](const ErrorCode& error) {
    self->read_armed_ = false;
    if (!error) self->guarded([&] { self->on_readable(); });
  });
  read_armed_ = true;
}

void Connection::on_readable() {
  switch (state_) {
    case State::kReading:
      // The wait began before the connection was held: what is there is read once it is released, for an answer
      // that is made meanwhile would be held too, and its place with it.
      return held_at_ ? void() : read_request();
    case State::kAnswering:
      return watch_client();
    case State::kLingering:
      return discard();
    case State::kRefusing:
    case State::kClosed:
      return;
  }
}

// Never more than a head beyond what is parsed: pipelined requests wait in the kernel, not here.
size_t Connection::bytes_to_read() const {
  if (parser_ && parser_->phase() == RequestParser::Phase::kBody)
    return std::min(parser_->body_bytes_wanted(), kScratchBytes);
  const size_t head_bytes_max = loop_.shared().options.head_bytes_max;
  return std::clamp<size_t>(head_bytes_max - std::min(in_.size(), head_bytes_max), 1, kScratchBytes);
}

void Connection::read_request() {
  const ssize_t n = ::recv(descriptor_.native_handle(), loop_.scratch(), bytes_to_read(), 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return arm_read();
  if (n <= 0) return cut(Gone::kClientClosed);
  Counters::add(&loop_.mutable_counters().bytes_in, static_cast<uint64_t>(n));
  on_bytes({loop_.scratch(), static_cast<size_t>(n)});
}

// Between requests: the next one may have been read already, or half of it.
void Connection::begin_request() {
  state_ = State::kReading;
  watch_by_state_ = false;
  deadline_ms_ = loop_.now_ms() + loop_.shared().options.idle_timeout_ms;
  answered_us_ = loop_.now_us();
  if (hasty_ && paced_cost_ > 0) {
    const int64_t due_us = loop_.book(paced_by(), paced_cost_);
    if (due_us > loop_.now_us()) return hold_until(due_us);  // meanwhile the kernel's buffers hold the client back
  }
  read_next();
}

void Connection::read_next() {
  if (in_.empty()) return arm_read();
  on_bytes({});
}

void Connection::on_bytes(std::string_view bytes) {
  using Phase = RequestParser::Phase;
  if (!in_.empty()) bytes = in_.append(bytes);
  if (!parser_) {
    parser_ = std::make_unique<RequestParser>(loop_.shared().limits);
    hasty_ = !first_request_ && loop_.now_us() - answered_us_ < kHasteUs;
    paced_cost_ = 0;
    if (!first_request_) deadline_ms_ = loop_.now_ms() + loop_.shared().options.head_timeout_ms;
  }
  const bool in_head = parser_->phase() == Phase::kHead;
  size_t used = parser_->feed(bytes);
  if (in_head && (parser_->phase() == Phase::kBody || parser_->phase() == Phase::kDone)) {
    if (!enter(bytes.substr(used))) return;
    used += begin_body(bytes.substr(used));
    if (state_ != State::kReading) return;
  }
  Granted granted = hold_unparsed(bytes.substr(used));
  if (granted != Granted::kYes) return refuse(no_room_for_heads());
  act_on_parsed();
}

// rest: may be a part of in_. What is not parsed yet belongs to no request, so it has a budget of its own. Where
// that is full, heads that have been there in part for longest give way.
Granted Connection::hold_unparsed(std::string_view rest) {
  if (rest.empty()) {
    drop_unparsed();
    return Granted::kYes;
  }
  if (in_charge_.bytes() == 0) in_charge_ = ByteCharge(nullptr, ByteUse::kBody, loop_.shared().heads, share_);
  Granted granted = in_charge_.try_add(rest.size());
  while (granted != Granted::kYes && loop_.drop_half_head(this)) granted = in_charge_.try_add(rest.size());
  if (granted != Granted::kYes) {
    drop_unparsed();
    return granted;
  }
  std::string copy(rest);
  in_.swap(copy);
  in_charge_.give_back(in_charge_.bytes() - rest.size());
  return granted;
}

void Connection::drop_unparsed() {
  release(&in_);
  in_charge_.release();
}

// For a body that does not come with its head. RETURNS: true when the request has been refused.
bool Connection::watch_body() {
  const Hooks& hooks = loop_.shared().hooks;
  if (!hooks.watch_body) return false;
  parser_->request().id = request_id();
  parser_->request().watch = hooks.watch_body(parser_->request(), loop_.index());
  return asked_to_end();
}

bool Connection::asked_to_end() {
  BodyWatch* const watch = parser_->request().watch.get();
  const std::optional<Fault> fault = watch != nullptr ? watch->verdict() : std::nullopt;
  if (fault) answer_fault(*fault);  // its owner has counted it
  return fault.has_value();
}

// Of the request that is being read; a new one where there is none, or none that says so.
std::string Connection::request_id() {
  if (!parser_) return loop_.shared().choose_id({});
  const Request& request = parser_->request();
  return request.id.empty() ? loop_.shared().choose_id(request.header("x-request-id")) : request.id;
}

void Connection::act_on_parsed() {
  switch (parser_->phase()) {
    case RequestParser::Phase::kHead:
    case RequestParser::Phase::kBody:
      return arm_read();
    case RequestParser::Phase::kFailed:
      return refuse(Fault(parser_->fault()));
    case RequestParser::Phase::kDone:
      return hand_over();
  }
}

void Connection::hand_over() {
  head_only_ = parser_->head_only();
  http10_ = parser_->http10();
  keep_alive_ = parser_->keep_alive() && !loop_.draining() && rank_ != Rank::kSpare;
  std::string id = request_id();
  Request request = parser_->take();
  request.id = std::move(id);
  request.age_us = loop_.now_us() - head_us_;
  account_ = request.charge.account();
  parser_.reset();
  first_request_ = false;
  deadline_ms_ = 0;
  answer_ended_ = false;
  exchange_ = std::make_shared<ExchangeImpl>(loop_.shared_from_this(), this);
  state_ = State::kAnswering;
  Counters::add(&loop_.mutable_counters().requests);
  arm_read();  // to see the client leave
  loop_.shared().handler(std::move(request), exchange_);
}

void Connection::refuse(const Fault& fault) {
  const Hooks& hooks = loop_.shared().hooks;
  if (fault.status != 503 && fault.status != 429 && fault.status != 408) Counters::add(&loop_.mutable_counters().bad_requests);
  if (*fault.reason != '\0' && hooks.on_refusal) hooks.on_refusal(fault.reason, group_);
  answer_fault(fault);
}

// keep: what follows the request stays in in_.
void Connection::answer_fault(const Fault& fault, bool keep) {
  const std::string id = request_id();
  const FaultFrame frame{.head_only = parser_ && parser_->head_only(),
                         .close = !keep,
                         .http10 = parser_ && parser_->http10(),
                         .date = loop_.date(),
                         .id = id};
  out_ += format_fault(fault, frame);
  parser_.reset();
  if (!keep) drop_unparsed();
  end_work();
  kept_after_fault_ = keep;
  first_request_ = false;
  paced_cost_ = 1;
  state_ = State::kRefusing;
  deadline_ms_ = loop_.now_ms() + std::min(kLingerMs, loop_.shared().options.write_timeout_ms);
  send_when_due();
}

// The end of the stream means that the client left, even if it only closed its sending half: nobody who still wants
// tokens does that.
void Connection::watch_client() {
  char byte;
  const ssize_t n = ::recv(descriptor_.native_handle(), &byte, 1, MSG_PEEK);
  if (n > 0) {
    watch_by_state_ = true;  // a pipelined request: waiting again would spin
    return;
  }
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return arm_read();
  cut(Gone::kClientClosed);
}

bool Connection::client_left_by_state() {
  pollfd state{.fd = descriptor_.native_handle(), .events = POLLRDHUP, .revents = 0};
  if (::poll(&state, 1, 0) > 0 && (state.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0) return true;
  if (peer_.empty()) return false;  // a Unix socket, of which that is all there is to know
  tcp_info info{};
  socklen_t length = sizeof info;
  if (::getsockopt(descriptor_.native_handle(), IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return true;
  return info.tcpi_state != TCP_ESTABLISHED;
}

void Connection::discard() {
  const ssize_t n = ::recv(descriptor_.native_handle(), loop_.scratch(), kScratchBytes, 0);
  if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR))) return arm_read();
  cut(Gone::kNo);
}

}  // namespace weir::http
