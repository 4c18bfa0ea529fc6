// What clients without a valid key can take from those with one: nothing. Each attack is made over real sockets
// while a keyed request and the open routes must be answered; counts and bytes are asserted, never times.
#include <gtest/gtest.h>

#include "api/served_test.h"

namespace weir::api {
namespace {

using http::Client;
using http::eventually;

constexpr char kKey[] = "Authorization: Bearer key-a\r\n";
constexpr char kAsk[] = R"({"prompt":"a"})";

WorldOptions keyed(LedgerOptions ledger = {}) {
  WorldOptions options;
  options.api_keys = {"key-a"};
  options.ledger = ledger;
  return options;
}

http::Options one_io(size_t connections_max = 4096) {
  return {.io_threads = 1,
          .connections_max = connections_max,
          .body_bytes_max = 300'000,
          .body_bytes_total_max = 1'000'000};
}

std::string announce(size_t bytes, std::string_view extra = "") {
  return "POST /v1/completions HTTP/1.1\r\nHost: t\r\nContent-Length: " + std::to_string(bytes) + "\r\n" +
         std::string(extra) + "\r\n";
}

std::string ask_with(std::string_view body) { return http::post("/v1/completions", body, kKey); }

void expect_open_routes(Served* served) {
  for (const char* path : {"/health/live", "/health/ready", "/health", "/metrics"}) {
    EXPECT_EQ(served->client().exchange(http::get(path)).status, 200) << path;
  }
}

TEST(Faults, bodies_before_keys) {
  Served served(keyed(), one_io());
  std::vector<Client> keyless;
  for (int i = 0; i < 60; ++i) {
    keyless.push_back(served.client());
    keyless.back().send(announce(65'536, i % 2 == 0 ? "" : "Authorization: Bearer wrong\r\n") + "x");
  }
  for (Client& client : keyless) {
    const auto reply = client.reply();
    EXPECT_EQ(reply.status, 401) << "the head says enough";
    EXPECT_NE(reply.body.find(R"("reason":"unauthenticated")"), std::string::npos) << reply.body;
    EXPECT_NE(reply.head.find("WWW-Authenticate: Bearer"), std::string::npos) << reply.head;
    EXPECT_NE(reply.head.find("x-request-id: "), std::string::npos) << reply.head;
    client.send("x");  // and the connection stays open on its side
  }
  EXPECT_EQ(served.world.host_bytes(HostKind::kBody), 0u);
  EXPECT_EQ(served.client().exchange(ask_with(kAsk)).status, 200);
  EXPECT_EQ(
      served.client().exchange(ask_with(R"({"prompt":"a","user":")" + std::string(250'000, 'u') + "\"}")).status,
      200);
  EXPECT_EQ(served.world.door.refusals(Refusal::kUnauthenticated), 60u) << "each is counted once";
  expect_open_routes(&served);
}

TEST(Faults, health_behind_slots) {
  Served served(keyed(), one_io(8));
  std::vector<Client> idle;
  for (int i = 0; i < 40; ++i) idle.push_back(served.client());
  ASSERT_TRUE(eventually([&] { return served.server->stats().accepted >= 40; }));
  expect_open_routes(&served);
  EXPECT_EQ(served.client().exchange(ask_with(kAsk)).status, 200) << "who idles gives way to who asks";
  std::vector<Client> halves;  // the same with heads that never end
  for (int i = 0; i < 40; ++i) {
    halves.push_back(served.client());
    halves.back().send("GET /health HTTP/1.1\r\nHost: t\r\n");
  }
  expect_open_routes(&served);
  EXPECT_EQ(served.client().exchange(ask_with(kAsk)).status, 200);
}

// Every slot has a keyed request that is being answered: nobody can give way, and the open routes answer all the
// same.
TEST(Faults, health_behind_slots_that_work) {
  WorldOptions options = keyed();
  options.running_max = options.queued_max = 4;
  Served served(options, one_io(8));
  served.world.engine.set_script([](const RequestSpec&, int, int) -> std::optional<TokenEvent> { return {}; });
  std::vector<Client> busy;
  for (int i = 0; i < 8; ++i) {
    busy.push_back(served.client());
    busy.back().send(ask_with(kAsk));
    ASSERT_TRUE(eventually([&] { return served.world.door.admitted() == i + 1; }));
  }
  for (int round = 0; round < 20; ++round) expect_open_routes(&served);
  const auto refused = served.client().exchange(ask_with(kAsk));
  EXPECT_EQ(refused.status, 503);
  EXPECT_NE(refused.body.find(R"("reason":"connections")"), std::string::npos) << refused.body;
  EXPECT_EQ(served.world.door.admitted(), 8) << "none of them was given up";
  for (Client& client : busy) client.close();
  EXPECT_TRUE(eventually([&] { return served.world.door.admitted() == 0; }));
}

TEST(Faults, unread_answers_of_open_routes) {
  Served served(keyed({.total_bytes_max = 1'000'000}), one_io());
  std::string pipelined;
  for (int i = 0; i < 60; ++i) pipelined += http::get("/metrics");
  std::vector<Client> deaf;
  for (int i = 0; i < 64; ++i) {
    deaf.push_back(served.client(4096));
    deaf.back().send(pipelined);
  }
  ASSERT_TRUE(eventually([&] {
    const auto stats = served.server->stats();
    return stats.requests >= 64 * 5;
  }));
  EXPECT_EQ(served.world.host_bytes(HostKind::kSocket), 0u) << "what is unread touches no request's bytes";
  std::string text(100'000, 'u');
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(served.client().exchange(ask_with(R"({"prompt":"a","user":")" + text + "\"}")).status, 200);
    expect_open_routes(&served);
  }
  EXPECT_LE(served.world.ledger->peak_bytes(), 600'000u)
      << "one large keyed request at a time, and nobody else's bytes";
}

}  // namespace
}  // namespace weir::api
