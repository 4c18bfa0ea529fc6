// ExchangeImpl: the Exchange that a Connection hands to the handler. Internal.
//
// Owner: the connection, until the answer is out or the client gone, and whoever answers. Thread: the loop's,
// except post() and destruction. It forgets its connection at the end, so a late answer is a no-op.
#pragma once

#include <memory>

#include "http/connection.h"
#include "http/loop.h"
#include "http/server.h"

namespace weir::http {

class ExchangeImpl final : public Exchange, public std::enable_shared_from_this<ExchangeImpl> {
 public:
  ExchangeImpl(std::shared_ptr<Loop> loop, Connection* connection)
      : loop_(std::move(loop)), connection_(connection) {}

  void respond(int status, std::string_view content_type, std::string body, Headers headers,
               ChargedBy charged_by) override;
  void begin_stream(int status, std::string_view content_type, Headers headers) override;
  bool write(std::string_view bytes) override;
  void end_stream() override;
  void cut() override;
  size_t unsent_bytes() const override;
  Gone gone() const override;
  void on_gone(GoneCallback callback) override;
  void on_done(Callback callback) override;
  void post(Callback callback) override;
  int io_index() const override { return loop_->index(); }

  bool answered() const { return answer_ != Answer::kNone; }
  // The end, from the event loop: tells gone (if it is that) and done.
  void finish(Gone why) noexcept;

 private:
  enum class Answer { kNone, kStream, kEnded };

  bool may_act() const;
  template <class F>
  void act(F&& body);

  const std::shared_ptr<Loop> loop_;
  Connection* connection_;  // null once finished
  GoneCallback on_gone_;
  Callback on_done_;
  Answer answer_ = Answer::kNone;
  Gone gone_ = Gone::kNo;
  bool done_told_ = false;
};

}  // namespace weir::http
