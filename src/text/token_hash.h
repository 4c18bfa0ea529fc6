// Hashing for the tokeniser's tables. Seeded once per process from the operating system: vocabularies come from
// strangers, and with a known hash one could be written whose entries all collide.
//
// Owner: text room. Any thread.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace weir {

uint64_t token_hash_seed();  // constant for the life of the process

inline uint64_t token_hash_mix(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

inline uint64_t token_hash(std::string_view text, uint64_t seed) {
  constexpr uint64_t kOdd1 = 0x9E3779B97F4A7C15, kOdd2 = 0xD6E8FEB86659FD93;
  const char* p = text.data();
  size_t left = text.size();
  uint64_t hash = seed ^ left * kOdd1;
  for (; left >= 8; p += 8, left -= 8) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    hash = token_hash_mix(hash ^ word, kOdd2);
  }
  uint64_t tail = 0;
  if (left >= 4) {  // two overlapping halves read every byte of 4..7
    uint32_t low, high;
    std::memcpy(&low, p, 4);
    std::memcpy(&high, p + left - 4, 4);
    tail = uint64_t{high} << 32 | low;
  } else if (left > 0) {
    const auto byte = [p](size_t i) { return uint64_t{static_cast<unsigned char>(p[i])}; };
    tail = byte(0) << 16 | byte(left / 2) << 8 | byte(left - 1);
  }
  return token_hash_mix(hash ^ tail, kOdd1);
}

}  // namespace weir
