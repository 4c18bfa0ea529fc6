// Api: OpenAI requests in, OpenAI answers out. The only room that knows both a JSON field and a RequestSpec.
//
// Owner: the composition root, which creates it before the http::Server (the server's handler calls handle()) and
// destroys it after. Threads: handle() and drain() on the io threads of http/; templates and tokenising on a small
// pool of its own, JSON of large bodies too. Limits: text_work.h, TextPool::kQueuedPerThread jobs per text thread,
// and the places of FrontDoor, which a request holds until its last byte is written or its client is gone *and* the
// engine has said that it is finished. It never waits and takes no lock per token.
//
// Stopping: door->start_draining(); let the engine finish or end everything; stop_text_pool(); server->stop(); then
// drain(i) once more for every io index from the stopping thread, which by then is the only one.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "admission/front_door.h"
#include "admission/overload_now.h"
#include "admission/tenants.h"
#include "api/browser.h"
#include "base/clock.h"
#include "http/server.h"
#include "memory/ledger/ledger.h"
#include "message/classes.h"
#include "message/gateway.h"
#include "message/sampling_params.h"

namespace weir {

class ChatTemplate;
class Tokenizer;

struct MemoryNow {
  uint64_t rss_bytes = 0, peak_bytes = 0, limit_bytes = 0, plan_bytes = 0;
  int64_t unaccounted_bytes = 0;  // resident beyond the plan's resident lines and the ledger; negative: less is touched
  uint64_t huge_page_bytes = 0;  // as huge pages after start
  Micros age_us = 0;             // since the process was looked at
};

// What PATCH /admin/limits changes; absent fields stay. dry_run: nothing changes, the answer is what would be in
// force.
struct LimitsPatch {
  std::optional<std::string> cache_max_entry_count;
  std::optional<int64_t> max_concurrent_requests, max_queued_requests, max_queued_tokens;
  bool dry_run = false;
  bool empty() const {
    return !cache_max_entry_count && !max_concurrent_requests && !max_queued_requests && !max_queued_tokens;
  }
};

struct LiveLimits {
  std::string cache_max_entry_count;
  int64_t kv_blocks = 0, kv_blocks_ceiling = 0;
  int64_t max_concurrent_requests = 0, max_concurrent_requests_ceiling = 0;
  int64_t max_queued_requests = 0, max_queued_requests_ceiling = 0;
  int64_t max_queued_tokens = 0, max_queued_tokens_ceiling = 0;
};

// What a reload of the key file brought.
struct TenantsLoaded {
  size_t tenants = 0, keys = 0;
};

// What the memory monitor found last.
struct PressureNow {
  double level = 0;                    // [0, 1]
  std::optional<uint64_t> room_bytes;  // nothing: no limit is known
  int stage = 0;                       // of the governor; 0 is calm
  std::string source;                  // printable ASCII
  std::vector<std::pair<std::string, uint64_t>> entered;  // every stage's name, how often it was entered
};

// Whether the threads that compute get their CPUs. Sums since start; nothing where the system does not tell.
struct CpuNow {
  int threads = 0;
  std::optional<double> run_seconds;   // on a CPU
  std::optional<double> wait_seconds;  // could have run, and had none
  std::optional<uint64_t> throttled_periods;  // in which the cgroup's CPU quota ran out
};

// What the watchdog has found so far.
struct WatchdogNow {
  uint64_t stalls = 0, abandoned_steps = 0, culprits = 0;
};

// Everything outlives the Api.
struct ApiContext {
  const Tokenizer* tokenizer = nullptr;
  const ChatTemplate* chat_template = nullptr;  // null: the model has none, and chat is a 400
  std::vector<int32_t> turn_tokens;             // ChatTemplate::turn_tokens()
  bool parse_special_in_content = false;        // a client's text may become control tokens
  std::string bos_token, eos_token;             // as text, for the template
  FrontDoor* door = nullptr;
  Gateway* gateway = nullptr;
  std::shared_ptr<Ledger> ledger;  // the http::Server's book is made from it (api/host_bytes.h); null: one without limits
  const Clock* clock = nullptr;
  std::string model_name;
  int64_t model_created = 0;   // unix seconds
  int64_t session_tokens = 0;  // prompt and answer together
  size_t token_bytes_max = 0;  // text bytes of the longest token; 0: unknown, no text is refused by its size
  int32_t vocab_size = 0;      // the tokeniser's and the model's, whichever is smaller
  std::vector<int32_t> eos_ids;
  std::vector<int32_t> chat_end_ids;  // end an answer of a chat beside those
  SamplingParams default_params;  // of generation_config.json
  int64_t chat_tokens_default = 0;   // of a chat that names no max_tokens; 0: what the context leaves
  const Tenants* tenants = nullptr;  // who may come in, as what
  std::vector<PriorityClass> classes = default_classes();
  int64_t queue_timeout_us = 0;  // 0: no limit
  int64_t request_timeout_us = 0;   // from arrival to the last token; 0: no limit
  int64_t queue_keepalive_us = 0;   // an SSE comment as often while a stream has produced nothing; 0: none
  bool guaranteed = false;       // --reservation guaranteed: requests that name max_tokens have it reserved
  BrowserRules browser;          // which pages may ask, and by which names
  std::string admin_key;         // of /admin/...; empty: closed
  std::function<std::string()> plan_json, plan_text;  // any thread; they change with the limits
  // Changes what can be changed while serving. Takes up to seconds: it waits for the engine. Any thread, one call
  // at a time has effect. RETURNS: the limits that are in force now, or would be after a patch that is a dry run.
  // ERRORS: kInvalidArgument, kFailedPrecondition, kResourceExhausted; nothing has changed then.
  std::function<Result<LiveLimits>(const LimitsPatch&)> patch_limits;
  std::function<LiveLimits()> live_limits;
  // Reads the key file again; null: there is none. Any thread, on the admin pool's. ERRORS: what is wrong with the file;
  // nothing has changed then.
  std::function<Result<TenantsLoaded>()> reload_tenants;
  std::function<http::Server::Stats()> http_stats;
  std::function<MemoryNow()> memory_now;
  std::function<PressureNow()> pressure_now;
  std::function<CpuNow()> cpu_now;
  std::function<bool()> engine_alive;
  std::function<OverloadNow()> overload_now;
  std::function<WatchdogNow()> watchdog_now;
  // Runs it on that io thread: http::Server::post. RETURNS: false where that thread has ended.
  std::function<bool(int io_index, http::Callback callback)> post_io;
  std::function<int64_t()> unix_ms;  // the wall clock, for deadlines; empty: the system's
  int text_threads = 1;              // >= 1
  uint64_t body_bytes_max = 8u << 20;  // http's; what the largest needs is planned once (text_work.h)
};

namespace api {
class Service;
}

class Api {
 public:
  explicit Api(ApiContext context);
  // Starts the text pool and the admin pool: before it both refuse. ERRORS: those of start_thread().
  Status start();
  ~Api();  // REQUIRES: no request is left (checked)
  Api(const Api&) = delete;
  Api& operator=(const Api&) = delete;

  void handle(http::Request&& request, std::shared_ptr<http::Exchange> exchange);  // io thread
  // For http::Server::create: ids of answers that http gives by itself, deadlines and aborts while a body is read, the tick.
  http::Hooks hooks();
  void drain(int io_index);  // that io thread; posted by the gateway's waker once a step
  void stop_text_pool();     // any thread but its own; finishes what is queued

  // The x-request-id of every slot whose sequence has not ended, as far as the io threads answer in time. For a thread
  // that may wait; allocates.
  std::map<SlotIndex, std::string> request_ids(Micros patience_us);

  int live_requests() const;  // generation requests between their body and their last byte; any thread

 private:
  std::unique_ptr<api::Service> service_;
};

}  // namespace weir
