// preflight: what is asked of the server once before the load. Thread: main; blocks, at most half a minute.
#pragma once

#include <atomic>

#include "base/status.h"
#include "load/workload.h"

namespace weir::load {

// Tokens per made-up word, and what the chat template adds, from the `usage` of two short requests that ask for one
// token each. ERRORS: kUnavailable, kDeadlineExceeded, kDataLoss, kCancelled, and kFailedPrecondition when the
// server refuses or tells no usage; the load can run all the same, with a scale of one token a word.
Result<TokenScale> measure_scale(const WorkloadOptions& options, const std::atomic<bool>* stop);

// The scale through two points. words_*: how many were sent; tokens_*: how many the server counted.
// ERRORS: kFailedPrecondition when they make no line that rises.
Result<TokenScale> scale_through(int64_t words_few, int64_t tokens_few, int64_t words_many, int64_t tokens_many);

}  // namespace weir::load
