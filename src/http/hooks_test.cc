// What the owner of the server has a say in: ids of answers that http gives by itself, requests whose body is on its way,
// the tick, draining with open listeners, cutting a client off.
#include <gtest/gtest.h>

#include "base/clock.h"
#include "http/test_rig.h"

namespace weir::http {
namespace {

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

// Remembers every watch of a body; the test says how they end.
struct Watches {
  std::atomic<int> made{0}, alive{0}, ticks{0};
  std::atomic<bool> end{false};
  std::atomic<int64_t> head_seen_us{0};
  bool end_at_once = false;

  struct Watch final : BodyWatch {
    explicit Watch(Watches* owner) : all(owner) { ++all->alive; }
    ~Watch() override { --all->alive; }
    std::optional<Fault> verdict() override {
      if (!all->end && !all->end_at_once) return std::nullopt;
      return Fault{504, "timeout", "deadline", "too \"late\""};
    }
    Watches* const all;
  };

  Hooks hooks() {
    return {.choose_id = [](std::string_view wanted) { return wanted.empty() ? "made-up" : "id-" + std::string(wanted); },
            .watch_body =
                [this](const Request& head, int io_index) -> std::unique_ptr<BodyWatch> {
              EXPECT_EQ(io_index, 0);
              EXPECT_FALSE(head.id.empty());
              head_seen_us = SteadyClock().now_us();
              ++made;
              if (head.path == "/unwatched") return nullptr;
              return std::make_unique<Watch>(this);
            },
            .on_tick = [this](int) { ++ticks; }};
  }
};

std::string half_post(std::string_view path, std::string_view extra = "") {
  return "POST " + std::string(path) + " HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n" + std::string(extra) + "\r\n";
}

TEST(Hooks, EveryFaultCarriesTheIdOfItsRequestOrANewOne) {
  Watches watches;
  Rig rig(Options{.head_bytes_max = 600, .body_bytes_max = 100, .body_bytes_total_max = 1000, .body_timeout_ms = 100},
          nullptr, watches.hooks());
  EXPECT_TRUE(contains(rig.client().exchange("nonsense\r\n\r\n").head, "x-request-id: made-up\r\n"));
  EXPECT_TRUE(contains(rig.client().exchange(get("/echo", std::string(700, 'a'))).head, "x-request-id: made-up\r\n"));
  const Reply large = rig.client().exchange(post("/echo", std::string(101, 'x'), "X-Request-Id: me\r\n"));
  EXPECT_EQ(large.status, 413);
  EXPECT_TRUE(contains(large.head, "x-request-id: id-me\r\n") || contains(large.head, "x-request-id: made-up\r\n")) << large.head;
  const Reply late = rig.client().exchange(half_post("/unwatched", "x-request-id: me\r\n"));
  EXPECT_EQ(late.status, 408);
  EXPECT_TRUE(contains(late.head, "x-request-id: id-me\r\n")) << late.head;
  const Reply dropped = rig.client().exchange(get("/drop"));
  EXPECT_EQ(dropped.status, 500);
  EXPECT_TRUE(contains(dropped.head, "x-request-id: made-up\r\n")) << dropped.head;
  const Reply chunks = rig.client().exchange(
      "POST /echo HTTP/1.1\r\nHost: t\r\nx-request-id: me\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
  EXPECT_EQ(chunks.status, 400);
  EXPECT_TRUE(contains(chunks.head, "x-request-id: id-me\r\n")) << chunks.head;
}

TEST(Hooks, NoConnectionSlotCarriesAnIdToo) {
  Watches watches;
  Rig rig(Options{.connections_max = 1}, nullptr, watches.hooks());
  Client first = rig.client();
  first.send(get("/park"));
  const auto parked = rig.take_parked();
  const Reply refused = rig.client().exchange(get("/echo"));
  EXPECT_EQ(refused.status, 503);
  EXPECT_TRUE(contains(refused.head, "x-request-id: made-up\r\n")) << refused.head;
}

TEST(Hooks, ARequestIsEndedBeforeItsBodyIsRead) {
  Watches watches;
  watches.end_at_once = true;
  Rig rig({}, nullptr, watches.hooks());
  const Reply reply = rig.client().exchange(half_post("/echo", "x-request-id: me\r\n"));
  EXPECT_EQ(reply.status, 504);
  EXPECT_TRUE(contains(reply.body, R"("reason":"deadline")") && contains(reply.body, R"(too \"late\")")) << reply.body;
  EXPECT_TRUE(contains(reply.head, "x-request-id: id-me\r\n"));
  EXPECT_EQ(rig.client().exchange(post("/echo", "abcd")).status, 200) << "a body that comes with its head is not watched";
  EXPECT_EQ(watches.made, 1);
  EXPECT_EQ(rig.client().exchange(half_post("/echo", "Expect: 100-continue\r\n")).status, 504) << "it is not invited first";
  EXPECT_EQ(watches.alive, 0);
  EXPECT_EQ(rig.tally.handled, 1);
  EXPECT_EQ(rig.server->stats().bad_requests, 0u) << "its owner knows why";
}

TEST(Hooks, ARequestIsEndedWhileItsBodyIsRead) {
  Watches watches;
  Rig rig({}, nullptr, watches.hooks());
  Client slow = rig.client(), leaves = rig.client();
  slow.send(half_post("/echo"));
  leaves.send(half_post("/echo"));
  ASSERT_TRUE(eventually([&] { return watches.alive == 2; }));
  leaves.close();
  ASSERT_TRUE(eventually([&] { return watches.alive == 1; }));
  slow.send("ab");
  watches.end = true;
  EXPECT_EQ(slow.reply().status, 504);
  EXPECT_TRUE(slow.closed());
  EXPECT_EQ(watches.alive, 0);
  EXPECT_EQ(rig.tally.handled, 0);
}

TEST(Hooks, TheHandlerGetsTheWatchAndTheAge) {
  Watches watches;
  std::atomic<int64_t> age_us{-1};
  std::atomic<bool> watched{false};
  std::string id;
  auto created = Server::create(
      Options{},
      [&](Request&& request, std::shared_ptr<Exchange> exchange) {
        age_us = request.age_us;
        watched = request.watch != nullptr;
        id = request.id;
        exchange->respond(204, "", "");
      },
      nullptr, watches.hooks());
  ASSERT_TRUE(created.ok());
  (*created)->start();
  Client client((*created)->port());
  client.send(half_post("/echo", "x-request-id: me\r\n"));
  ASSERT_TRUE(eventually([&] { return watches.made == 1; }));
  const int64_t body_sent_us = SteadyClock().now_us();
  client.send("abcd");
  EXPECT_EQ(client.reply().status, 204);
  EXPECT_GE(age_us, body_sent_us - watches.head_seen_us);
  EXPECT_TRUE(watched);
  EXPECT_EQ(id, "id-me");
  EXPECT_TRUE(eventually([&] { return watches.alive == 0; }));
  EXPECT_EQ(client.exchange(get("/echo")).status, 204);
  EXPECT_GE(age_us, 0);
  EXPECT_FALSE(watched);
  EXPECT_EQ(id, "made-up");
  (*created)->stop();
}

TEST(Hooks, TheTickComesWhileThereAreConnections) {
  Watches watches;
  Rig rig(Options{.tick_ms_max = 5}, nullptr, watches.hooks());
  Client client = rig.client();
  EXPECT_TRUE(eventually([&] { return watches.ticks > 3; }));
}

TEST(Server, ADrainKeepsTheListenerOpen) {
  Rig rig;
  Client idle = rig.client(), parked = rig.client();
  EXPECT_EQ(idle.exchange(get("/echo")).status, 200);
  parked.send(get("/park"));
  const auto waiting = rig.take_parked();
  rig.server->drain();
  EXPECT_TRUE(idle.closed()) << "idle connections go at once";
  for (int i = 0; i < 2; ++i) {
    Client late = rig.client();
    const Reply reply = late.exchange(get("/echo"));
    EXPECT_EQ(reply.status, 200) << "a probe must see why";
    EXPECT_TRUE(contains(reply.head, "Connection: close\r\n"));
    EXPECT_TRUE(late.closed());
  }
  rig.server->stop_accepting();
  EXPECT_TRUE(eventually([&] { return !rig.client().connected(); }));
  rig.on_thread_of(waiting, [&] { waiting->respond(200, "text/plain", "still"); });
  EXPECT_EQ(parked.reply().body, "still");
}

TEST(Exchange, ACutClientIsGoneWhateverIsUnsent) {
  Rig rig;
  Client parked = rig.client(), streaming = rig.client();
  parked.send(get("/park"));
  const auto waiting = rig.take_parked();
  streaming.send(get("/stream"));
  const auto stream = rig.take_parked();
  rig.on_thread_of(waiting, [&] { waiting->cut(); });
  EXPECT_TRUE(parked.closed());
  EXPECT_EQ(rig.last_gone(), Gone::kCut);
  rig.on_thread_of(stream, [&] {
    stream->write(std::string(100'000, 'x'));
    stream->end_stream();
    stream->cut();
    stream->cut();
  });
  EXPECT_TRUE(streaming.closed());
  EXPECT_TRUE(eventually([&] { return rig.tally.gone == 2 && rig.tally.done == 2; }));
}

}  // namespace
}  // namespace weir::http
