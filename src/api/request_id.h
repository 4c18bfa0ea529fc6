// Request ids: the client's x-request-id where it is sane, else one of ours. Any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

namespace weir::api {

inline constexpr size_t kRequestIdBytesMax = 128;

// 1 to 128 printable ASCII characters without spaces, quotes and backslashes: safe in a header, a log line and JSON.
bool sane_request_id(std::string_view id);

class RequestIds {
 public:
  RequestIds();  // seeds from the system's random device, so that two servers do not give the same ids

  uint64_t next() { return mix(seed_ + counter_.fetch_add(1, std::memory_order_relaxed)); }
  // RETURNS: `wanted` if sane, else "req-" and 16 hex digits.
  std::string choose(std::string_view wanted);

  static std::string hex(uint64_t number);  // 16 digits

 private:
  static uint64_t mix(uint64_t x);  // a bijection, so ids repeat only after 2^64

  uint64_t seed_;
  std::atomic<uint64_t> counter_{0};
};

}  // namespace weir::api
