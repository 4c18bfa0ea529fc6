// The part of Connection that keeps answers at their pace: what serves nobody leaves when it is due, and a client
// in haste is read again when it is due.
#include "http/connection.h"

namespace weir::http {

// The first answer of a client that is in no haste, and whatever an open route says to it, is only held where too
// many such are due; a client in haste has its answer now and pays before its next request is read.
void Connection::send_when_due() {
  if (paced_cost_ > 0 && !hasty_ && (state_ == State::kRefusing || lane_ != Lane::kOpen) && !loop_.draining()) {
    const int64_t due_us = loop_.book(paced_by(), paced_cost_);
    if (due_us > loop_.now_us()) return hold_until(due_us);
  }
  mark_dirty();
}

// While it is held it has no work: it may give way like one that idles.
void Connection::hold_until(int64_t due_us) {
  if (state_ != State::kReading) {
    deadline_ms_ = 0;
    end_work();
    if (slot_ && rank_ != Rank::kSpare) go_to(of_stranger_ ? Rank::kStranger : Rank::kIdle);
  }
  held_at_ = loop_.hold(this, due_us);
}

void Connection::on_released() {
  const std::shared_ptr<Connection> self = shared_from_this();
  loop_.unhold(*held_at_);
  held_at_.reset();
  guarded([&] {
    if (state_ == State::kReading) {
      answered_us_ = loop_.now_us();  // what is there already was sent in haste
      return read_next();
    }
    if (state_ == State::kRefusing) deadline_ms_ = loop_.now_ms() + loop_.shared().options.write_timeout_ms;
    mark_dirty();
  });
}

void Connection::forget_hold() {
  if (!held_at_) return;
  loop_.unhold(*held_at_);
  loop_.give_back_booking(paced_by(), paced_cost_);
  held_at_.reset();
}

}  // namespace weir::http
