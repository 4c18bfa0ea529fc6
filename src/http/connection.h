// Connection: one socket and the request on it. Internal.
//
// Owner: its Loop's list and the pending waits. Thread: the loop's. A state machine of completion handlers over
// non-blocking recv and send: a parked stream holds no coroutine frame, no parser and no read buffer, which is what
// keeps it near a kilobyte. The read side always waits for readability: for a request, or to see the client leave.
// Limits: Options. Deadlines are checked by the loop's tick, so no wait is without one while the client owes us
// bytes or owes us reading; while an answer is being computed, whoever computes it owns the deadline.
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/asio.h"
#include "http/log_caught.h"
#include "http/loop.h"
#include "http/parser.h"
#include "http/server.h"

namespace weir::http {

class ExchangeImpl;

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // slot: none for a connection that is refused. Takes the descriptor.
  Connection(Loop* loop, int fd, std::optional<ConnectionSlot> slot, std::string peer);

  // For the loop. None of these throws: without memory the connection is dropped and nothing else.
  // one_too_many: of its peer. Such a connection, and one without a slot, hears 503 and is closed.
  void start(Loop::Connections::iterator place, Rank rank, bool one_too_many);
  bool give_up_half_head();  // RETURNS: false where there is none
  void tick(int64_t now_ms);
  void drain();        // no further request on this connection
  void flush();        // sends what is there
  void on_released();  // it was held, and its moment has come
  void cut(Gone why);  // closes now; tells the exchange

  // For its exchange; only between hand-over and the end of the answer.
  void answer_whole(int status, std::string_view content_type, std::string body, const Headers& headers,
                    ChargedBy charged_by);
  void answer_stream(int status, std::string_view content_type, const Headers& headers);
  bool append(std::string_view bytes);  // see Exchange::write
  void end_answer();
  void doom(Gone why) noexcept;  // cut, but not inside the caller's call
  Gone doomed() const { return doom_; }
  size_t unsent_bytes() const { return out_.size() - out_sent_ + body_.size() - body_sent_; }

 private:
  enum class State : uint8_t { kReading, kAnswering, kRefusing, kLingering, kClosed };
  enum class Sent { kAll, kBlocked, kMore, kBroken };

  // Every turn of the event loop goes through here: without memory this connection pays, and nobody else.
  template <class F>
  void guarded(F&& body) noexcept {
    try {
      body();
    } catch (const std::exception& error) {
      log_caught(error);
      cut(Gone::kShutdown);
    }
  }
  void arm_read();
  void arm_write();
  void on_readable();
  void read_request();
  void watch_client();
  void discard();
  void begin_request();
  void read_next();
  PacedBy paced_by() const { return {.stranger = of_stranger_, .group = group_, .hasty = hasty_}; }
  void hold_until(int64_t due_us);
  void send_when_due();
  void forget_hold();
  void on_bytes(std::string_view bytes);
  bool enter(std::string_view rest);
  bool begin_work(const HeadVerdict& verdict);
  size_t begin_body(std::string_view rest);
  void end_work();
  void go_to(Rank rank);
  size_t bytes_to_read() const;
  Granted hold_unparsed(std::string_view rest);
  void drop_unparsed();
  bool watch_body();
  bool asked_to_end();
  std::string request_id();
  void act_on_parsed();
  void hand_over();
  void refuse(const Fault& fault);  // counted as a bad request where it is one
  void refuse_connection(const Fault& fault);  // for want of a place
  void refuse_head(const Fault& fault, std::string_view rest);
  void answer_fault(const Fault& fault, bool keep = false);
  ByteCharge socket_charge();
  void expire();
  Sent send_some();
  bool room_in_out(size_t more_bytes);
  bool send_for_room(size_t more_bytes);
  bool append_out(std::string_view bytes);
  bool charge_body(ChargedBy charged_by);
  void drop_unsent();
  void on_blocked();
  void on_flushed();
  void finish_answer();
  void linger();
  void mark_dirty() noexcept;
  bool client_left_by_state();

  Loop& loop_;
  Descriptor descriptor_;
  std::optional<ConnectionSlot> slot_;
  Loop::Connections::iterator place_;
  Rank rank_ = Rank::kStranger;
  std::unique_ptr<RequestParser> parser_;   // only while a request is being read
  std::shared_ptr<ExchangeImpl> exchange_;  // only while one is being answered
  std::string in_;                          // read but not parsed: part of a head, or a pipelined request
  ByteCharge in_charge_;                    // for in_, so that many half heads are bounded too
  std::string out_;                         // to be sent first
  std::string body_;                        // then this
  std::shared_ptr<ByteAccount> account_;    // of the request that is being answered, once it was needed
  ByteCharge out_charge_, body_charge_;     // for what out_ and body_ have beyond kOutKeepBytes
  size_t out_sent_ = 0, body_sent_ = 0;
  size_t sent_since_deadline_bytes_ = 0;  // since the write deadline was set
  int64_t deadline_ms_ = 0;               // 0: none
  int64_t head_us_ = 0;                   // when the head of the request being read was complete
  const std::string peer_;
  State state_ = State::kReading;
  Gone doom_ = Gone::kNo;
  Lane lane_ = Lane::kWork;  // of the request that is being read or answered
  ByteShare share_;          // of its sender, as far as that is known
  int group_ = -1;           // of its sender; -1: none
  int cost_ = 1;             // of its answer where that serves nobody
  int paced_cost_ = 0;       // of the last answer; 0: it served somebody
  int64_t answered_us_ = 0;  // when the last answer was out, or the connection was released
  bool hasty_ = false;       // the request came right behind that
  std::optional<Loop::Held::iterator> held_at_;
  int counted_group_ = -1;  // for which Shared::group_connections counts this connection; -1: none
  bool of_stranger_ = true;
  bool counts_for_peer_ = false;
  bool read_armed_ = false, write_armed_ = false, dirty_ = false;
  bool watch_by_state_ = false;  // pipelined bytes hide the end of the stream: look at the TCP state instead
  bool head_only_ = false, http10_ = false, keep_alive_ = false, chunked_ = false, answer_ended_ = false;
  bool kept_after_fault_ = false;
  bool mute_body_ = false;  // HEAD, 204, 304
  bool first_request_ = true;
};

}  // namespace weir::http
