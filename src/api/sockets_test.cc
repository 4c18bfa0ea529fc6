// The room behind the real http::Server: the same rules over loopback sockets, with an engine thread of its own.
#include <gtest/gtest.h>

#include <thread>

#include "api/host_bytes.h"
#include "api/world_test.h"
#include "http/test_client.h"

namespace weir::api {
namespace {

using http::Client;
using http::eventually;

// A World whose loops are the server's io threads.
class Served {
 public:
  explicit Served(WorldOptions options = {}) : world(with_two_io_threads(options)) {
    http::Options http_options;
    http_options.io_threads = 2;
    auto created = http::Server::create(http_options, [this](http::Request&& request, std::shared_ptr<http::Exchange> e) {
      world.api->handle(std::move(request), std::move(e));
    }, make_byte_book(world.ledger), world.api->hooks());
    EXPECT_TRUE(created.ok()) << created.status().message();
    server = std::move(*created);
    world.engine.keep_specs = false;
    world.gateway.set_io_waker([this](int io) { server->post(io, [this, io] { world.api->drain(io); }); });
    world.post_io = [this](int io, http::Callback callback) { return server->post(io, std::move(callback)); };
    server->start();
    engine = std::thread([this] {
      while (!stop) {
        world.engine.step();
        world.gateway.wait_for_command(200);
      }
    });
  }
  ~Served() { shut_down(); }
  // The order that api.h asks for: text pool, server, engine, and then the notices nobody was left to read.
  void shut_down() {
    if (!engine.joinable()) return;
    world.api->stop_text_pool();
    server->stop();
    stop = true;
    engine.join();
    for (int turn = 0; turn < 2; ++turn) {
      world.engine.step();
      for (int io = 0; io < 2; ++io) world.api->drain(io);
    }
    world.engine.step();
  }
  Client client() { return Client(server->port()); }

  World world;
  std::unique_ptr<http::Server> server;
  std::thread engine;
  std::atomic<bool> stop{false};

 private:
  static WorldOptions with_two_io_threads(WorldOptions options) {
    options.io_threads = 2;
    return options;
  }
};

FakeEngine::Script slow_forever() {
  return [](const RequestSpec&, int, int k) -> std::optional<TokenEvent> {
    std::this_thread::sleep_for(std::chrono::microseconds(300));
    return TokenEvent{.token = 'a' + k % 26};
  };
}

TEST(Sockets, WholeStreamAndKeepAlive) {
  Served served;
  Client client = served.client();
  for (int round = 0; round < 3; ++round) {
    const auto whole = client.exchange(http::post("/v1/completions", R"({"prompt":"a"})", "x-request-id: me-1\r\n"));
    EXPECT_EQ(whole.status, 200);
    EXPECT_NE(whole.head.find("x-request-id: me-1"), std::string::npos) << whole.head;
    EXPECT_EQ(boost::json::parse(whole.body).at("choices").at(0).at("text"), "hi");
    const auto stream = client.exchange(http::post("/v1/completions", R"({"prompt":"a","stream":true})"));
    EXPECT_EQ(stream.status, 200);
    EXPECT_NE(stream.head.find("text/event-stream"), std::string::npos);
    EXPECT_TRUE(stream.body.ends_with("data: [DONE]\n\n")) << stream.body;
  }
  const auto bad = client.exchange(http::post("/v1/completions", R"({"prompt":"a","n":0})"));
  EXPECT_EQ(bad.status, 400);
  EXPECT_EQ(client.exchange(http::get("/health")).status, 200);
}

TEST(Sockets, AClientThatLeavesGivesItsPlaceBack) {
  WorldOptions options;
  options.session_tokens = 100'000;
  Served served(options);
  served.world.engine.set_script(slow_forever());
  const std::string ask = http::post("/v1/completions", R"({"prompt":"a","stream":true,"max_tokens":90000})");
  const std::string whole = http::post("/v1/completions", R"({"prompt":"a","max_tokens":90000})");
  std::vector<Client> clients;
  for (int i = 0; i < 4; ++i) {  // two run, two wait
    clients.push_back(served.client());
    clients.back().send(i % 2 == 0 ? ask : whole);
    ASSERT_TRUE(eventually([&] { return served.world.door.admitted() == i + 1; }));
  }
  Client refused = served.client();
  const auto full = refused.exchange(ask);
  EXPECT_EQ(full.status, 429);
  EXPECT_NE(full.head.find("Retry-After: "), std::string::npos);
  EXPECT_EQ(refused.exchange(http::get("/health/ready")).status, 200);
  clients[3].close();  // waiting, not streamed
  EXPECT_TRUE(eventually([&] { return served.world.door.admitted() == 3; }));
  clients[0].reset();  // running, mid-stream
  EXPECT_TRUE(eventually([&] { return served.world.door.admitted() == 2; }));
  clients[1].close();  // running, not streamed
  EXPECT_TRUE(eventually([&] { return served.world.door.admitted() == 1; }));
  EXPECT_TRUE(clients[2].read_until("data: ")) << "the one that waited runs now";
  clients[2].close();
  EXPECT_TRUE(eventually([&] { return served.world.door.admitted() == 0 && served.world.api->live_requests() == 0; }));
}

TEST(Sockets, ServerStopsWhileRequestsRun) {
  WorldOptions options;
  options.session_tokens = 100'000;
  Served served(options);
  served.world.engine.set_script(slow_forever());
  std::vector<Client> clients;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(served.client());
    clients.back().send(http::post("/v1/completions", R"({"prompt":"a","stream":true,"max_tokens":90000})"));
  }
  ASSERT_TRUE(eventually([&] { return served.world.door.admitted() == 4; }));
  served.world.door.start_draining();
  served.shut_down();
  EXPECT_EQ(served.world.door.admitted(), 0);
  EXPECT_EQ(served.world.api->live_requests(), 0);
  for (Client& client : clients) EXPECT_TRUE(client.closed());
}

}  // namespace
}  // namespace weir::api
