// Traces: what real services were asked, as a Load.
//
// Azure (CSV: TIMESTAMP,ContextTokens,GeneratedTokens; Patel et al., Splitwise, ISCA 2024) and Mooncake (JSON
// lines: timestamp in ms, input_length, output_length, hash_ids, one per 512 tokens; Qin et al., FAST 2025). Not
// trusted: a line has at most kTraceLineBytesMax, a file kRequestsMax lines; every error names the line.
#pragma once

#include <istream>
#include <string>

#include "base/status.h"
#include "sim/load.h"

namespace weir::sim {

inline constexpr size_t kTraceLineBytesMax = size_t{1} << 20;

struct TraceOptions {
  double speed = 1;          // > 0; 2: arrivals in half the time
  int64_t requests_max = 0;  // the first so many; 0: all
};

// By its first line. where: what errors call the file. ERRORS: kInvalidArgument, kNotFound.
Result<Load> read_trace(const std::string& path, const TraceOptions& options);
Result<Load> parse_azure(std::istream* text, const std::string& where, const TraceOptions& options);
Result<Load> parse_mooncake(std::istream* text, const std::string& where, const TraceOptions& options);

}  // namespace weir::sim
