#include "schedule/drafter.h"

#include <algorithm>
#include <bit>

#include "base/counting_resource.h"

namespace weir {
namespace {

// Multiplicative hashing (Knuth, TAOCP 3, 6.4): the high bits decide. The odd constant is 2^64 over the golden
// ratio.
uint64_t mixed(uint64_t hash, int32_t token) {
  return (hash ^ (static_cast<uint64_t>(static_cast<uint32_t>(token)) + 1)) * 0x9E3779B97F4A7C15u;
}

}  // namespace

Drafter::Drafter(int places, int64_t session_tokens, std::pmr::memory_resource* memory)
    : slots_(slots_for(session_tokens)),
      shift_(64 - std::countr_zero(static_cast<uint64_t>(slots_))),
      tables_(static_cast<size_t>(places) * kOrders * static_cast<size_t>(slots_), 0, memory),
      read_(static_cast<size_t>(places), 0, memory) {}

uint64_t Drafter::bytes(int places, int64_t session_tokens) {
  if (places == 0) return 0;
  const auto rows = static_cast<uint64_t>(places);
  return arena_bytes(rows * kOrders * static_cast<uint64_t>(slots_for(session_tokens)) * sizeof(int32_t)) +
         arena_bytes(rows * sizeof(int32_t));
}

int64_t Drafter::slots_for(int64_t session_tokens) {
  return static_cast<int64_t>(
      std::bit_ceil(static_cast<uint64_t>(std::clamp<int64_t>(session_tokens, 16, kSlotsMax))));
}

size_t Drafter::index(int place, int n, uint64_t hash) const {
  const auto table = static_cast<size_t>(place) * kOrders + static_cast<size_t>(n - kShortest);
  return table * static_cast<size_t>(slots_) + static_cast<size_t>(hash >> shift_);
}

int64_t Drafter::read(int place, std::span<const int32_t> text, int64_t tokens_max) {
  int32_t& done = read_[static_cast<size_t>(place)];
  const auto begin = static_cast<int64_t>(done);
  const auto end = std::min(static_cast<int64_t>(text.size()), begin + std::max<int64_t>(tokens_max, 0));
  for (int64_t at = begin; at < end; ++at) {
    uint64_t hash = 0;
    for (int n = 1; n <= kLongest && n <= at; ++n) {
      hash = mixed(hash, text[static_cast<size_t>(at - n)]);
      if (n >= kShortest) tables_[index(place, n, hash)] = static_cast<int32_t>(at);
    }
  }
  done = static_cast<int32_t>(std::max(begin, end));
  return std::max<int64_t>(end - begin, 0);
}

int Drafter::draft(int place, std::span<const int32_t> text, std::span<int32_t> out) const {
  const size_t size = text.size();
  uint64_t hashes[kLongest + 1] = {};
  for (size_t n = 1; n <= kLongest && n <= size; ++n) hashes[n] = mixed(hashes[n - 1], text[size - n]);
  for (int n = kLongest; n >= kShortest; --n) {
    const auto length = static_cast<size_t>(n);
    if (length >= size || out.empty()) continue;
    const auto at = static_cast<size_t>(tables_[index(place, n, hashes[n])]);
    if (at < length || at >= size) continue;
    if (!std::equal(text.end() - n, text.end(), text.begin() + static_cast<ptrdiff_t>(at - length))) continue;
    // What stands there may run into the end of the text: then it goes on with the guess itself, as a period does.
    for (size_t i = 0; i < out.size(); ++i) out[i] = at + i < size ? text[at + i] : out[at + i - size];
    return static_cast<int>(out.size());
  }
  return 0;
}

}  // namespace weir
