// The writing half of Connection: answers into the out-buffer, the out-buffer into the socket.
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>

#include "http/connection.h"
#include "http/exchange.h"
#include "http/response.h"

namespace weir::http {
namespace {

constexpr size_t kWriteProgressBytes = 64 * 1024;  // so much sent earns a new write deadline
constexpr size_t kWriteTurnBytes = 1024 * 1024;    // then other connections get a turn
constexpr size_t kOutKeepBytes = 1024;             // larger buffers go back to the heap once they are empty

constexpr size_t kChunkFrameBytes = 32;            // around one chunk, and the last one

void release(std::string* text) { std::string().swap(*text); }

}  // namespace

// ---- Bytes that wait
// ---------------------------------------------------------------------------------------------- What a connection
// keeps for its answer up to kOutKeepBytes is in the plan's line "connections"; more is charged to the request, or
// to the budget of control answers, before it is allocated, the old buffer and the new one together while a copy is
// under way.

// What an answer of the open or the control lane leaves unread touches no request's bytes.
ByteCharge Connection::socket_charge() {
  if (lane_ != Lane::kWork) return {nullptr, ByteUse::kSocket, loop_.shared().control, share_};
  if (!account_) account_ = loop_.shared().open_account(group_);
  return {account_, ByteUse::kSocket};
}

bool Connection::room_in_out(size_t more_bytes) {
  if (out_.capacity() - out_.size() >= more_bytes) return true;
  const size_t need = out_.size() - out_sent_ + more_bytes;
  size_t capacity = std::max(need, std::min(2 * out_.capacity(), std::max(kOutKeepBytes, 2 * need)));
  if (capacity > kOutKeepBytes) {
    if (!out_charge_.charges_somebody()) out_charge_ = socket_charge();
    Granted granted = out_charge_.try_add(capacity);
    if (granted != Granted::kYes && capacity > need + need / 4) granted = out_charge_.try_add(capacity = need + need / 4);
    if (granted != Granted::kYes) return false;
  }
  std::string larger;
  larger.reserve(capacity);
  larger.append(out_, out_sent_);
  out_.swap(larger);
  out_sent_ = 0;
  out_charge_.give_back(out_charge_.bytes() - (capacity > kOutKeepBytes ? capacity : 0));
  return true;
}

// What the kernel takes now needs no memory here. RETURNS: false when the bytes do not fit all the same; a client that
// does not read is then cut off.
bool Connection::send_for_room(size_t more_bytes) {
  if (room_in_out(more_bytes)) return true;
  const Sent sent = write_armed_ ? Sent::kBlocked : send_some();
  if (sent != Sent::kAll) {
    doom(sent == Sent::kBroken ? Gone::kClientClosed : Gone::kHostBytes);
    return false;
  }
  out_.clear();
  out_sent_ = 0;
  return room_in_out(more_bytes);
}

// For the parts of an answer without which it is none.
bool Connection::append_out(std::string_view bytes) {
  if (!send_for_room(bytes.size())) {
    doom(Gone::kHostBytes);
    return false;
  }
  out_.append(bytes);
  return true;
}

// RETURNS: false where the kernel must take the body now, or nobody keeps it.
bool Connection::charge_body(ChargedBy charged_by) {
  if (charged_by == ChargedBy::kCaller || body_.capacity() <= kOutKeepBytes) return true;
  body_charge_ = socket_charge();
  return body_charge_.try_add(body_.capacity()) == Granted::kYes;
}

void Connection::drop_unsent() {
  release(&out_);
  release(&body_);
  out_charge_ = {};
  body_charge_ = {};
  out_sent_ = body_sent_ = 0;
}

// ---- Answers ------------------------------------------------------------------------------------------------------

void Connection::answer_whole(int status, std::string_view content_type, std::string body, const Headers& headers,
                              ChargedBy charged_by) {
  if (loop_.draining() || asks_to_close(headers)) keep_alive_ = false;
  ResponseHead head{.status = status,
                    .content_type = content_type,
                    .close = !keep_alive_,
                    .http10 = http10_,
                    .date = loop_.date()};
  if (status_has_body(status)) head.length_bytes = body.size();
  if (!append_out(format_head(head, headers))) return;
  if (status_has_body(status) && !head_only_) body_ = std::move(body);
  const bool charged = charge_body(charged_by);
  paced_cost_ = lane_ == Lane::kWork && status < 400 ? 0 : cost_;
  if (paced_cost_ == 0) loop_.note_served(paced_by());
  end_answer();
  if (charged) return;
  const Sent sent = send_some();
  if (sent != Sent::kAll) doom(sent == Sent::kBroken ? Gone::kClientClosed : Gone::kHostBytes);
}

void Connection::answer_stream(int status, std::string_view content_type, const Headers& headers) {
  loop_.note_served(paced_by());
  chunked_ = !http10_;
  mute_body_ = head_only_ || !status_has_body(status);
  if (loop_.draining() || asks_to_close(headers) || (http10_ && !mute_body_)) keep_alive_ = false;
  const ResponseHead head{.status = status,
                          .content_type = content_type,
                          .chunked = chunked_ && status_has_body(status),
                          .close = !keep_alive_,
                          .http10 = http10_,
                          .date = loop_.date()};
  if (!append_out(format_head(head, headers))) return;
  if (mute_body_) chunked_ = false;
  mark_dirty();
}

bool Connection::append(std::string_view bytes) {
  if (mute_body_) return true;
  if (!send_for_room(bytes.size() + kChunkFrameBytes)) return doom_ != Gone::kNo;
  if (chunked_) {
    append_chunk(&out_, bytes);
  } else {
    out_ += bytes;
  }
  const size_t limit = loop_.shared().options.out_bytes_max;
  if (unsent_bytes() > limit && (write_armed_ || send_some() == Sent::kBlocked) && unsent_bytes() > limit) {
    doom(Gone::kSlowReader);
  } else {
    mark_dirty();
  }
  return true;
}

void Connection::end_answer() {
  if (chunked_ && !append_out(kLastChunk)) return;
  chunked_ = false;
  answer_ended_ = true;
  send_when_due();
}

void Connection::doom(Gone why) noexcept {
  if (doom_ != Gone::kNo || state_ == State::kClosed) return;
  doom_ = why;
  drop_unsent();
  if (!dirty_) {
    dirty_ = true;
    loop_.add_dirty(shared_from_this());
  }
}

void Connection::mark_dirty() noexcept {
  if (dirty_ || write_armed_ || state_ == State::kClosed) return;
  dirty_ = true;
  loop_.add_dirty(shared_from_this());
}

void Connection::flush() {
  dirty_ = false;
  if (state_ == State::kClosed || state_ == State::kLingering) return;
  if (doom_ != Gone::kNo) return cut(doom_);
  if (held_at_) return;
  guarded([&] {
    switch (send_some()) {
      case Sent::kAll:
        return on_flushed();
      case Sent::kBlocked:
        return on_blocked();
      case Sent::kMore:
        return mark_dirty();
      case Sent::kBroken:
        return cut(Gone::kClientClosed);
    }
  });
}

Connection::Sent Connection::send_some() {
  size_t turn_bytes = 0;
  while (unsent_bytes() > 0) {
    if (turn_bytes >= kWriteTurnBytes) return Sent::kMore;
    iovec parts[2] = {{out_.data() + out_sent_, out_.size() - out_sent_},
                      {body_.data() + body_sent_, std::min(body_.size() - body_sent_, kWriteTurnBytes)}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    const ssize_t n = ::sendmsg(descriptor_.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN || errno == ENOBUFS ? Sent::kBlocked : Sent::kBroken;
    const size_t sent = static_cast<size_t>(n);
    const size_t from_out = std::min(sent, out_.size() - out_sent_);
    out_sent_ += from_out;
    body_sent_ += sent - from_out;
    turn_bytes += sent;
    sent_since_deadline_bytes_ += sent;
    Counters::add(&loop_.mutable_counters().bytes_out, sent);
  }
  return Sent::kAll;
}

void Connection::arm_write() {
  if (write_armed_) return;
  descriptor_.async_wait(Descriptor::wait_write, [self = shared_from_this()](const ErrorCode& error) {
    self->write_armed_ = false;
    if (!error) self->flush();
  });
  write_armed_ = true;
}

void Connection::on_blocked() {
  if (out_sent_ >
      0) {  // what is sent makes room at once, so the cap holds for memory and not only for the difference
    out_.erase(0, out_sent_);
    out_sent_ = 0;
  }
  if (state_ == State::kAnswering && (deadline_ms_ == 0 || sent_since_deadline_bytes_ >= kWriteProgressBytes)) {
    deadline_ms_ = loop_.now_ms() + loop_.shared().options.write_timeout_ms;
    sent_since_deadline_bytes_ = 0;
  }
  arm_write();
}

void Connection::on_flushed() {
  out_sent_ = body_sent_ = 0;
  out_.clear();
  if (out_.capacity() > kOutKeepBytes) release(&out_);
  out_charge_.release();
  if (body_.capacity() > 0) release(&body_);
  body_charge_ = {};
  if (state_ == State::kRefusing) return kept_after_fault_ && !loop_.draining() ? begin_request() : linger();
  if (state_ != State::kAnswering) return;
  deadline_ms_ = 0;
  if (answer_ended_) finish_answer();
}

void Connection::finish_answer() {
  drop_unsent();
  account_ = nullptr;
  const std::shared_ptr<ExchangeImpl> exchange = std::exchange(exchange_, nullptr);
  state_ = State::kReading;
  exchange->finish(Gone::kNo);
  if (!keep_alive_ || loop_.draining()) return linger();
  end_work();
  go_to(of_stranger_ ? Rank::kStranger : Rank::kIdle);
  begin_request();
}

}  // namespace weir::http
