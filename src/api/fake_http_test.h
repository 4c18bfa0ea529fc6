// The http side of this room's tests: an event loop and exchanges without sockets. See world_test.h.
#pragma once

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "http/server.h"

namespace weir::api {

// Whose allocations this thread is making: those of the code under test, or the fakes' and the test's own, which
// never fail (allocation_failure_test.cc). A thread that is not the test's works for the code under test.
struct Allocating {
  static inline constinit thread_local bool test_thread = false;
  static inline constinit thread_local bool for_code = false;
  static inline constinit thread_local bool for_fakes = false;
  static bool under_test() { return !for_fakes && (for_code || !test_thread); }
};
// For a scope.
class [[nodiscard]] AllocatingFor {
 public:
  AllocatingFor(bool* whom, bool on) : whom_(whom), before_(*whom) { *whom = on; }
  ~AllocatingFor() { *whom_ = before_; }
  AllocatingFor(const AllocatingFor&) = delete;
  AllocatingFor& operator=(const AllocatingFor&) = delete;

 private:
  bool* const whom_;
  const bool before_;
};
inline AllocatingFor for_code() { return {&Allocating::for_code, true}; }
inline AllocatingFor for_fakes() { return {&Allocating::for_fakes, true}; }

// What http's event loop does for one io thread.
class FakeLoop {
 public:
  void post(http::Callback callback);
  int run();  // RETURNS: callbacks run

 private:
  std::mutex mutex_;
  std::deque<http::Callback> queue_;
};

// Records one answer and checks Exchange's rules. Like the real one it runs callbacks from its loop alone.
class FakeExchange final : public http::Exchange, public std::enable_shared_from_this<FakeExchange> {
 public:
  FakeExchange(FakeLoop* loop, int io_index, bool hold_last_byte)
      : loop_(loop), io_index_(io_index), hold_last_byte_(hold_last_byte) {}

  void respond(int status, std::string_view content_type, std::string body, http::Headers headers,
               http::ChargedBy charged_by) override;
  void begin_stream(int status, std::string_view content_type, http::Headers headers) override;
  bool write(std::string_view bytes) override;
  void end_stream() override;
  void cut() override { leave(http::Gone::kCut); }
  size_t unsent_bytes() const override { return 0; }
  http::Gone gone() const override { return gone_; }
  void on_gone(http::GoneCallback callback) override { on_gone_ = std::move(callback); }
  void on_done(http::Callback callback) override { on_done_ = std::move(callback); }
  void post(http::Callback callback) override;
  int io_index() const override { return io_index_; }

  void leave(http::Gone why = http::Gone::kClientClosed);  // io thread: the client goes away now
  void send_last_byte();                                   // io thread: for hold_last_byte

  int status = 0;
  std::string content_type, body;
  http::Headers headers;
  bool refuses_long_writes = false;  // as http does while the host is full: nothing above 500 bytes
  http::ChargedBy charged_by = http::ChargedBy::kHttp;
  int answers = 0;       // respond or begin_stream
  bool ended = false;
  bool done = false;     // on_done ran
  std::string header(std::string_view name) const;
  boost::json::value json() const { return boost::json::parse(body); }
  boost::json::object error() const { return json().at("error").as_object(); }
  // Of a stream, [DONE] as the string "[DONE]"; checks the framing and skips comments.
  std::vector<boost::json::value> events() const;

 private:
  void finish();
  FakeLoop* const loop_;
  const int io_index_;
  const bool hold_last_byte_;
  http::Gone gone_ = http::Gone::kNo;
  bool finishing_ = false;
  http::GoneCallback on_gone_;
  http::Callback on_done_;
};

}  // namespace weir::api
