// Settings: every knob of weir, parsed in one place (flags > WEIR_* environment > TOML file > default) and
// validated before anything is opened. A value; written before threads start, read-only afterwards.
//
// The names on the command line and in the file are the member names with dashes; where LMDeploy has a flag for
// the same thing, the name is LMDeploy's.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/status.h"
#include "config/tenant_settings.h"

namespace weir {

struct ClassSetting {
  std::string name;              // [a-z0-9_-], 1 to 32 bytes
  std::string kind = "standard"; // urgent | standard | background
  bool operator==(const ClassSetting&) const = default;
};

struct Settings {
  // Model.
  std::string model;                  // positional: a local Hugging Face directory
  std::string model_name;             // as clients call it; empty: the directory's name
  std::string chat_template;          // path of a Jinja file that replaces the model's own
  bool parse_special_in_content = false;  // text of messages may become control tokens
  std::string model_format = "auto";  // auto: as the checkpoint; int8, int4, int4-g64, int4z, int4z-g64: quantised at load
  std::string dtype = "auto";         // auto: the checkpoint's | float32 | bfloat16 | float16
  std::string weight_cache;           // folder that keeps packed weights between starts; empty: none
  int64_t session_len = 0;  // tokens of prompt + answer; 0: the model's context, or less where the plan is short

  // Running and waiting.
  int max_batch_size = 0;             // places that are planned for; 0: max_concurrent_requests, or 32
  int max_concurrent_requests = 0;    // places in use, can be changed while serving; 0: max_batch_size
  int max_queued_requests = 128;      // sequences that may wait; 0: refuse at once when all places are taken
  int64_t max_queued_tokens = 0;      // prompt tokens that may wait; 0: 4 x session length, at least 65536
  int64_t queue_timeout_ms = 60'000;  // 0: no limit
  int max_prefill_token_num = 512;    // tokens of one step, decodes and prefill chunks together
  std::string speculative = "off";    // off | ngram: guess next tokens from the sequence's own text
  int speculative_tokens = 8;         // guesses of one sequence in a step at most

  // Order, deadlines and overload.
  std::vector<ClassSetting> classes = {{"interactive", "urgent"}, {"normal", "standard"}, {"batch", "background"}};
  std::string default_class;          // of requests that name none; empty: the first standard one
  int64_t ageing_ms = 30'000;         // so long in the queue counts as one class higher
  int64_t request_timeout_ms = 0;     // from arrival to the last token; 0: no limit
  int64_t ttft_slo_ms = 0;            // refuse at the door what would get its first token later; 0: off
  int64_t tpot_slo_ms = 0;            // prefill chunks keep a step that decodes within it; 0: off
  int prefill_stretch = 2;            // prefill lets a step that decodes take so many times as long; 0: no limit
  int64_t queue_delay_target_ms = 10'000;  // CoDel's target for urgent classes; 0: off
  int64_t queue_keepalive_ms = 0;     // an SSE comment as often while a stream waits; 0: none
  std::string adaptive = "off";       // off | on | shadow: the running limit follows the step time
  std::string brown_out = "on";       // on | off: shrink work in steps before anything is refused
  int64_t watchdog_timeout_ms = 120'000;  // a step that takes longer is stuck; 0: no watchdog

  // Memory.
  std::string cache_max_entry_count = "0.8";  // ratio in (0,1] of what remains | blocks | bytes such as 8GiB
  int cache_block_seq_len = 64;               // tokens of a KV block
  bool enable_prefix_caching = true;          // share the KV of texts that begin alike
  std::string reservation = "overcommit";     // overcommit: by forecast | guaranteed: prompt + max_tokens held
  double overcommit_quantile = 0.9;           // of past answer lengths, covered by the forecast
  int quant_policy = 0;                       // KV cache: 0 as the model's floats | 8 int8 | 4 int4
  uint64_t memory_limit = 0;                  // bytes; 0: what the machine and its cgroups allow
  std::string memory_governor = "on";         // on | off | observe: enter and count stages of pressure, do nothing
  uint64_t memory_reserve = 0;                // bytes of room that are to stay free; 0: from the limit
  int64_t memory_poll_ms = 250;               // how often the monitor looks
  bool mlock = false;                         // lock arena, weights, workspace and KV cache in memory
  uint64_t host_request_bytes = 0;      // host bytes that all requests together may cause; 0: from the other settings
  uint64_t host_bytes_per_request = 0;  // and one of them; 0: half of that, or more where the largest body needs it

  // CPU.
  std::string device = "cpu";
  int threads = 0;          // workers of the forward; 0: one a core of the CPU set, or what the CPU quota pays for
  std::string cpu_set;      // where they run: "0-3,8"; empty: every CPU this process may use
  bool pin_threads = true;  // server/cpu_placement.h says when

  // Front door.
  std::string server_name = "127.0.0.1";
  int server_port = 23333;  // 0: choose a free one and print it
  int io_threads = 1;
  int text_threads = 0;  // for templates, tokenising and JSON of large bodies; 0: from the CPUs, 2 to 4
  std::vector<std::string> api_keys;    // plain ones, of the tenant "default"; with no tenants_file either, none is asked
  std::string tenants_file;             // of --api-keys FILE.toml; empty: none; read again by a reload
  std::vector<TenantSetting> tenants;   // what it held at start
  std::string admin_key;              // for /admin/...; empty: those endpoints are closed
  int max_connections = 4096;
  int max_connections_per_peer = 0;  // of one address; 0: no limit, as behind a proxy all clients have one address
  int refusals_per_second = 2000;    // of a tenant, one io thread; 0: no limit
  uint64_t max_body_bytes = 8u << 20;
  std::vector<std::string> allowed_hosts;  // without keys: names in the Host header besides server_name; "*": any
  std::vector<std::string> allow_origins;  // of pages, in lower case; "*": any; empty: no CORS
  std::vector<std::string> allow_methods = {"*"}, allow_headers = {"*"};
  bool allow_credentials = false;
  int64_t drain_timeout_ms = 30'000;
  LogLevel log_level = LogLevel::kInfo;

  // For tests alone (WEIR_SYSTEM_ROOT): where /proc and /sys of the machine are read.
  std::string system_root = "/";
  // For tests alone (WEIR_TEST_STALL): steps with a prompt of N tokens hang; "N" or "N:deaf". Empty: none.
  std::string test_stall;

  bool operator==(const Settings&) const = default;
};

}  // namespace weir
