// The room behind the real http::Server: the same rules over loopback sockets, with an engine thread of its own.
#include <gtest/gtest.h>

#include "api/served_test.h"

namespace weir::api {
namespace {

using http::Client;
using http::eventually;

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
