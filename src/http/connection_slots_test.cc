// Places for connections and for heads that are not complete: what they allow, and which connection gives way to
// which.
#include <gtest/gtest.h>

#include "http/test_rig.h"

namespace weir::http {
namespace {

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

// The oldest give way, so that a newcomer whose head comes in pieces is served whatever others hold.
TEST(Server, HalfHeadsAreBoundedTogether) {
  Rig rig(Options{.head_bytes_max = 64 * 1024, .head_bytes_total_max = 200'000});
  const std::string half = "GET /echo HTTP/1.1\r\nHost: t\r\nA: " + std::string(30'000, 'a');
  std::vector<Client> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(rig.client());
    clients.back().send(half);
    ASSERT_TRUE(
        eventually([&] { return rig.server->stats().bytes_in >= half.size() * static_cast<size_t>(i + 1); }));
  }
  int refused = 0;
  for (int i = 0; i < 4; ++i) refused += clients[static_cast<size_t>(i)].reply().status == 503;
  EXPECT_EQ(refused, 4) << "one address has three quarters: four of 30 KB, and one that is being copied";
  for (int i = 4; i < 8; ++i) {
    clients[static_cast<size_t>(i)].send("\r\n\r\n");
    EXPECT_EQ(clients[static_cast<size_t>(i)].reply().status, 200);
  }
  clients.clear();
  EXPECT_TRUE(eventually([&] { return rig.server->stats().connections == 0; }));
}

// With work in every slot one connection more has a moment in a spare place, and hears that there is no slot.
TEST(Server, ConnectionSlots) {
  Rig rig(Options{.connections_max = 3});
  std::vector<Client> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(rig.client());
    clients.back().send(get("/park"));
    ASSERT_TRUE(eventually([&] { return rig.tally.handled == i + 1; }));
  }
  for (int i = 0; i < 300; ++i) {
    Client over = rig.client();
    const Reply reply = over.exchange(get("/echo"));
    ASSERT_EQ(reply.status, 503);
    ASSERT_TRUE(contains(reply.head, "Retry-After: ")) << reply.head;
    ASSERT_TRUE(contains(reply.body, R"("reason":"connections")")) << reply.body;
  }
  EXPECT_EQ(rig.server->stats().refused_connections, 300u);
  EXPECT_EQ(rig.server->stats().gave_way, 0u);
  EXPECT_TRUE(eventually([&] { return rig.server->stats().connections == 3; }));
  clients.pop_back();
  EXPECT_TRUE(eventually([&] { return rig.server->stats().connections == 2; }));
  EXPECT_EQ(rig.client().exchange(get("/echo")).status, 200);
}

TEST(Server, TheLongestIdleConnectionGivesWay) {
  Rig rig(Options{.connections_max = 3});
  std::vector<Client> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(rig.client());
    EXPECT_EQ(clients.back().exchange(get("/echo")).status, 200);
  }
  EXPECT_EQ(clients[0].exchange(get("/echo")).status, 200) << "now the second has been idle for longest";
  Client more = rig.client();
  EXPECT_EQ(more.exchange(get("/echo")).status, 200);
  EXPECT_TRUE(clients[1].closed());
  for (Client* kept : {&clients[0], &clients[2], &more}) EXPECT_EQ(kept->exchange(get("/echo")).status, 200);
  EXPECT_EQ(rig.server->stats().gave_way, 1u);
  EXPECT_EQ(rig.server->stats().connections, 3u);
}

// Before its first head a connection is nobody's: newcomers push out those before any that has been served.
TEST(Server, SilentConnectionsGiveWayFirst) {
  Rig rig(Options{.connections_max = 4});
  Client served = rig.client();
  EXPECT_EQ(served.exchange(get("/echo")).status, 200);
  std::vector<Client> silent;
  for (int i = 0; i < 20; ++i) silent.push_back(rig.client());
  EXPECT_TRUE(eventually([&] { return rig.server->stats().gave_way == 17; }));
  EXPECT_EQ(served.exchange(get("/echo")).status, 200);
}

TEST(Server, OneAddressHasSoManyConnections) {
  Rig rig(Options{.peer_connections_max = 2});
  std::vector<Client> clients;
  for (int i = 0; i < 2; ++i) {
    clients.push_back(rig.client());
    EXPECT_EQ(clients.back().exchange(get("/echo")).status, 200);
  }
  const Reply refused = rig.client().reply();
  EXPECT_EQ(refused.status, 503);
  EXPECT_TRUE(contains(refused.body, R"("reason":"peer_connections")")) << refused.body;
  clients.pop_back();
  EXPECT_TRUE(eventually([&] { return rig.client().exchange(get("/echo")).status == 200; }));
}

}  // namespace
}  // namespace weir::http
