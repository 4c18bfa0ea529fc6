// A Server with a few routes and counters, for the tests of this room alone.
//   /echo   answers with method, path and body        /late   the same from another thread
//   /park   waits to be answered by the test          /stream waits too, with its stream begun
//   /flood  writes until it is cut off, 16 KiB a turn /big    answers with 8 MiB
//   /paced  writes for ever, but only when little is unsent
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

#include "http/server.h"
#include "http/sse.h"
#include "http/test_client.h"

namespace weir::http {

// A book with one limit for all requests and one for each.
class TestBook final : public ByteBook, public std::enable_shared_from_this<TestBook> {
 public:
  TestBook(size_t total, size_t each) : total_max(total), each_max(each) {}
  std::shared_ptr<ByteAccount> open(int group) override;

  std::atomic<size_t> total_max, each_max;
  std::atomic<size_t> used{0}, peak{0};
};

class TestAccount final : public ByteAccount {
 public:
  explicit TestAccount(std::shared_ptr<TestBook> book) : book_(std::move(book)) {}
  ~TestAccount() override { EXPECT_EQ(used_.load(), 0u); }
  Granted take(ByteUse, size_t bytes) override {
    if (used_ + bytes > book_->each_max) return Granted::kRequestFull;
    if (book_->used + bytes > book_->total_max) return Granted::kTotalFull;
    used_ += bytes;
    book_->peak = std::max<size_t>(book_->peak, book_->used += bytes);
    return Granted::kYes;
  }
  void give(ByteUse, size_t bytes) override {
    EXPECT_LE(bytes, used_.load());
    used_ -= bytes;
    book_->used -= bytes;
  }
  uint64_t bytes_max() const override { return book_->each_max; }

 private:
  const std::shared_ptr<TestBook> book_;
  std::atomic<size_t> used_{0};
};

inline std::shared_ptr<ByteAccount> TestBook::open(int) {
  return std::make_shared<TestAccount>(shared_from_this());
}

struct Tally {
  std::atomic<int> handled{0}, gone{0}, done{0}, gone_after_done{0}, done_twice{0};
  std::atomic<int> last_gone{0};
};

class Rig {
 public:
  explicit Rig(Options options = {}, std::shared_ptr<ByteBook> book = nullptr, Hooks hooks = {}) {
    auto created =
        Server::create(std::move(options), [this](Request&& request, std::shared_ptr<Exchange> exchange) {
          handle(std::move(request), std::move(exchange));
        }, std::move(book), std::move(hooks));
    EXPECT_TRUE(created.ok()) << created.status().message();
    server = std::move(created).value();
    server->start();
  }
  ~Rig() {
    stop();
    EXPECT_EQ(tally.handled.load(), tally.done.load());
    EXPECT_EQ(tally.gone_after_done.load(), 0);
    EXPECT_EQ(tally.done_twice.load(), 0);
  }
  void stop() {
    server->stop();
    for (std::thread& thread : threads) thread.join();
    threads.clear();
    parked.clear();
  }

  Client client(int receive_buffer_bytes = 0) { return Client(server->port(), receive_buffer_bytes); }
  Gone last_gone() const { return static_cast<Gone>(tally.last_gone.load()); }

  std::shared_ptr<Exchange> take_parked() {
    std::shared_ptr<Exchange> taken;
    EXPECT_TRUE(eventually([&] {
      std::lock_guard lock(mutex);
      if (parked.empty()) return false;
      taken = parked.back();
      parked.pop_back();
      return true;
    }));
    return taken;
  }
  // Runs it on the exchange's thread and waits for it.
  void on_thread_of(const std::shared_ptr<Exchange>& exchange, const std::function<void()>& work) {
    std::atomic<bool> ran{false};
    exchange->post([&] {
      work();
      ran = true;
    });
    EXPECT_TRUE(eventually([&] { return ran.load(); }));
  }

  std::unique_ptr<Server> server;
  Tally tally;
  std::mutex mutex;
  std::vector<std::shared_ptr<Exchange>> parked;
  std::vector<std::thread> threads;

 private:
  void count(const std::shared_ptr<Exchange>& exchange) {
    ++tally.handled;
    auto over = std::make_shared<bool>(false);
    exchange->on_gone([this, over](Gone why) {
      ++tally.gone;
      tally.last_gone = static_cast<int>(why);
      if (*over) ++tally.gone_after_done;
    });
    exchange->on_done([this, over] {
      ++tally.done;
      if (std::exchange(*over, true)) ++tally.done_twice;
    });
  }

  static void flood(const std::shared_ptr<Exchange>& exchange) {
    if (exchange->gone() != Gone::kNo) return;
    exchange->write(std::string(16 * 1024, 'f'));
    exchange->post([exchange] { flood(exchange); });
  }

  static void paced(const std::shared_ptr<Exchange>& exchange) {
    if (exchange->gone() != Gone::kNo) return;
    if (exchange->unsent_bytes() < 16 * 1024) exchange->write(std::string(16 * 1024, 'p'));
    exchange->post([exchange] { paced(exchange); });
  }

  void handle(Request&& request, std::shared_ptr<Exchange> exchange) {
    count(exchange);
    const std::string text = request.method + " " + request.path + " " + request.body;
    if (request.path == "/park" || request.path == "/stream") {
      if (request.path == "/stream") exchange->begin_stream(200, kSseContentType, sse_headers());
      std::lock_guard lock(mutex);
      parked.push_back(std::move(exchange));
    } else if (request.path == "/late") {
      std::lock_guard lock(mutex);
      threads.emplace_back(
          [exchange, text] { exchange->post([exchange, text] { exchange->respond(200, "text/plain", text); }); });
    } else if (request.path == "/flood") {
      exchange->begin_stream(200, "text/plain");
      flood(exchange);
    } else if (request.path == "/paced") {
      exchange->begin_stream(200, "text/plain");
      paced(exchange);
    } else if (request.path == "/big") {
      exchange->respond(200, "text/plain", std::string(8u << 20, 'b'));
    } else if (request.path == "/empty") {
      exchange->respond(204, "", "");
    } else if (request.path == "/drop") {
      return;  // a bug of the handler: nobody will ever answer
    } else if (request.path == "/no_memory") {
      throw std::bad_alloc();
    } else {
      exchange->respond(200, "text/plain", text, {{"X-Peer", request.peer}});
    }
  }
};

}  // namespace weir::http
