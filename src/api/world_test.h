// A whole small server without sockets and without a model, for this room's tests: a real Api, FrontDoor, Gateway,
// Tokenizer and ChatTemplate between a fake http side and a scripted engine.
//
// Tokens are bytes (id = byte value), so that a test reads its texts as they are. Above them stand kEos and kBos.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/api.h"
#include "api/fake_engine_test.h"
#include "api/fake_http_test.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace weir::api {

std::unique_ptr<Tokenizer> byte_tokenizer();
std::unique_ptr<ChatTemplate> plain_template();  // "[role]content\n" per message, then "[assistant]"

struct WorldOptions {
  int running_max = 2;
  int queued_max = 2;
  int64_t session_tokens = 256;
  int io_threads = 1;
  std::vector<std::string> api_keys;   // plain ones, of the tenant "default"
  std::vector<TenantPolicy> tenants;   // keys are asked for where there are any, or plain ones
  int64_t queue_timeout_us = 0;
  int64_t request_timeout_us = 0, queue_keepalive_us = 0;
  bool with_template = true;
  std::string template_source;  // empty: plain_template()
  std::string tokenizer_file;   // a tokenizer.json; empty: byte_tokenizer()
  SamplingParams defaults;
  LedgerOptions ledger;
  std::string admin_key;
  BrowserRules browser;
  std::function<Result<LiveLimits>(const LimitsPatch&)> patch_limits;
  std::function<LiveLimits()> live_limits;
  std::function<Result<TenantsLoaded>()> reload_tenants;
};

class World {
 public:
  explicit World(WorldOptions options = {});
  ~World();  // checks that all places and all host bytes returned

  std::shared_ptr<FakeExchange> send(http::Request request, bool hold_last_byte = false, int io = 0);
  std::shared_ptr<FakeExchange> post(std::string path, std::string body, bool hold_last_byte = false);
  std::shared_ptr<FakeExchange> get(std::string path, std::string query = "");
  // Turns loops and the engine until the condition holds; a test failure after ten seconds.
  void run_until(const std::function<bool()>& condition);
  void tick();  // http's, on every io thread
  void settle(int turns = 50);  // without the engine: what is posted and tokenised
  void finish(const std::shared_ptr<FakeExchange>& exchange);  // run until it is done
  std::shared_ptr<FakeExchange> ask(std::string path, std::string body);  // post and finish

  uint64_t host_bytes(HostKind kind) const { return ledger->used_bytes(kind); }

  FakeClock clock;
  std::shared_ptr<Ledger> ledger;
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<ChatTemplate> chat_template;
  Gateway gateway;
  FrontDoor door;
  Tenants tenants;
  FakeEngine engine;
  std::vector<std::unique_ptr<FakeLoop>> loops;
  std::atomic<bool> engine_alive{true};
  std::atomic<int64_t> unix_ms{1'700'000'000'000};
  std::function<bool(int, http::Callback)> post_io;  // to the loops; a test with a real server puts its own here
  std::unique_ptr<Api> api;

 private:
  bool turn();
};

http::Request make_request(std::string method, std::string path, std::string body = "");

}  // namespace weir::api
