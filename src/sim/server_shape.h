// ServerShape: the server that is simulated, in numbers. A value; checked by who makes it (cli/, soak.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "message/classes.h"

namespace weir::sim {

struct TenantShape {
  std::string name = "default";
  double weight = 1;  // (0, 1e6]
};

struct ServerShape {
  int running_max = 32;  // places
  int queued_max = 128;  // sequences that may wait
  int64_t queued_tokens_max = 65536;
  int64_t session_tokens = 8192;
  int step_tokens_max = 512;  // >= running_max
  int32_t blocks = 4096, blocks_max = 4096;
  int block_tokens = 64;
  bool prefix = true;
  bool guaranteed = false;  // every request reserves prompt + max_tokens
  double overcommit_quantile = 0.9;
  int speculative_tokens = 0;  // drafts of a sequence in a step; 0: no speculation
  int32_t text_period = 0;     // an answer repeats itself after so many tokens, now and then with a slip; 0: never
  int ring_events = 64;
  Micros queue_timeout_us = 60'000'000;  // 0: none
  Micros request_timeout_us = 0;         // 0: none
  Micros ageing_us = 30'000'000;
  Micros codel_target_us = 10'000'000;   // 0: urgent work never expires
  int prefill_stretch = 0;
  Micros tpot_slo_us = 0, ttft_slo_us = 0;  // 0: none
  std::vector<PriorityClass> classes = default_classes();
  int32_t default_class = 1;  // of requests that name none
  std::vector<TenantShape> tenants = {TenantShape{}};
  uint64_t host_bytes_max = uint64_t{1} << 40, host_bytes_per_request = uint64_t{1} << 40;

  // What surrounds the engine.
  Micros tokenise_us = 0;                // between the knock and the admission
  Micros io_us = 50;                     // from the last token read to the place given back
  Micros slow_reader_us = 50'000;        // a slow reader looks as often
  int slow_reader_tokens = 4;            // and takes so many
  Micros write_timeout_us = 30'000'000;  // a reader that stopped is cut off

  int64_t pool_tokens() const { return int64_t{blocks} * block_tokens; }
  // Blocks of the longest sequence that the pool could ever hold.
  int32_t blocks_per_sequence() const {
    const int64_t session = (session_tokens + block_tokens - 1) / block_tokens;
    return static_cast<int32_t>(session < blocks_max ? session : blocks_max);
  }
};

}  // namespace weir::sim
