// NullServer: answers OpenAI-shaped requests without a model: the other end against which the tester itself is
// measured, and what its tests talk to.
//
// Thread: run() blocks the caller's until stop(); stop() may come from any. One epoll loop, edge-triggered,
// keep-alive. It reads "max_tokens" and "stream" by looking for them, not by parsing JSON: it serves our own tester
// and trusts it to be no worse than malformed. Limits: heads 64 KiB, bodies 16 MiB; what is larger or no request is
// hung up on.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/status.h"

namespace weir::load {

struct NullServerOptions {
  std::string host = "127.0.0.1";  // an IPv4 address
  int port = 0;                    // 0: any free one
  Micros token_us = 0;             // between two tokens of an answer; 0: the whole answer at once
  uint64_t refuse_every = 0;       // every so many requests a 429 with Retry-After and weir's error body; 0: never
};

class NullServer {
 public:
  // ERRORS: kInvalidArgument, kUnavailable: the port is taken.
  static Result<std::unique_ptr<NullServer>> open(const NullServerOptions& options);
  ~NullServer();
  NullServer(const NullServer&) = delete;
  NullServer& operator=(const NullServer&) = delete;

  int port() const { return port_; }
  void run();
  void stop();
  uint64_t requests() const { return requests_.load(); }           // any thread
  uint64_t most_connections() const { return most_connections_; }  // after run()

 private:
  class Loop;
  explicit NullServer(const NullServerOptions& options) : options_(options) {}

  const NullServerOptions options_;
  int listener_ = -1, wake_ = -1, port_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<uint64_t> requests_{0};
  uint64_t most_connections_ = 0;
};

}  // namespace weir::load
