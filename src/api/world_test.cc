#include "api/world_test.h"

#include <chrono>
#include <thread>

#include "api/json_out.h"

namespace weir::api {
namespace {

// The printable stand-ins of byte-level vocabularies: printable Latin-1 for itself, the others from U+0100 on.
std::string stand_in(int byte) {
  const auto printable = [](int b) { return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255); };
  int code = byte;
  if (!printable(byte)) {
    code = 256;
    for (int b = 0; b < byte; ++b) code += !printable(b);
  }
  if (code < 0x80) return std::string(1, static_cast<char>(code));
  return {static_cast<char>(0xC0 | (code >> 6)), static_cast<char>(0x80 | (code & 0x3F))};
}

std::string added_token(int32_t id, std::string_view text) {
  return R"({"id":)" + std::to_string(id) + R"(,"content":")" + std::string(text) +
         R"(","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true})";
}

}  // namespace

std::unique_ptr<Tokenizer> byte_tokenizer() {
  std::string json = R"({"version":"1.0","truncation":null,"padding":null,"added_tokens":[)" +
                     added_token(kEos, "<eos>") + "," + added_token(kBos, "<bos>") +
                     R"(],"normalizer":null,"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,)"
                     R"("trim_offsets":true,"use_regex":true},"post_processor":null,)"
                     R"("decoder":{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true},)"
                     R"("model":{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,)"
                     R"("end_of_word_suffix":null,"fuse_unk":false,"byte_fallback":false,"merges":[],"vocab":{)";
  for (int byte = 0; byte < 256; ++byte) {
    if (byte > 0) json.push_back(',');
    append_json_string(stand_in(byte), &json);
    json.append(":" + std::to_string(byte));
  }
  json.append("}}}");
  auto tokenizer = Tokenizer::parse(json);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  return std::move(*tokenizer);
}

std::unique_ptr<ChatTemplate> plain_template() {
  auto parsed = ChatTemplate::parse(
      "{%- for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('no tools here') }}{% endif %}"
      "[{{ m.role }}]{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}");
  EXPECT_TRUE(parsed.ok()) << parsed.status().message();
  return std::move(*parsed);
}

std::unique_ptr<ChatTemplate> template_of(const WorldOptions& options) {
  if (options.template_source.empty()) return plain_template();
  auto parsed = ChatTemplate::parse(options.template_source);
  EXPECT_TRUE(parsed.ok()) << parsed.status().message();
  return std::move(*parsed);
}

std::unique_ptr<Tokenizer> tokenizer_of(const WorldOptions& options) {
  return options.tokenizer_file.empty() ? byte_tokenizer() : Tokenizer::load(options.tokenizer_file).value();
}

// FakeClock begins at 1.
void load_tenants(const WorldOptions& options, Tenants* tenants) {
  std::vector<TenantPolicy> policies = options.tenants;
  if (!options.api_keys.empty()) policies.push_back({.name = kDefaultTenantName, .class_index = 1});
  for (const std::string& key : options.api_keys) policies.back().keys.push_back(sha256(key));
  const bool asks = !policies.empty();
  EXPECT_TRUE(tenants->replace(std::move(policies), asks, 1).ok());
}

World::World(WorldOptions options)
    : ledger(std::make_shared<Ledger>(options.ledger)),
      tokenizer(tokenizer_of(options)),
      chat_template(options.with_template ? template_of(options) : nullptr),
      gateway(options.running_max + options.queued_max, options.running_max, options.io_threads, 64),
      door({.running_max = options.running_max,
            .queued_max = options.queued_max,
            .queued_tokens_max = 100'000,
            .session_tokens = options.session_tokens,
            .pool_tokens = 100'000},
           &gateway),
      tenants(&door, &gateway.tenants(), 1),
      engine(&gateway, &clock, options.running_max) {
  load_tenants(options, &tenants);
  for (int i = 0; i < options.io_threads; ++i) loops.push_back(std::make_unique<FakeLoop>());
  ApiContext context{.tokenizer = tokenizer.get(),
                     .chat_template = chat_template.get(),
                     .bos_token = "<bos>",
                     .eos_token = "<eos>",
                     .door = &door,
                     .gateway = &gateway,
                     .ledger = ledger,
                     .clock = &clock,
                     .model_name = "tiny",
                     .model_created = 1'700'000'000,
                     .session_tokens = options.session_tokens,
                     .token_bytes_max = 5,
                     .vocab_size = tokenizer->vocab_size(),
                     .eos_ids = {kEos},
                     .default_params = options.defaults,
                     .tenants = &tenants,
                     .queue_timeout_us = options.queue_timeout_us,
                     .request_timeout_us = options.request_timeout_us,
                     .queue_keepalive_us = options.queue_keepalive_us,
                     .browser = options.browser,
                     .admin_key = options.admin_key,
                     .plan_json = [] { return std::string(R"({"total_bytes":1})"); },
                     .plan_text = [] { return std::string("total 1 B\n"); },
                     .patch_limits = options.patch_limits,
                     .live_limits = options.live_limits,
                     .reload_tenants = options.reload_tenants,
                     .http_stats = [] { return http::Server::Stats{.accepted = 7, .slow_readers = 3}; },
                     .memory_now =
                         [] {
                           return MemoryNow{.rss_bytes = 1,
                                            .peak_bytes = 2,
                                            .limit_bytes = 4,
                                            .plan_bytes = 3,
                                            .unaccounted_bytes = -5};
                         },
                     .pressure_now =
                         [] {
                           return PressureNow{.level = 0.75, .room_bytes = 9, .stage = 1, .source = "a \"b\"",
                                              .entered = {{"calm", 0}, {"stop_growing", 2}}};
                         },
                     .cpu_now =
                         [] {
                           return CpuNow{
                               .threads = 2, .run_seconds = 8, .wait_seconds = 0.5, .throttled_periods = 4};
                         },
                     .engine_alive = [this] { return engine_alive.load(); },
                     .overload_now =
                         [] {
                           OverloadNow now{.adaptive = "shadow", .limit = 3, .limit_max = 4, .signal = 1.5};
                           now.changes[0] = 2;
                           now.last_changes = {{.from = 4, .to = 3, .signal = 1.5}};
                           now.rung = Rung::kClampBackground;
                           now.level = 0.7;
                           now.entered[1] = 5;
                           return now;
                         },
                     .watchdog_now = [] { return WatchdogNow{.stalls = 3, .abandoned_steps = 2, .culprits = 1}; },
                     .post_io = [this](int io,
                                       http::Callback callback) { return post_io(io, std::move(callback)); },
                     .unix_ms = [this] { return unix_ms.load(); },
                     .text_threads = 1};
  post_io = [this](int io, http::Callback callback) {
    loops[static_cast<size_t>(io)]->post(std::move(callback));
    return true;
  };
  api = std::make_unique<Api>(std::move(context));
  EXPECT_TRUE(api->start().ok());
  gateway.set_io_waker([this](int io) { loops[static_cast<size_t>(io)]->post([this, io] { api->drain(io); }); });
  door.set_ready();
}

World::~World() {
  EXPECT_EQ(door.admitted(), 0) << "a place was not returned";
  EXPECT_EQ(engine.submits, engine.finishes);
  api->stop_text_pool();
  while (turn()) {
  }
  EXPECT_EQ(api->live_requests(), 0);
  EXPECT_EQ(ledger->used_bytes(), 0u) << "host bytes were not returned";
}

std::shared_ptr<FakeExchange> World::send(http::Request request, bool hold_last_byte, int io) {
  auto exchange = std::make_shared<FakeExchange>(loops[static_cast<size_t>(io)].get(), io, hold_last_byte);
  const AllocatingFor code = for_code();
  api->handle(std::move(request), exchange);
  return exchange;
}

http::Request make_request(std::string method, std::string path, std::string body) {
  http::Request request;
  request.method = std::move(method);
  request.path = request.target = std::move(path);
  request.body = std::move(body);
  return request;
}

std::shared_ptr<FakeExchange> World::post(std::string path, std::string body, bool hold_last_byte) {
  return send(make_request("POST", std::move(path), std::move(body)), hold_last_byte);
}

std::shared_ptr<FakeExchange> World::get(std::string path, std::string query) {
  http::Request request = make_request("GET", std::move(path));
  request.query = std::move(query);
  return send(std::move(request));
}

bool World::turn() {
  int ran = 0;
  for (auto& loop : loops) ran += loop->run();
  return ran > 0;
}

void World::run_until(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    engine.step();
    if (!turn()) std::this_thread::sleep_for(std::chrono::microseconds(50));
    if (std::chrono::steady_clock::now() > deadline) {
      ADD_FAILURE() << "nothing more happened";
      return;
    }
  }
}

void World::tick() {
  const AllocatingFor code = for_code();
  for (size_t io = 0; io < loops.size(); ++io) api->hooks().on_tick(static_cast<int>(io));
}

void World::settle(int turns) {
  for (int i = 0; i < turns; ++i) {
    while (turn()) {
    }
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
}

void World::finish(const std::shared_ptr<FakeExchange>& exchange) {
  run_until([&] { return exchange->done; });
  for (int i = 0; i < 3; ++i) {  // the engine learns of the release
    engine.step();
    turn();
  }
}

std::shared_ptr<FakeExchange> World::ask(std::string path, std::string body) {
  auto exchange = post(std::move(path), std::move(body));
  finish(exchange);
  return exchange;
}

}  // namespace weir::api
