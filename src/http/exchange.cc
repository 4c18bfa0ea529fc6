#include "http/exchange.h"

#include <exception>

#include "base/check.h"
#include "http/log_caught.h"

namespace weir::http {

Exchange::~Exchange() = default;

const char* gone_name(Gone gone) {
  switch (gone) {
    case Gone::kNo:
      return "no";
    case Gone::kClientClosed:
      return "client_closed";
    case Gone::kSlowReader:
      return "slow_reader";
    case Gone::kWriteTimeout:
      return "write_timeout";
    case Gone::kHostBytes:
      return "host_bytes_full";
    case Gone::kCut:
      return "aborted";
    case Gone::kShutdown:
      return "shutdown";
  }
  return "?";
}

bool ExchangeImpl::may_act() const {
  WEIR_CHECK(loop_->on_thread());
  return connection_ != nullptr && connection_->doomed() == Gone::kNo;
}

// Without memory for an answer there is no answer: the connection is dropped from the event loop.
template <class F>
void ExchangeImpl::act(F&& body) {
  try {
    body();
  } catch (const std::exception& error) {
    log_caught(error);
    connection_->doom(Gone::kShutdown);
  }
}

void ExchangeImpl::respond(int status, std::string_view content_type, std::string body, Headers headers,
                           ChargedBy charged_by) {
  if (!may_act()) return;
  WEIR_CHECK(answer_ == Answer::kNone);
  WEIR_CHECK(status >= 200 && status <= 599);
  answer_ = Answer::kEnded;
  act([&] { connection_->answer_whole(status, content_type, std::move(body), headers, charged_by); });
}

void ExchangeImpl::begin_stream(int status, std::string_view content_type, Headers headers) {
  if (!may_act()) return;
  WEIR_CHECK(answer_ == Answer::kNone);
  WEIR_CHECK(status >= 200 && status <= 599);
  answer_ = Answer::kStream;
  act([&] { connection_->answer_stream(status, content_type, headers); });
}

bool ExchangeImpl::write(std::string_view bytes) {
  if (!may_act()) return true;
  WEIR_CHECK(answer_ == Answer::kStream);
  bool written = true;
  if (!bytes.empty()) act([&] { written = connection_->append(bytes); });
  return written;
}

void ExchangeImpl::end_stream() {
  if (!may_act()) return;
  WEIR_CHECK(answer_ == Answer::kStream);
  answer_ = Answer::kEnded;
  act([&] { connection_->end_answer(); });
}

void ExchangeImpl::cut() {
  if (may_act()) connection_->doom(Gone::kCut);
}

size_t ExchangeImpl::unsent_bytes() const { return connection_ != nullptr ? connection_->unsent_bytes() : 0; }

Gone ExchangeImpl::gone() const { return connection_ != nullptr ? connection_->doomed() : gone_; }

void ExchangeImpl::on_gone(GoneCallback callback) {
  WEIR_CHECK(loop_->on_thread());
  if (connection_ != nullptr) {
    on_gone_ = std::move(callback);
  } else if (gone_ != Gone::kNo && !done_told_) {
    loop_->post([callback = std::move(callback), why = gone_]() mutable { callback(why); });
  }
}

void ExchangeImpl::on_done(Callback callback) {
  WEIR_CHECK(loop_->on_thread());
  if (connection_ != nullptr) {
    on_done_ = std::move(callback);
  } else if (!done_told_) {
    done_told_ = true;
    loop_->post(std::move(callback));
  }
}

void ExchangeImpl::post(Callback callback) {
  loop_->post([self = shared_from_this(), callback = std::move(callback)]() mutable {
    try {
      callback();
    } catch (const std::exception& error) {
      log_caught(error);
      if (self->connection_ != nullptr) self->connection_->doom(Gone::kShutdown);
    }
  });
}

void ExchangeImpl::finish(Gone why) noexcept {
  gone_ = why;
  connection_ = nullptr;
  // Callbacks leave first: one of them may hold the last reference to this exchange, or register anew.
  GoneCallback tell_gone = std::move(on_gone_);
  Callback tell_done = std::move(on_done_);
  done_told_ = static_cast<bool>(tell_done);
  try {
    if (why != Gone::kNo && tell_gone) tell_gone(why);
  } catch (const std::exception& error) {
    log_caught(error);
  }
  try {
    if (tell_done) tell_done();
  } catch (const std::exception& error) {
    log_caught(error);
  }
}

}  // namespace weir::http
