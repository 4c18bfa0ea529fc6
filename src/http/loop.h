// Loop: one io thread: its io_context, listener, connections, mailbox and clock tick. Internal.
//
// Owner: the Server and every live exchange jointly (an exchange may be posted to after the server is gone).
// Thread: run() makes the calling thread the io thread; methods are for it alone unless they say "any thread".
// Limits: Options; the mailbox is bounded by those who post to it. It never blocks on a socket.
#pragma once

#include <array>
#include <atomic>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "http/asio.h"
#include "http/mailbox.h"
#include "http/pacer.h"
#include "http/shared.h"

namespace weir::http {

class Connection;

inline constexpr size_t kScratchBytes = 64 * 1024;  // one read; shared by all connections of a loop
inline constexpr size_t kLingerMax = 128;  // sockets per loop that wait for the peer to read its last answer

// Written by the loop's thread, read by any.
struct Counters {
  std::atomic<uint64_t> accepted{0}, requests{0}, bytes_in{0}, bytes_out{0}, refused_connections{0},
      bad_requests{0}, timeouts{0}, client_gone{0}, slow_readers{0}, gave_way{0}, held{0}, dropped_answers{0};
  static void add(std::atomic<uint64_t>* counter, uint64_t by = 1) {
    counter->store(counter->load(std::memory_order_relaxed) + by, std::memory_order_relaxed);  // one writer
  }
};

// What a connection may be asked to give up. Each rank of a loop is a list, the one that has been in it longest
// first.
enum class Rank : uint8_t {
  kSpare,      // holds one of Options::spare_connections_max
  kStranger,   // holds a slot and has shown no key yet, or a wrong one
  kIdle,       // its last request was somebody's; the next has not begun, or is a part of a head
  kBusy,       // has a request under way: never gives way
  kLingering,  // holds no slot; waits for its peer to read the last answer
};
inline constexpr size_t kRanks = 5;

// Whose pace counts for an answer that serves nobody.
struct PacedBy {
  bool stranger = false;
  int group = -1;      // -1: anybody's
  bool hasty = false;  // its request came right behind the answer before
};
PaceRule choose_pace(const Options& options);

class Loop : public std::enable_shared_from_this<Loop> {
 public:
  using Connections = std::list<std::shared_ptr<Connection>>;

  Loop(std::shared_ptr<Shared> shared, int index, int listener_fd);  // takes the descriptor
  ~Loop();

  void run();                                             // until stop(); the io thread's body
  bool post(Callback callback) {
    return mailbox_.post(std::move(callback));
  }                                                       // any thread. RETURNS: false once the loop has ended
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
  void move(Connections::iterator place, Rank from, Rank to);       // to the end of that rank
  void remove(Connections::iterator place, Rank rank);
  // A slot for a connection that has work; where there is none, the longest idle connection gives way.
  std::optional<ConnectionSlot> take_slot();
  // Answers that serve nobody leave at a bounded rate, and whoever asks at once again is read again when it is due.
  // RETURNS: when, in now_us().
  using Held = std::multimap<int64_t, Connection*>;
  int64_t book(const PacedBy& who, int cost);
  void give_back_booking(const PacedBy& who, int cost);
  void note_served(const PacedBy& who);
  Held::iterator hold(Connection* connection, int64_t due_us);  // calls on_released() then
  void unhold(Held::iterator place) { held_.erase(place); }
  // Ends one request of which only a part of the head is there, the oldest; not `asking`'s. RETURNS: false: there
  // is none.
  bool drop_half_head(const Connection* asking);

 private:
  void wait_for_connections();
  void accept_some();
  struct Pace {
    Pacer calm, hasty;
  };
  Pace& pace_of(const PacedBy& who);
  void arm_hold_timer();
  void release_due();
  void adopt(int fd, std::string peer);
  Rank choose_slot(std::optional<ConnectionSlot>* slot);
  bool give_way(Rank rank);
  Connections& of(Rank rank) { return ranks_[static_cast<size_t>(rank)]; }
  bool empty() const;
  template <class F>
  void for_everybody(F&& visit);  // one may end another meanwhile
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
  std::array<Connections, kRanks> ranks_;
  const PaceRule pace_rule_;
  std::vector<Pace> paces_;  // one a group, anybody's, strangers'
  Held held_;
  Timer hold_timer_;
  std::vector<std::shared_ptr<Connection>> dirty_, flushing_, visited_;  // reserved for every connection
  bool flush_scheduled_ = false, in_batch_ = false, draining_ = false, listening_ = true, stopping_ = false, ticking_ = false;
  int64_t accept_paused_until_ms_ = 0, accept_logged_ms_ = 0;
  const SteadyClock clock_;
  Counters counters_;
  int64_t date_second_ = -1;
  std::string date_;

  std::vector<Callback> batch_;  // what the mailbox held
};

}  // namespace weir::http
