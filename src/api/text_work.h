// What turning a request's body into tokens may take beside the ledger: the plan's lines "parsing" and "texts".
//
// A body becomes a JSON tree, the tree a template's values and output, the output tokens, one after the other on
// one thread, so the largest of the three is what the job takes. Bodies up to kInlineBodyBytes are parsed on the io
// thread that read them, larger ones in the text pool. Pure; any thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace weir::api {

// Parsing so much takes tens of microseconds, less than the hand-over to another thread is worth.
inline constexpr size_t kInlineBodyBytes = size_t{16} << 10;

inline constexpr size_t kJsonBytesMax = size_t{64} << 20;
// The heap that a body of so many bytes may take as JSON, and then its template, and never more than kJsonBytesMax.
// 40 bytes a byte is above what the densest texts need with the parser's stack ("[]," takes three values of 16
// bytes for its three), so that a body is refused for its JSON only at the cap.
constexpr size_t json_bytes_max(size_t body_bytes) {
  constexpr size_t kFloor = size_t{256} << 10;
  return body_bytes >= (kJsonBytesMax - kFloor) / 40 ? kJsonBytesMax : kFloor + 40 * body_bytes;
}

// Tokenising a text of b bytes needs so many times b while it lasts (symbols, offsets, ids).
inline constexpr uint64_t kTokenisingFactor = 24;

// What the job of such a body may take. text_bytes_max: of the longest text that a session can hold; a longer one
// is refused before it is tokenised, and what a template makes beyond the job's bytes is charged to the request.
constexpr uint64_t text_job_bytes(uint64_t body_bytes, uint64_t text_bytes_max) {
  return std::max<uint64_t>(json_bytes_max(body_bytes), kTokenisingFactor * std::min(body_bytes, text_bytes_max));
}

}  // namespace weir::api
