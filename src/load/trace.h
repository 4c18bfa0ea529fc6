// Trace: arrivals and lengths of a recorded day, read from a file. Read once on main; read-only afterwards.
//
// Two formats, told apart by the first character:
//   CSV with a head line (Azure LLM inference trace 2023: TIMESTAMP,ContextTokens,GeneratedTokens; also the names
//   that vidur uses: arrived_at, num_prefill_tokens, num_decode_tokens). Times are "2023-11-16 18:17:03.979" or
//   seconds. JSONL (Mooncake, FAST'25: timestamp in milliseconds, input_length, output_length, hash_ids: one id per
//   block of 512 prompt tokens; equal ids mean an equal prefix, which the replay keeps).
// Limits: 256 MiB, 4 million rows. Lengths of 0 count as 1, above 2^20 are an error.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/status.h"

namespace weir::load {

inline constexpr int64_t kTraceBlockTokens = 512;

struct TraceRow {
  Micros at_us = 0;  // since the first row; never falls
  int64_t prompt_tokens = 1, output_tokens = 1;
  size_t first_block = 0, block_count = 0;  // of Trace::blocks
};

struct Trace {
  std::vector<TraceRow> rows;    // at least one
  std::vector<uint64_t> blocks;  // prefix hashes of all rows
};

// ERRORS, with the name and the line: kInvalidArgument (missing column, no number, a time before the one above, no
// rows); those of read_small_file() with a path.
Result<Trace> parse_trace(std::string_view text, const std::string& name);
Result<Trace> read_trace(const std::string& path);

}  // namespace weir::load
