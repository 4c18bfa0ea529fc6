#include "http/loop.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "http/connection.h"
#include "http/log_caught.h"
#include "http/response.h"

namespace weir::http {
namespace {

constexpr int kAcceptsPerTurn = 64;      // then others get a turn
constexpr int64_t kAcceptPauseMs = 100;  // without descriptors, accepting again at once would only spin
constexpr int64_t kAcceptLogEveryMs = 10'000;

thread_local const Loop* current_loop = nullptr;

int64_t choose_tick_ms(const Options& options) {
  const int64_t shortest = std::min(
      {options.head_timeout_ms, options.body_timeout_ms, options.idle_timeout_ms, options.write_timeout_ms});
  return std::clamp<int64_t>(std::min(shortest / 4, options.tick_ms_max), 5, 200);
}

std::string peer_name(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(address).sin_addr, text, sizeof text);
  } else if (address.ss_family == AF_INET6) {
    inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6&>(address).sin6_addr, text, sizeof text);
  }
  return text;
}

}  // namespace

Loop::Loop(std::shared_ptr<Shared> shared, int index, int listener_fd)
    : shared_(std::move(shared)),
      index_(index),
      listener_(context_, listener_fd),
      tick_timer_(context_),
      tick_ms_(choose_tick_ms(shared_->options)),
      scratch_(std::make_unique<char[]>(kScratchBytes)),
      pace_rule_(choose_pace(shared_->options)),
      paces_(kGroupsMax + 2),
      hold_timer_(context_) {
  dirty_.reserve(shared_->options.connections_max + shared_->options.spare_connections_max + kAcceptsPerTurn +
                 kLingerMax);
  flushing_.reserve(dirty_.capacity());
  visited_.reserve(dirty_.capacity());
  batch_.reserve(Mailbox::kReserved);
}

Loop::~Loop() = default;

bool Loop::on_thread() const { return current_loop == this; }

int64_t Loop::now_ms() const { return now_us() / 1000; }

std::string_view Loop::date() {
  const int64_t now = unix_seconds();
  if (now != date_second_) {
    date_ = format_date(now);
    date_second_ = now;
  }
  return date_;
}

void Loop::run() {
  current_loop = this;
  for (;;) {
    try {
      context_.run();
      break;
    } catch (const std::exception& error) {  // bad_alloc from the context itself: what was queued stays queued
      log_caught(error);
    }
  }
  mailbox_.end_wakes();
  do {
    drain_mailbox();  // what was posted while stopping still runs
  } while (!mailbox_.close_if_empty());
  current_loop = nullptr;
}

void Loop::drain_mailbox() {
  mailbox_.take(&batch_);
  in_batch_ = true;
  for (Callback& callback : batch_) {
    try {
      std::exchange(callback, Callback())();
    } catch (const std::exception& error) {
      log_caught(error);
    }
  }
  batch_.clear();
  in_batch_ = false;
  flush_dirty();
}

void Loop::add_dirty(std::shared_ptr<Connection> connection) noexcept {
  if (dirty_.size() == dirty_.capacity()) return;  // only refusals beyond the slots; the tick flushes them
  dirty_.push_back(std::move(connection));         // reserved: cannot throw
  if (!in_batch_) schedule_flush();
}

void Loop::schedule_flush() noexcept {
  if (flush_scheduled_ || dirty_.empty()) return;
  try {
    asio::post(context_, [this] {
      flush_scheduled_ = false;
      flush_dirty();
    });
    flush_scheduled_ = true;
  } catch (const std::exception&) {
    // No memory for the wake-up: the tick flushes what is left.
  }
}

// One round only: connections that become dirty meanwhile wait for the next, so that nobody starves the sockets.
void Loop::flush_dirty() {
  if (!flushing_.empty()) return;
  flushing_.swap(dirty_);
  for (auto& connection : flushing_) std::exchange(connection, nullptr)->flush();
  flushing_.clear();
  schedule_flush();
}

void Loop::accept_connections() {
  if (!stopping_ && listening_) wait_for_connections();
}

void Loop::wait_for_connections() {
  listener_.async_wait(Descriptor::wait_read, [this](const ErrorCode& error) {
    if (error || !listening_ || stopping_) return;
    accept_some();
  });
}

void Loop::accept_some() {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    const int fd = ::accept4(listener_.native_handle(), reinterpret_cast<sockaddr*>(&address), &length,
                             SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      adopt(fd, peer_name(address));
      continue;
    }
    if (errno == EAGAIN) break;
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) return pause_accepting(errno);
    // Anything else belongs to the one connection that failed (ECONNABORTED and its like).
  }
  wait_for_connections();
}

void Loop::adopt(int fd, std::string peer) {
  Counters::add(&counters_.accepted);
  std::shared_ptr<Connection> connection;
  try {
    const bool one_too_many = !shared_->peer_connections.try_take(peer);
    std::optional<ConnectionSlot> slot;
    const Rank rank = one_too_many ? Rank::kBusy : choose_slot(&slot);
    connection = std::make_shared<Connection>(this, fd, std::move(slot), std::move(peer));
    fd = -1;
    of(rank).push_back(connection);
    connection->start(std::prev(of(rank).end()), rank, one_too_many);
    arm_tick();
  } catch (const std::exception& error) {
    log_caught(error);
    if (fd >= 0 && !connection) ::close(fd);
  }
}

void Loop::pause_accepting(int error) {
  const int64_t now = now_ms();
  accept_paused_until_ms_ = now + kAcceptPauseMs;
  if (now - accept_logged_ms_ >= kAcceptLogEveryMs) {
    accept_logged_ms_ = now;
    log_warning("http", std::string("cannot accept connections: ") + std::strerror(error) +
                            "; trying again 10 times a second; raise the descriptor limit (ulimit -n)");
  }
  arm_tick();
}

template <class F>
void Loop::for_everybody(F&& visit) {
  for (const Connections& rank : ranks_) {
    for (const auto& connection : rank) {
      if (visited_.size() < visited_.capacity()) visited_.push_back(connection);  // reserved: cannot throw
    }
  }
  for (auto& connection : visited_) visit(std::exchange(connection, nullptr).get());
  visited_.clear();
}

void Loop::arm_tick() {
  if (ticking_ || stopping_) return;
  ticking_ = true;
  tick_timer_.expires_after(std::chrono::milliseconds(tick_ms_));
  tick_timer_.async_wait([this](const ErrorCode& error) {
    ticking_ = false;
    if (!error) tick();
  });
}

void Loop::tick() {
  const int64_t now = now_ms();
  for_everybody([now](Connection* connection) { connection->tick(now); });
  if (shared_->hooks.on_tick) shared_->hooks.on_tick(index_);
  flush_dirty();
  if (accept_paused_until_ms_ != 0 && now >= accept_paused_until_ms_) {
    accept_paused_until_ms_ = 0;
    accept_connections();
  }
  if (!empty() || accept_paused_until_ms_ != 0) arm_tick();
}

void Loop::stop_accepting() {
  listening_ = false;
  ErrorCode ignored;
  listener_.close(ignored);
  drain();
}

void Loop::drain() {
  draining_ = true;
  for_everybody([](Connection* connection) { connection->drain(); });
}

void Loop::stop() {
  stop_accepting();
  stopping_ = true;
  while (!empty()) {
    for_everybody([](Connection* connection) { connection->cut(Gone::kShutdown); });
  }
  tick_timer_.cancel();
  hold_timer_.cancel();
  work_.reset();
}

}  // namespace weir::http
