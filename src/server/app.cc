#include "server/app.h"

#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <atomic>

#include "admission/front_door.h"
#include "api/api.h"
#include "api/host_bytes.h"
#include "base/files.h"
#include "base/log.h"
#include "base/units.h"
#include "checkpoint/model_name.h"
#include "device/host/host_device.h"
#include "engine/engine.h"
#include "engine/model_executor.h"
#include "memory/arena/arena.h"
#include "memory/ledger/ledger.h"
#include "memory/monitor/host_facts.h"
#include "memory/monitor/huge_pages.h"
#include "memory/monitor/monitor_thread.h"
#include "model/transformer.h"
#include "model/weight_cache_folder.h"
#include "server/blueprint.h"
#include "server/browser_rules.h"
#include "server/cpu_watch.h"
#include "server/drain.h"
#include "server/host_watch.h"
#include "server/key_file.h"
#include "server/live_limits.h"
#include "server/load_summary.h"
#include "server/memory_actions.h"
#include "server/model_defaults.h"
#include "server/overload_control.h"
#include "server/stalling_executor.h"
#include "server/watchdog.h"
#include "text/chat_template.h"
#include "text/turn_end.h"

namespace weir {
namespace {

// What clients will get a 400 for, said once instead of found out.
void log_template_limits(const TemplateTraits& traits) {
  if (traits.hidden.empty()) return;
  log_info("server",
           "chat template: it cannot show " + hidden_kinds(traits) + "; a request with such a message is a 400");
}

// Without a watchdog the step loop may be busy for this long in one step before /health/live turns red: a prefill step of
// a large model on few cores takes seconds, a stuck one for ever.
constexpr Micros kStuckAfterUs = 120'000'000;
// How long the watchdog waits for the io threads to name the requests of a stalled step.
constexpr Micros kNamesPatienceUs = 500'000;
// After the engine has ended everything, answers get this long to reach their sockets.
constexpr int kFlushMs = 1000;
constexpr uint64_t kTemplateBytesMax = 1 * kMiB;

std::string served_name(const Settings& settings) {
  return settings.model_name.empty() ? model_name_of(settings.model) : settings.model_name;
}

// Few arenas and early trimming: freed request memory goes back, and the peak stays what the plan says. With a trim
// threshold of 1 MiB the resident size of a small server crept up by 1.4 % in a storm; with 128 KiB it comes back.
void settle_allocator() {
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_MMAP_THRESHOLD, 256 * 1024);
  mallopt(M_TRIM_THRESHOLD, 128 * 1024);
}

}  // namespace

// Members are in the order of construction; destruction runs backwards, after drain_and_stop().
struct App::Impl {
  Blueprint blueprint;
  std::string name;
  SteadyClock clock;
  std::unique_ptr<ChatTemplate> chat_template;
  std::unique_ptr<Transformer> model;
  Region kv;
  std::unique_ptr<HostDevice> host;
  Region arena_memory;
  std::unique_ptr<Arena> arena;
  std::unique_ptr<PrefixCache> prefix;
  std::unique_ptr<BlockPool> pool;
  std::shared_ptr<Ledger> ledger;  // shared with every request's account
  std::unique_ptr<HostWatch> host_watch;
  std::unique_ptr<CpuWatch> cpu_watch;  // whether the compute threads get their CPUs
  std::unique_ptr<Gateway> gateway;
  std::unique_ptr<FrontDoor> door;
  std::unique_ptr<Tenants> tenants;
  std::unique_ptr<KeyFile> key_file;
  std::unique_ptr<ModelExecutor> executor;
  std::unique_ptr<Executor> stalling;  // before it, in tests alone
  std::unique_ptr<Engine> engine;
  std::unique_ptr<LiveLimitsControl> limits;
  std::unique_ptr<Api> api;
  std::unique_ptr<http::Server> server;
  std::unique_ptr<OverloadControl> overload;
  std::unique_ptr<MemoryActions> relief;
  std::unique_ptr<LoadSummary> load_summary;
  std::unique_ptr<MonitorThread> monitor;
  std::unique_ptr<Watchdog> watchdog;  // null: --watchdog-timeout 0
  std::unique_ptr<std::atomic<bool>[]> drain_posted;  // per io thread: a drain waits in its mailbox
  bool stopped = false;

  Status load_text(ApiContext* context);
  Status load_model(const Progress& progress);
  Status build_engine();
  Status build_door(ApiContext context);
  Status build_monitor();
  PressureNow pressure_now() const;
  void wake_io(int io);
  void seal();
  void build_watchdog();
  bool loop_moves() const;
  Status stop(int64_t drain_ms);
};

Status App::Impl::load_text(ApiContext* context) {
  WEIR_ASSIGN_OR_RETURN(ChatTemplateFiles files, read_chat_template(blueprint.settings.model));
  if (!blueprint.settings.chat_template.empty()) {
    WEIR_ASSIGN_OR_RETURN(files.source, read_small_file(blueprint.settings.chat_template, kTemplateBytesMax));
  }
  if (!files.source.empty()) {
    auto parsed = ChatTemplate::parse(files.source, files.bos_token, files.eos_token);
    if (!parsed.ok()) return parsed.status().with_prefix("the chat template cannot be used (--chat-template FILE replaces it)");
    chat_template = std::move(parsed).value();
    context->turn_tokens = chat_template->turn_tokens(*blueprint.tokenizer);
    log_template_limits(chat_template->traits());
  }
  context->bos_token = files.bos_token;
  context->eos_token = files.eos_token;
  std::optional<int32_t> turn_end;
  if (chat_template)
    turn_end = turn_end_token(*chat_template, *blueprint.tokenizer, files.bos_token, files.eos_token);
  const EndTokens ends = blueprint.end_tokens(turn_end);
  context->eos_ids = ends.everything;
  context->chat_end_ids = ends.chats;
  if (!ends.line.empty()) log_line(ends.unknown ? LogLevel::kWarning : LogLevel::kInfo, "model", ends.line);
  for (const std::string& note : blueprint.spec.notes) log_info("model", note);
  return ok_status();
}

Status App::Impl::load_model(const Progress& progress) {
  WEIR_ASSIGN_OR_RETURN(const auto checkpoint, Checkpoint::open(blueprint.settings.model));
  const auto report = [&](double fraction, std::string_view stage) {
    if (progress) progress(fraction, fmt::format("{}: {}", name, stage));
  };
  WEIR_ASSIGN_OR_RETURN(model, Transformer::load(blueprint.spec, blueprint.model, *checkpoint, *blueprint.backend, report,
                                                 {blueprint.settings.weight_cache, blueprint.settings.model}));
  const uint64_t block = Transformer::needs(blueprint.spec, blueprint.model, blueprint.backend->ops()).kv_block;
  report(1.0, "touching the KV cache");
  const auto blocks_max = static_cast<uint64_t>(blueprint.pool_blocks_max(blueprint.model));
  WEIR_ASSIGN_OR_RETURN(kv, blueprint.backend->device().reserve(blueprint.plan.kv_blocks * block, blocks_max * block));
  model->attach_kv(kv.span(), static_cast<int64_t>(blueprint.plan.kv_blocks));
  return ok_status();
}

Status App::Impl::build_engine() {
  const SchedulerOptions options = blueprint.scheduler_options();
  const BlockPoolOptions blocks = blueprint.pool_options();
  const uint64_t gateway_bytes = Gateway::bytes(options.slots, options.places(), blueprint.settings.io_threads,
                                                Gateway::kRingEvents);
  const uint64_t engine_bytes = Engine::bytes(options, blocks), table_bytes = BlockPool::storage_bytes(blocks);
  const bool sharing = blueprint.settings.enable_prefix_caching;
  const uint64_t prefix_bytes = sharing ? PrefixCache::storage_bytes(blueprint.prefix_options()) : 0;
  host = std::make_unique<HostDevice>(HostDeviceOptions{.lock = blueprint.settings.mlock, .nodes = {}});
  WEIR_ASSIGN_OR_RETURN(arena_memory, host->reserve(arena_bytes(gateway_bytes) + arena_bytes(engine_bytes) +
                                                    arena_bytes(table_bytes) + arena_bytes(prefix_bytes)));
  const DeviceSpan memory = arena_memory.span();
  arena = std::make_unique<Arena>(std::span<std::byte>(host_ptr<std::byte>(memory.data), memory.bytes));
  if (sharing) {
    prefix = std::make_unique<PrefixCache>(blueprint.prefix_options(), &arena->part("prefix index", prefix_bytes));
  }
  pool = std::make_unique<BlockPool>(blocks, prefix.get(), &arena->part("block tables", table_bytes));
  gateway = std::make_unique<Gateway>(options.slots, options.places(), blueprint.settings.io_threads,
                                      Gateway::kRingEvents, &arena->part("slots and rings", gateway_bytes));
  const int running = blueprint.settings.max_concurrent_requests;
  door = std::make_unique<FrontDoor>(FrontDoorOptions{.running_max = running,
                                                      .queued_max = blueprint.settings.max_queued_requests,
                                                      .queued_tokens_max = blueprint.queued_tokens_max,
                                                      .session_tokens = blueprint.model.session_tokens,
                                                      .pool_tokens = blueprint.plan.kv_tokens,
                                                      .ttft_slo_us = blueprint.settings.ttft_slo_ms * 1000,
                                                      .default_class = default_class_of(blueprint.settings)},
                                     gateway.get());
  executor = std::make_unique<ModelExecutor>(model.get(), blueprint.backend.get(), &kv, options.eos_ids);
  Executor* runs = executor.get();
  if (const std::string& stall = blueprint.settings.test_stall; !stall.empty()) {
    stalling = std::make_unique<StallingExecutor>(runs, stall);
    runs = stalling.get();
  }
  engine = std::make_unique<Engine>(options, pool.get(), prefix.get(), gateway.get(), runs, &clock,
                                    &arena->part("sequences", engine_bytes));
  gateway->controls().running_limit.store(running, std::memory_order_relaxed);
  ledger = std::make_shared<Ledger>(blueprint.ledger_options());
  tenants = std::make_unique<Tenants>(door.get(), &gateway->tenants(), default_class_of(blueprint.settings));
  key_file = std::make_unique<KeyFile>(&blueprint.settings, tenants.get(), ledger.get(), &clock);
  WEIR_RETURN_IF_ERROR(key_file->load().status());
  host_watch = std::make_unique<HostWatch>(blueprint.plan, ledger);
  limits = std::make_unique<LiveLimitsControl>(&blueprint, gateway.get(), door.get(), pool.get(), &clock);
  limits->set_on_plan([this](const MemoryPlan& plan) {
    host_watch->set_plan(plan);
    monitor->set_planned_bytes(plan.total_bytes);
  });
  return ok_status();
}

// The engine thread calls it after a step. At most one drain waits in a mailbox, so that a slow io thread does not make
// the engine grow it. The exchange here sees the notices in before the flag; the one there takes the flag down first.
void App::Impl::wake_io(int io) {
  std::atomic<bool>& posted = drain_posted[static_cast<size_t>(io)];
  if (posted.exchange(true)) return;
  const bool accepted = server->post(io, [this, io] {
    drain_posted[static_cast<size_t>(io)].exchange(false);
    api->drain(io);
  });
  if (!accepted) posted.store(false);  // the next step tries again
}

// Everything has its memory: from here on nothing is cut from the arena. Says what the kernel made of the wish for huge
// pages.
void App::Impl::seal() {
  arena->seal();
  const uint64_t huge_page_bytes = read_huge_page_bytes().value_or(0);
  host_watch->set_huge_page_bytes(huge_page_bytes);
  const uint64_t resident = read_host_facts().rss_bytes.value_or(0);
  log_info("memory", fmt::format("sealed: {} resident, {} of them in huge pages{}", format_bytes(resident),
                                 format_bytes(huge_page_bytes),
                                 blueprint.settings.mlock ? "; arena, weights, workspace and KV cache are locked" : ""));
}

Status App::Impl::build_door(ApiContext context) {
  const Settings& settings = blueprint.settings;
  context.tokenizer = blueprint.tokenizer.get();
  context.chat_template = chat_template.get();
  context.parse_special_in_content = settings.parse_special_in_content;
  context.door = door.get();
  context.gateway = gateway.get();
  context.clock = &clock;
  context.model_name = name;
  context.model_created = unix_seconds();
  context.session_tokens = blueprint.model.session_tokens;
  context.token_bytes_max = blueprint.token_bytes_max;
  context.vocab_size =
      static_cast<int32_t>(std::min<int64_t>(blueprint.spec.vocab, blueprint.tokenizer->vocab_size()));
  context.default_params = default_params(blueprint.spec.sampling);
  context.chat_tokens_default = blueprint.spec.sampling.max_new_tokens.value_or(0);
  context.tenants = tenants.get();
  context.classes = blueprint.classes();
  context.queue_timeout_us = settings.queue_timeout_ms * 1000;
  context.request_timeout_us = settings.request_timeout_ms * 1000;
  context.queue_keepalive_us = settings.queue_keepalive_ms * 1000;
  context.guaranteed = settings.reservation == "guaranteed";
  context.browser = browser_rules(settings);
  context.admin_key = settings.admin_key;
  context.plan_json = [this] { return plan_json(limits->plan()); };
  context.plan_text = [this] { return format_plan(limits->plan()); };
  context.patch_limits = [this](const LimitsPatch& patch) { return limits->apply(patch); };
  context.live_limits = [this] { return limits->now(); };
  if (key_file->exists()) context.reload_tenants = [this] { return key_file->reload(); };
  context.http_stats = [this] { return server ? server->stats() : http::Server::Stats{}; };
  context.engine_alive = [this] { return loop_moves(); };
  context.watchdog_now = [this] {
    return WatchdogNow{.stalls = watchdog ? watchdog->stalls() : 0,
                       .abandoned_steps = engine->steps().abandoned_steps(),
                       .culprits = engine->steps().culprits()};
  };
  context.post_io = [this](int io, http::Callback callback) { return server->post(io, std::move(callback)); };
  context.text_threads = text_threads(blueprint);
  context.body_bytes_max = settings.max_body_bytes;
  context.ledger = ledger;
  context.memory_now = [this] { return host_watch->now(clock.now_us()); };
  context.pressure_now = [this] { return pressure_now(); };
  context.cpu_now = [this] { return cpu_watch->now(); };
  context.overload_now = [this] { return overload->now(); };
  api = std::make_unique<Api>(std::move(context));
  WEIR_RETURN_IF_ERROR(api->start());
  WEIR_ASSIGN_OR_RETURN(server, http::Server::create(http_options(blueprint.settings),
                                                     [this](http::Request&& request, std::shared_ptr<http::Exchange> exchange) {
                                                       api->handle(std::move(request), std::move(exchange));
                                                     },
                                                     api::make_byte_book(ledger), api->hooks()));
  drain_posted = std::make_unique<std::atomic<bool>[]>(static_cast<size_t>(settings.io_threads));
  gateway->set_io_waker([this](int io) { wake_io(io); });
  return ok_status();
}

Status App::Impl::build_monitor() {
  const Settings& settings = blueprint.settings;
  WEIR_ASSIGN_OR_RETURN(const GovernorMode mode, parse_governor_mode(settings.memory_governor));
  relief = std::make_unique<MemoryActions>(door.get(), settings.model, engine_relief(gateway.get()));
  MonitorOptions options;
  options.root = settings.system_root;
  options.poll_us = settings.memory_poll_ms * 1000;
  options.reserve_bytes = blueprint.reserve_bytes;
  options.plan_bytes = blueprint.plan.total_bytes;
  options.mode = mode;
  monitor = std::make_unique<MonitorThread>(std::move(options), &clock, relief.get());
  monitor->add_observer([this](Micros now, const HostFacts& facts) { host_watch->observe(now, facts); });
  cpu_watch = std::make_unique<CpuWatch>(settings.system_root, blueprint.backend.get());
  monitor->add_observer([this](Micros now, const HostFacts&) { cpu_watch->observe(now); });
  load_summary = std::make_unique<LoadSummary>(&gateway->load());
  monitor->add_observer([this](Micros now, const HostFacts&) { load_summary->observe(now); });
  overload = std::make_unique<OverloadControl>(overload_options(blueprint), gateway.get(), door.get());
  monitor->add_observer([this](Micros now, const HostFacts&) { overload->turn(now); });
  return ok_status();
}

void App::Impl::build_watchdog() {
  const Micros timeout_us = blueprint.settings.watchdog_timeout_ms * 1000;
  if (timeout_us == 0) return;
  watchdog = std::make_unique<Watchdog>(
      WatchdogOptions{.timeout_us = timeout_us},
      WatchdogSights{.clock = &clock,
                     .load = &gateway->load(),
                     .board = &engine->steps().board(),
                     .abandon = [this](uint64_t step) { engine->abandon_step(step); },
                     .request_ids = [this] { return api->request_ids(kNamesPatienceUs); }});
}

bool App::Impl::loop_moves() const { return watchdog ? watchdog->loop_moves() : engine->alive(kStuckAfterUs); }

PressureNow App::Impl::pressure_now() const {
  const MonitorStatus status = monitor->status();
  PressureNow now{.level = status.reading.level(),
                  .room_bytes = status.reading.room_bytes,
                  .stage = static_cast<int>(status.stage),
                  .source = status.reading.source,
                  .entered = {}};
  for (size_t i = 0; i < kStages; ++i) now.entered.emplace_back(stage_name(static_cast<Stage>(i)), status.entered[i]);
  return now;
}

Result<std::unique_ptr<App>> App::create(const Settings& settings, const Progress& progress) {
  settle_allocator();
  auto impl = std::make_unique<Impl>();
  WEIR_RETURN_IF_ERROR(make_weight_cache_folder(settings.weight_cache));
  WEIR_ASSIGN_OR_RETURN(impl->blueprint, draw_blueprint(settings));
  impl->name = served_name(settings);
  ApiContext context;
  WEIR_RETURN_IF_ERROR(impl->load_text(&context));
  WEIR_RETURN_IF_ERROR(impl->load_model(progress));
  WEIR_RETURN_IF_ERROR(impl->build_engine());
  WEIR_RETURN_IF_ERROR(impl->build_monitor());
  WEIR_RETURN_IF_ERROR(impl->build_door(std::move(context)));
  impl->build_watchdog();
  malloc_trim(0);  // what parsing the tokeniser and the headers took
  impl->seal();
  const Blueprint& b = impl->blueprint;
  log_info("server", fmt::format("{}: {} ({})", impl->name, b.backend->description(), b.placement.text));
  for (const std::string& warning : b.placement.warnings) log_warning("cpu", warning);
  return std::unique_ptr<App>(new App(std::move(impl)));
}

App::App(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

App::~App() { (void)impl_->stop(0); }

// The port is last, so that no request is let in by a server that then ends for want of a thread.
Status App::start() {
  WEIR_RETURN_IF_ERROR(impl_->engine->start());
  impl_->monitor->turn();  // so that the first answer of /health/ready and /metrics already knows
  WEIR_RETURN_IF_ERROR(impl_->monitor->start());
  if (impl_->watchdog) WEIR_RETURN_IF_ERROR(impl_->watchdog->start());
  impl_->server->start();
  impl_->door->set_ready();
  return ok_status();
}

void App::reload_tenants() {
  if (impl_->key_file->exists()) (void)impl_->key_file->reload();
}

int App::port() const { return impl_->server->port(); }
const std::string& App::model_name() const { return impl_->name; }
const MemoryPlan& App::plan() const { return impl_->blueprint.plan; }

std::string App::url() const {
  const std::string& host = impl_->blueprint.settings.server_name;
  if (host.rfind("unix:", 0) == 0) return host;
  const bool any = host == "0.0.0.0" || host == "::";
  const bool v6 = host.find(':') != std::string::npos && !any;
  return fmt::format("http://{}:{}", any ? "127.0.0.1" : v6 ? "[" + host + "]" : host, port());
}

// The order that api/api.h asks for: nothing new, let it end or end it, then text, sockets, and the last notices. The
// listeners stay open until the drain is over: whoever probes must see that readiness is red, not that nobody is there.
Status App::Impl::stop(int64_t drain_ms) {
  if (stopped) return ok_status();
  stopped = true;
  door->start_draining();
  server->drain();
  const Drain drain(api.get(), door.get(), gateway.get(), &clock);
  const bool finished = drain.wait(drain_ms);
  const std::string left = drain.text();
  server->stop_accepting();
  limits->stop();
  monitor->stop();
  engine->stop();
  if (watchdog) watchdog->stop();
  if (!finished) drain.wait_quietly(kFlushMs);
  api->stop_text_pool();
  server->stop();
  for (int io = 0; io < blueprint.settings.io_threads; ++io) api->drain(io);
  if (finished) return ok_status();
  return Status(Code::kDeadlineExceeded, fmt::format("--drain-timeout of {} ms ran out: {}", drain_ms, left));
}

Status App::drain_and_stop() { return impl_->stop(impl_->blueprint.settings.drain_timeout_ms); }

}  // namespace weir
