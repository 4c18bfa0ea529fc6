// Loop: one io thread: its io_context, listener, connections, mailbox and clock tick. Internal.
//
// Owner: the Server and every live exchange jointly (an exchange may be posted to after the server is gone).
// Thread: run() makes the calling thread the io thread; methods are for it alone unless they say "any thread".
// Limits: Options; the mailbox is bounded by those who post to it. It never blocks on a socket.
#pragma once

#include <atomic>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "http/asio.h"
#include "http/mailbox.h"
#include "http/parser.h"
#include "http/server.h"

namespace weir::http {

class Connection;

inline constexpr size_t kScratchBytes = 64 * 1024;  // one read; shared by all connections of a loop
inline constexpr size_t kLingerMax = 128;  // sockets per loop that wait for the peer to read its last answer

// What all loops of a server share.
struct Shared {
  Shared(Options server_options, Handler request_handler, std::shared_ptr<ByteBook> byte_book, Hooks server_hooks)
      : options(std::move(server_options)),
        limits{options.head_bytes_max, options.body_bytes_max},
        handler(std::move(request_handler)),
        book(std::move(byte_book)),
        hooks(std::move(server_hooks)),
        budget(std::make_shared<BodyBudget>(options.body_bytes_total_max)) {}
  std::string choose_id(std::string_view wanted) { return hooks.choose_id ? hooks.choose_id(wanted) : std::string(); }
  std::shared_ptr<ByteAccount> open_account() { return book ? book->open() : nullptr; }
  const Options options;
  const ParseLimits limits;
  const Handler handler;
  const std::shared_ptr<ByteBook> book;  // may be null
  const Hooks hooks;
  const std::shared_ptr<BodyBudget> budget;
  std::atomic<size_t> connections{0};  // slots taken
};

// One of Options::connections_max places. Move-only.
class [[nodiscard]] ConnectionSlot {
 public:
  static std::optional<ConnectionSlot> try_take(Shared* shared);
  ConnectionSlot(ConnectionSlot&& other) noexcept : shared_(std::exchange(other.shared_, nullptr)) {}
  ConnectionSlot& operator=(ConnectionSlot&&) = delete;
  ~ConnectionSlot() {
    if (shared_ != nullptr) shared_->connections.fetch_sub(1, std::memory_order_relaxed);
  }

 private:
  explicit ConnectionSlot(Shared* shared) : shared_(shared) {}
  Shared* shared_;
};

// Written by the loop's thread, read by any.
struct Counters {
  std::atomic<uint64_t> accepted{0}, requests{0}, bytes_in{0}, bytes_out{0}, refused_connections{0},
      bad_requests{0}, timeouts{0}, client_gone{0}, slow_readers{0};
  static void add(std::atomic<uint64_t>* counter, uint64_t by = 1) {
    counter->store(counter->load(std::memory_order_relaxed) + by, std::memory_order_relaxed);  // one writer
  }
};

class Loop : public std::enable_shared_from_this<Loop> {
 public:
  using Connections = std::list<std::shared_ptr<Connection>>;

  Loop(std::shared_ptr<Shared> shared, int index, int listener_fd);  // takes the descriptor
  ~Loop();

  void run();                                             // until stop(); the io thread's body
  bool post(Callback callback) { return mailbox_.post(std::move(callback)); }  // any thread. RETURNS: false once the loop has ended
  const Counters& counters() const { return counters_; }  // any thread
  int index() const { return index_; }                    // any thread
  bool on_thread() const;                                 // any thread

  void accept_connections();  // begins
  void drain();           // no further request on any connection; new connections may still come
  void stop_accepting();  // and none of those
  void stop();

  // For its connections.
  Shared& shared() { return *shared_; }
  IoContext& context() { return context_; }
  Counters& mutable_counters() { return counters_; }
  char* scratch() { return scratch_.get(); }  // kScratchBytes, valid until the next read
  bool draining() const { return draining_; }
  int64_t now_ms() const;  // steady
  int64_t now_us() const { return clock_.now_us(); }  // the same clock
  std::string_view date();
  void add_dirty(std::shared_ptr<Connection> connection) noexcept;  // flush() it after this turn
  void remove(Connections::iterator place);
  bool begin_linger();  // RETURNS: false when too many linger already
  void end_linger() { --lingering_; }

 private:
  void wait_for_connections();
  void accept_some();
  void adopt(int fd, std::string peer);
  void pause_accepting(int error);
  void drain_mailbox();
  void flush_dirty();
  void schedule_flush() noexcept;
  void arm_tick();
  void tick();

  const std::shared_ptr<Shared> shared_;
  const int index_;
  Mailbox mailbox_{&context_, [this] { drain_mailbox(); }};  // its wake-up may lie in the context until that ends
  IoContext context_{1};
  WorkGuard work_{context_.get_executor()};
  Descriptor listener_;
  Timer tick_timer_;
  const int64_t tick_ms_;
  const std::unique_ptr<char[]> scratch_;
  Connections connections_;
  size_t lingering_ = 0;
  std::vector<std::shared_ptr<Connection>> dirty_, flushing_;  // reserved to connections_max
  bool flush_scheduled_ = false, in_batch_ = false, draining_ = false, listening_ = true, stopping_ = false, ticking_ = false;
  int64_t accept_paused_until_ms_ = 0, accept_logged_ms_ = 0;
  const SteadyClock clock_;
  Counters counters_;
  int64_t date_second_ = -1;
  std::string date_;

  std::vector<Callback> batch_;  // what the mailbox held
};

}  // namespace weir::http
