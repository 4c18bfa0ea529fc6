#include "http/server.h"

#include <algorithm>
#include <string>
#include <thread>

#include "base/check.h"
#include "base/log.h"
#include "base/thread.h"
#include "http/connection.h"
#include "http/listen.h"
#include "http/loop.h"

namespace weir::http {
namespace {

constexpr uint64_t kOtherDescriptors = 128;  // model files, logs, epoll, the listeners
// bench/http_streams: 1.2 KB for a waiting stream; an exchange's callbacks and one parsed head come on top.
constexpr uint64_t kConnectionBytes = 4096;
constexpr uint64_t kLoopBytes = 1u << 20;  // context, scratch, lists, and the request in the handler's hands
constexpr uint64_t kListBytes = 128;       // of a connection in a loop's lists, and while it is held back
constexpr uint64_t kSharedBytes = 3 * ByteBudget::fixed_bytes() + kGroupsMax * sizeof(std::atomic<size_t>);
constexpr uint64_t kPeerBytes = 128;  // an address and its count
constexpr int64_t kDayMs = 24 * 3600 * 1000;

Status check_options(const Options& options) {
  if (options.io_threads < 1 || options.io_threads > 64) return invalid_argument("io_threads must be 1..64");
  if (options.connections_max < 1) return invalid_argument("connections_max must be at least 1");
  if (options.head_bytes_max < 512 || options.head_bytes_max > (1u << 20))
    return invalid_argument("head_bytes_max must be 512 B..1 MiB");
  // A growing body is there twice for a moment, and one client has three quarters at most.
  if (options.body_bytes_max > options.body_bytes_total_max / 3)
    return invalid_argument(
        "body_bytes_total_max must be at least three times body_bytes_max: raise it or lower the other");
  if (options.head_bytes_total_max < 2 * options.head_bytes_max)
    return invalid_argument(
        "head_bytes_total_max must be at least twice head_bytes_max: raise it or lower the other");
  if (options.tick_ms_max < 1 || options.tick_ms_max > 200) return invalid_argument("tick_ms_max must be 1..200 ms");
  if (options.refusals_per_second != 0 &&
      (options.refusals_per_second < 2 || options.refusals_per_second > 1'000'000))
    return invalid_argument("refusals_per_second must be 0 or 2..1000000");
  if (options.out_bytes_max < 4096) return invalid_argument("out_bytes_max must be at least 4 KiB");
  for (int64_t ms :
       {options.head_timeout_ms, options.body_timeout_ms, options.idle_timeout_ms, options.write_timeout_ms}) {
    if (ms < 1 || ms > kDayMs) return invalid_argument("http timeouts must be 1 ms..1 day");
  }
  return ok_status();
}

Status clamp_connections(Options* options) {
  const uint64_t descriptors = raise_descriptor_limit();
  const uint64_t ours = kOtherDescriptors + static_cast<uint64_t>(options->io_threads) * (kLingerMax + 8) +
                        options->spare_connections_max;
  if (descriptors <= ours)
    return failed_precondition("the descriptor limit is " + std::to_string(descriptors) + ", too low for " +
                               std::to_string(options->io_threads) + " io threads: raise it (ulimit -n)");
  const uint64_t room = descriptors - ours;
  if (options->connections_max > room) {
    log_warning("http", "connections_max lowered from " + std::to_string(options->connections_max) + " to " +
                            std::to_string(room) + ": the descriptor limit is " + std::to_string(descriptors));
    options->connections_max = room;
  }
  return ok_status();
}

class ServerImpl final : public Server {
 public:
  ServerImpl(std::shared_ptr<Shared> shared, Listeners listeners);
  ~ServerImpl() override { stop(); }

  // The threads run from here on, with nothing to accept, so that a lack of threads is an error of create().
  Status start_threads();

  void start() override;
  uint16_t port() const override { return port_; }
  int io_threads() const override { return static_cast<int>(loops_.size()); }
  bool post(int io_index, Callback callback) override;
  void drain() override;
  void stop_accepting() override;
  void stop() override;
  Stats stats() const override;

 private:
  const std::shared_ptr<Shared> shared_;
  const uint16_t port_;
  std::vector<std::shared_ptr<Loop>> loops_;
  std::vector<std::thread> threads_;
};

ServerImpl::ServerImpl(std::shared_ptr<Shared> shared, Listeners listeners)
    : shared_(std::move(shared)), port_(listeners.port()) {
  for (int i = 0; i < shared_->options.io_threads; ++i)
    loops_.push_back(std::make_shared<Loop>(shared_, i, listeners.release(static_cast<size_t>(i))));
}

Status ServerImpl::start_threads() {
  threads_.reserve(loops_.size());
  for (const auto& loop : loops_) {
    WEIR_ASSIGN_OR_RETURN(std::thread thread,
                          start_thread("io " + std::to_string(loop->index()), [loop] { loop->run(); }));
    threads_.push_back(std::move(thread));
  }
  return ok_status();
}

void ServerImpl::start() {
  for (const auto& loop : loops_) loop->post([loop = loop.get()] { loop->accept_connections(); });
}

bool ServerImpl::post(int io_index, Callback callback) {
  WEIR_CHECK(io_index >= 0 && io_index < io_threads());
  return loops_[static_cast<size_t>(io_index)]->post(std::move(callback));
}

void ServerImpl::drain() {
  for (const auto& loop : loops_) loop->post([loop = loop.get()] { loop->drain(); });
}

void ServerImpl::stop_accepting() {
  for (const auto& loop : loops_) loop->post([loop = loop.get()] { loop->stop_accepting(); });
}

void ServerImpl::stop() {
  for (const auto& loop : loops_) {
    WEIR_CHECK(!loop->on_thread());
    loop->post([loop = loop.get()] { loop->stop(); });
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

Server::Stats ServerImpl::stats() const {
  Stats sum{};
  sum.connections = shared_->slots.taken() + shared_->spare_slots.taken();
  for (const auto& loop : loops_) {
    const Counters& c = loop->counters();
    sum.accepted += c.accepted.load(std::memory_order_relaxed);
    sum.requests += c.requests.load(std::memory_order_relaxed);
    sum.bytes_in += c.bytes_in.load(std::memory_order_relaxed);
    sum.bytes_out += c.bytes_out.load(std::memory_order_relaxed);
    sum.refused_connections += c.refused_connections.load(std::memory_order_relaxed);
    sum.bad_requests += c.bad_requests.load(std::memory_order_relaxed);
    sum.timeouts += c.timeouts.load(std::memory_order_relaxed);
    sum.client_gone += c.client_gone.load(std::memory_order_relaxed);
    sum.slow_readers += c.slow_readers.load(std::memory_order_relaxed);
    sum.held += c.held.load(std::memory_order_relaxed);
    sum.gave_way += c.gave_way.load(std::memory_order_relaxed);
    sum.dropped_answers += c.dropped_answers.load(std::memory_order_relaxed);
  }
  return sum;
}

}  // namespace

uint64_t planned_bytes(const Options& options) {
  const uint64_t threads = static_cast<uint64_t>(std::max(options.io_threads, 0));
  const uint64_t connections = options.connections_max + options.spare_connections_max;
  return connections * kConnectionBytes +
         threads * (kLoopBytes + 4 * options.head_bytes_max + connections * kListBytes) + kSharedBytes +
         (options.peer_connections_max > 0 ? connections * kPeerBytes : 0);
}

uint64_t planned_control_bytes(const Options& options) {
  return options.head_bytes_total_max + options.control_bytes_total_max;
}

// A stream's buffer doubles as it grows, so it may have twice the bytes that it holds.
uint64_t planned_request_bytes(const Options& options, uint64_t streams_max) {
  return options.body_bytes_total_max + streams_max * 2 * options.out_bytes_max;
}

Result<std::unique_ptr<Server>> Server::create(Options options, Handler handler, std::shared_ptr<ByteBook> book,
                                               Hooks hooks) {
  WEIR_CHECK(handler != nullptr);
  WEIR_RETURN_IF_ERROR(check_options(options));
  WEIR_RETURN_IF_ERROR(clamp_connections(&options));
  ignore_sigpipe();
  WEIR_ASSIGN_OR_RETURN(Listeners listeners, Listeners::open(options.address, options.port, options.io_threads,
                                                             options.write_timeout_ms));
  try {
    auto shared = std::make_shared<Shared>(std::move(options), std::move(handler), std::move(book), std::move(hooks));
    auto server = std::make_unique<ServerImpl>(std::move(shared), std::move(listeners));
    WEIR_RETURN_IF_ERROR(server->start_threads());
    return std::unique_ptr<Server>(std::move(server));
  } catch (const std::exception& error) {  // epoll without descriptors or memory
    return failed_precondition(std::string("cannot set up the io threads: ") + error.what());
  }
}

}  // namespace weir::http
