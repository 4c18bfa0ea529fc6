// A connection that is held: what its client sends meanwhile stays in the kernel.
#include <gtest/gtest.h>

#include "http/test_rig.h"

namespace weir::http {
namespace {

// The client asks right behind each answer, so its fourth request is due seconds later, and it is not read before,
// although the connection was watched for the client's leaving while the third answer was made.
TEST(Server, AHeldConnectionIsNotReadBeforeItIsDue) {
  std::atomic<int> handled{0};
  Server* server = nullptr;
  auto created = Server::create(
      {.refusals_per_second = 2},
      [&](Request&&, std::shared_ptr<Exchange> exchange) {
        ++handled;
        server->post(0, [exchange] { exchange->respond(429, "text/plain", "later"); });
      },
      nullptr, {.judge_head = [](const Request&) { return HeadVerdict{.lane = Lane::kWork, .cost = 30}; }});
  ASSERT_TRUE(created.ok()) << created.status().message();
  server = created->get();
  server->start();
  Client client(server->port());
  client.send(get("/") + get("/") + get("/"));  // so that they are in haste on any machine
  for (int i = 0; i < 3; ++i) EXPECT_EQ(client.reply().status, 429);
  EXPECT_TRUE(eventually([&] { return server->stats().held >= 1; }));
  client.send(get("/"));
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_EQ(handled, 3) << "the fourth is due seconds later";
  server->stop();
}

}  // namespace
}  // namespace weir::http
