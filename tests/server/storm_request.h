// What one client of a storm asks for and how it behaves, from a seed: good requests of every kind, bad ones of
// every kind, and clients that leave, read slowly or never. Shared by tests/server and bench/storm. Pure: no
// sockets, no clock; the same seed gives the same requests in the same order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace weir::testing {

// What the server is known to allow; prompts reach up to it and bad bodies go beyond.
struct StormLimits {
  int session_tokens = 1024;
  int vocabulary = 3072;  // prompts are given as ids below it, so that their length is exact
  size_t body_bytes_max = 256 << 10;
  int greedy_percent = 5;  // of the requests: bodies that cost most for their bytes, answers that are never read
};

struct StormRequest {
  const char* kind = "";
  std::string bytes;      // of the whole request, head and body
  size_t send_bytes = 0;  // fewer than that: the client leaves before its body is complete
  bool stream = false;
  bool may_succeed = true;   // false: an answer of 200 is a fault of the server
  bool asks_tokens = false;  // the server's queue and places decide over it
  // How the client ends; a negative number: it does not.
  int leave_after_ms = -1;         // after its last byte was sent: while queued, in prefill or mid-stream
  int64_t leave_after_bytes = -1;  // once so much of the answer was read
  bool reset = false;              // it leaves with RST instead of FIN
  // How it reads.
  bool reads = true;          // false: never, until it leaves
  size_t bytes_per_read = 0;  // 0: what there is; else at most these every read_pause_ms, into a small buffer
  int read_pause_ms = 0;
};

class StormGenerator {
 public:
  StormGenerator(uint32_t seed, StormLimits limits);
  StormRequest next();

 private:
  int below(int bound) { return static_cast<int>(random_() % static_cast<uint32_t>(bound)); }
  bool one_in(int count) { return below(count) == 0; }
  int answer_tokens();
  std::string ids(int count);
  std::string completion(const std::string& prompt, int tokens, bool stream, const std::string& more = "");
  std::string chat(int tokens, bool stream, const std::string& more);
  void make_good(StormRequest* request);
  void make_bad(StormRequest* request);
  void make_other(StormRequest* request);
  void make_greedy(StormRequest* request);
  std::string small_values(size_t bytes);
  void choose_end(StormRequest* request);

  const StormLimits limits_;
  std::mt19937 random_;
  std::vector<std::string> shared_prefixes_;  // of a few hundred ids each
};

}  // namespace weir::testing
