// Two io threads, an engine thread and the text pool; clients that leave at every moment, deadlines that pass, operators
// who end requests of either thread. Every exchange must be answered exactly once or be gone, and every place must come
// back. Meant for TSan as much as for its checks.
#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <thread>

#include "api/world_test.h"

namespace weir::api {
namespace {

constexpr int kRequests = 4000;  // per io thread

constexpr const char* kBodies[] = {
    R"({"prompt":"abc","max_tokens":5})",
    R"({"prompt":"abc","max_tokens":40,"stream":true})",
    R"({"prompt":["a","b"],"n":2,"max_tokens":6,"stream":true,"stop":["qq","z"]})",
    R"({"prompt":[97,98],"max_tokens":9,"stop":"hgf","logprobs":2,"echo":false})",
    R"({"prompt":"abc","n":3,"max_tokens":3})",
    R"({"messages":[{"role":"user","content":"hi"}],"stream":true,"max_tokens":12})",
    R"({"messages":[{"role":"user","content":"hi"}],"logprobs":true})",
    R"({"messages":[{"role":"tool","content":"hi"}]})",
    R"({"prompt":"abc","max_tokens":0})",
    R"({"prompt":)",
    R"({"tokens":[1,2,3],"prompt":"abc"})",
};
constexpr unsigned kIds = 24;  // so that several requests share one

constexpr const char* kPaths[] = {"/v1/completions", "/v1/chat/completions", "/tokenize", "/detokenize", "/metrics"};

const char* path_for(std::string_view body, std::mt19937* random) {
  if ((*random)() % 16 == 0) return kPaths[(*random)() % 5];
  return body.find("messages") != std::string_view::npos ? kPaths[1] : kPaths[0];
}

// Keeps the engine and the clients within some turns of each other, so that how often a client leaves in the middle, or
// waits too long, does not depend on how many cores there are. Inside the slack they race.
class Pace {
 public:
  void client_turn() {
    turns_.fetch_add(1);
    while (turns_.load() > steps_.load() + kSlack && !free_) std::this_thread::yield();
  }
  void engine_step() {
    steps_.fetch_add(1);
    while (steps_.load() > turns_.load() + kSlack && !free_) std::this_thread::yield();
  }
  void let_go() { free_ = true; }

 private:
  static constexpr int64_t kSlack = 8;
  std::atomic<int64_t> turns_{0}, steps_{0};
  std::atomic<bool> free_{false};
};

struct Client {
  std::shared_ptr<FakeExchange> exchange;
  bool holds;
  int patience;  // turns until it leaves; negative: never
};

// One io thread's event loop and all of its clients.
class ClientThread {
 public:
  ClientThread(World* world, Pace* pace, std::atomic<int>* busy, int io, int requests, unsigned seed)
      : world_(world), hooks_(world->api->hooks()), pace_(pace), busy_(busy), io_(io), left_(requests), random_(seed) {}

  void run() {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    bool told = false;
    while (*busy_ > 0) {  // an abort visits the loops of both
      if (left_ == 0 && clients_.empty() && !std::exchange(told, true)) --*busy_;
      if (left_ > 0 && clients_.size() < 24 && random_() % 2 == 0) start_one();
      for (Client& client : clients_) act(&client);
      hooks_.on_tick(io_);
      if (world_->loops[static_cast<size_t>(io_)]->run() == 0) std::this_thread::yield();
      pace_->client_turn();
      std::erase_if(clients_, [this](const Client& client) { return client.exchange->done && judge(client); });
      if (std::chrono::steady_clock::now() > deadline) {
        ADD_FAILURE() << clients_.size() << " exchanges never ended";
        return;
      }
    }
  }
  int answered = 0, gone = 0, streamed = 0;

 private:
  void start_one() {
    --left_;
    const char* body = kBodies[random_() % std::size(kBodies)];
    const bool holds = random_() % 4 == 0;
    auto exchange = world_->send(random_() % 12 == 0 ? abort() : ask(body), holds, io_);
    const int patience = random_() % 2 == 0 ? -1 : static_cast<int>(random_() % 60);
    if (patience == 0) exchange->leave();
    clients_.push_back({std::move(exchange), holds, patience});
  }
  std::string some_id() { return "id-" + std::to_string(random_() % kIds); }
  http::Request ask(const char* body) {
    http::Request request = make_request("POST", path_for(body, &random_), body);
    request.headers.emplace_back("x-request-id", some_id());
    if (random_() % 4 == 0) {
      request.headers.emplace_back("x-request-deadline-ms", "1");
      request.age_us = 500 + random_() % 600;  // some are late before they begin
    }
    return request;
  }
  http::Request abort() {
    http::Request request = make_request("POST", "/admin/abort", R"({"id":")" + some_id() + R"("})");
    request.headers.emplace_back("authorization", "Bearer root");
    return request;
  }
  void act(Client* client) {
    if (client->patience > 0 && --client->patience == 0) {
      client->exchange->leave(random_() % 2 ? http::Gone::kClientClosed : http::Gone::kSlowReader);
    }
    if (client->holds && client->exchange->ended && random_() % 8 == 0) client->exchange->send_last_byte();
  }
  bool judge(const Client& client) {
    const FakeExchange& e = *client.exchange;
    if (e.gone() != http::Gone::kNo) {
      ++gone;
      return true;
    }
    EXPECT_EQ(e.answers, 1);
    EXPECT_TRUE(e.ended);
    ++answered;
    if (e.content_type == "text/event-stream") {
      ++streamed;
      EXPECT_FALSE(e.events().empty());
    } else if (e.content_type == "application/json") {
      boost::json::error_code error;
      boost::json::parse(e.body, error);
      EXPECT_FALSE(error) << e.body;
    }
    return true;
  }

  World* const world_;
  const http::Hooks hooks_;
  Pace* const pace_;
  std::atomic<int>* const busy_;
  const int io_;
  int left_;
  std::mt19937 random_;
  std::vector<Client> clients_;
};

FakeEngine::Script noise() {
  auto random = std::make_shared<std::mt19937>(99);
  return [random](const RequestSpec& spec, int, int k) -> std::optional<TokenEvent> {
    if ((*random)() % 3 == 0) return {};
    TokenEvent event{.token = k > 30 ? kEos : static_cast<int32_t>('a' + (*random)() % 26), .logprob = -1};
    if (spec.params.wants_logprobs()) {
      event.top_count = std::min(spec.params.top_logprobs, 2);
      for (int i = 0; i < event.top_count; ++i) event.top[static_cast<size_t>(i)] = {'a' + i, -2};
    }
    return event;
  };
}

TEST(Storm, EveryPlaceComesBackAndEveryExchangeEndsOnce) {
  WorldOptions options;
  options.running_max = 6;
  options.queued_max = 10;
  options.io_threads = 2;
  options.queue_timeout_us = 70;  // ten steps
  options.queue_keepalive_us = 20;
  options.admin_key = "root";
  // The request of four sequences needs more than one request may have.
  options.ledger = {.total_bytes_max = 100'000, .request_bytes_max = 10'500};
  World world(options);
  world.engine.keep_specs = false;
  world.engine.set_script(noise());
  world.engine.fail_after = {{3, 4}, {7, 0}};
  std::atomic<bool> stop{false};
  Pace pace;
  std::thread engine([&] {
    while (!stop) {
      world.engine.step();
      world.clock.advance_us(7);
      pace.engine_step();
    }
  });
  std::atomic<int> busy{2};
  ClientThread first(&world, &pace, &busy, 0, kRequests, 1), second(&world, &pace, &busy, 1, kRequests, 2);
  std::thread other([&] { second.run(); });
  first.run();
  other.join();
  pace.let_go();
  // Clients that left while the engine still had their sequences: their places come back a moment later.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (world.api->live_requests() > 0 && std::chrono::steady_clock::now() < deadline) {
    world.loops[0]->run();
    world.loops[1]->run();
    std::this_thread::yield();
  }
  // The text pool may drop the last hold on a request a moment after its place is back.
  while (world.ledger->used_bytes() > 0 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_EQ(world.ledger->used_bytes(), 0u) << "every host byte is back";
  EXPECT_LE(world.ledger->peak_bytes(), 100'000u);
  EXPECT_GT(world.door.refusals(Refusal::kOverHostBytes), 0u);
  stop = true;
  engine.join();
  world.engine.step();
  EXPECT_EQ(world.api->live_requests(), 0);
  EXPECT_EQ(world.door.admitted(), 0);
  EXPECT_EQ(world.engine.submits, world.engine.finishes);
  EXPECT_EQ(world.engine.submits, world.engine.releases);
  EXPECT_EQ(first.answered + first.gone + second.answered + second.gone, 2 * kRequests);
  // How many of each there are depends on how the threads race; none of each would be no storm.
  EXPECT_GT(first.gone + second.gone, 20);
  EXPECT_GT(first.streamed + second.streamed, 5);
  EXPECT_GT(world.door.refusals(Refusal::kAborted), 0u);
  EXPECT_GT(world.door.refusals(Refusal::kDeadline), 0u);
  for (const FinishReason reason : {FinishReason::kStop, FinishReason::kLength, FinishReason::kCancelled,
                                    FinishReason::kQueueTimeout, FinishReason::kError}) {
    EXPECT_GT(world.gateway.load().finished_by_reason[static_cast<int>(reason)].load(), 0u) << finish_reason_name(reason);
  }
}

}  // namespace
}  // namespace weir::api
