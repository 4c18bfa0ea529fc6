#include "api/request_id.h"

#include <algorithm>
#include <random>

namespace weir::api {

bool sane_request_id(std::string_view id) {
  const auto sane = [](char c) { return c > ' ' && c < 0x7F && c != '"' && c != '\\'; };
  return !id.empty() && id.size() <= kRequestIdBytesMax && std::all_of(id.begin(), id.end(), sane);
}

RequestIds::RequestIds() {
  std::random_device device;
  seed_ = (uint64_t{device()} << 32) | device();
}

// The finaliser of SplitMix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
uint64_t RequestIds::mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

std::string RequestIds::hex(uint64_t number) {
  std::string text(16, '0');
  for (size_t i = 16; i-- > 0; number >>= 4) text[i] = "0123456789abcdef"[number & 15];
  return text;
}

std::string RequestIds::choose(std::string_view wanted) {
  return sane_request_id(wanted) ? std::string(wanted) : "req-" + hex(next());
}

}  // namespace weir::api
