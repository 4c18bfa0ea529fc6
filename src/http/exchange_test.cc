// The life of an exchange when clients misbehave: leaving, half-closing, not reading; and the storm.
#include <gtest/gtest.h>

#include <random>

#include "http/test_rig.h"

namespace weir::http {
namespace {

class Departure : public testing::TestWithParam<const char*> {};

// A client that leaves while it waits or in mid-stream is noticed by itself, not by a time limit, however it
// leaves.
TEST_P(Departure, IsNoticedAtOnce) {
  const std::string how = GetParam();
  for (const char* path : {"/park", "/stream"}) {
    Rig rig;
    Client client = rig.client();
    client.send(get(path));
    const auto exchange = rig.take_parked();
    if (how == "pipelined_close") {
      client.send(get("/echo"));
      std::this_thread::sleep_for(std::chrono::milliseconds(30));
    }
    const int64_t took = elapsed_ms([&] {
      if (how == "half_close") client.half_close();
      if (how == "reset") client.reset();
      if (how == "close" || how == "pipelined_close") client.close();
      EXPECT_TRUE(eventually([&] { return rig.tally.done.load() == 1; }));
    });
    EXPECT_LT(took, kSlowMs) << path;
    EXPECT_EQ(rig.tally.gone.load(), 1);
    EXPECT_EQ(rig.last_gone(), Gone::kClientClosed);
    EXPECT_EQ(rig.server->stats().client_gone, 1u);
    rig.on_thread_of(exchange, [&] {  // too late, and harmless
      EXPECT_EQ(exchange->gone(), Gone::kClientClosed);
      if (std::string_view(path) == "/park") exchange->begin_stream(200, "text/plain");
      exchange->write("x");
      exchange->end_stream();
      EXPECT_EQ(exchange->unsent_bytes(), 0u);
    });
    EXPECT_TRUE(eventually([&] { return rig.server->stats().connections == 0; }));
  }
}
INSTANTIATE_TEST_SUITE_P(Ways, Departure, testing::Values("close", "reset", "half_close", "pipelined_close"),
                         [](const auto& info) { return info.param; });

TEST(Exchange, StreamsInOrderAndCoalesces) {
  Rig rig;
  Client client = rig.client();
  client.send(get("/stream"));
  const auto exchange = rig.take_parked();
  std::string expected;
  for (int i = 0; i < 100; ++i) {
    std::string event;
    append_sse_event(&event, "token " + std::to_string(i));
    expected += event;
    rig.server->post(exchange->io_index(), [exchange, event] { exchange->write(event); });
  }
  exchange->post([exchange] { exchange->end_stream(); });
  const Reply reply = client.reply();
  EXPECT_EQ(reply.body, expected);
  EXPECT_NE(reply.head.find("Cache-Control: no-cache\r\n"), std::string::npos);
  EXPECT_EQ(client.exchange(get("/echo")).status, 200) << "a chunked stream leaves the connection usable";
  EXPECT_EQ(rig.tally.gone.load(), 0);
}

TEST(Exchange, DoneComesAfterTheLastByteNotBefore) {
  Rig rig;
  Client client = rig.client(4096);
  client.send(get("/big"));
  ASSERT_TRUE(client.fill());
  EXPECT_EQ(rig.tally.done.load(), 0) << "8 MiB cannot be in the kernel yet";
  EXPECT_EQ(client.reply().body.size(), 8u << 20);
  EXPECT_TRUE(eventually([&] { return rig.tally.done.load() == 1; }));
  EXPECT_EQ(rig.tally.gone.load(), 0);
}

TEST(Exchange, AReaderThatNeverReadsIsCutOffWithinItsBytes) {
  Rig rig(Options{.out_bytes_max = 64 * 1024});
  Client client = rig.client(4096);
  client.send(get("/flood"));
  EXPECT_TRUE(eventually([&] { return rig.tally.done.load() == 1; }));
  EXPECT_EQ(rig.last_gone(), Gone::kSlowReader);
  EXPECT_EQ(rig.server->stats().slow_readers, 1u);
  // What left the process is bounded by the kernel buffers, which are bounded by listen.cc.
  EXPECT_LT(rig.server->stats().bytes_out, 1u << 20);
}

TEST(Exchange, AFastReaderIsNeverCalledSlow) {
  Rig rig(Options{.write_timeout_ms = 300, .out_bytes_max = 64 * 1024});
  Client client = rig.client();
  client.send(get("/paced"));
  size_t got = 0;
  while (got < (32u << 20) && client.fill()) {
    got += client.buffer().size();
    client.buffer().clear();
  }
  EXPECT_GE(got, 32u << 20);
  EXPECT_EQ(rig.tally.gone.load(), 0);
}

TEST(Exchange, AnAnswerThatNobodyReadsTimesOut) {
  Rig rig(Options{.write_timeout_ms = 300});
  Client client = rig.client(4096);
  client.send(get("/big"));
  const int64_t took = elapsed_ms([&] { EXPECT_TRUE(eventually([&] { return rig.tally.done.load() == 1; })); });
  EXPECT_EQ(rig.last_gone(), Gone::kWriteTimeout);
  EXPECT_GE(took, 250);
  EXPECT_LT(took, kSlowMs);
}

TEST(Exchange, StopCutsEverybodyWithShutdown) {
  Rig rig;
  std::vector<Client> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(rig.client());
    clients.back().send(get(i % 2 ? "/park" : "/stream"));
  }
  ASSERT_TRUE(eventually([&] { return rig.tally.handled.load() == 20; }));
  rig.server->stop();
  EXPECT_EQ(rig.tally.done.load(), 20);
  EXPECT_EQ(rig.tally.gone.load(), 20);
  EXPECT_EQ(rig.last_gone(), Gone::kShutdown);
  rig.parked.front()->post([] { ADD_FAILURE() << "the loop is over"; });
}

TEST(Exchange, LateCallbacksAreStillTold) {
  Rig rig;
  Client client = rig.client();
  client.send(get("/park"));
  const auto exchange = rig.take_parked();
  // Replacing the rig's callbacks by empty ones and registering after the end: gone, then done, once each.
  rig.on_thread_of(exchange, [&] {
    exchange->on_gone(nullptr);
    exchange->on_done(nullptr);
  });
  client.close();
  std::string order;
  EXPECT_TRUE(eventually([&] {
    Gone gone = Gone::kNo;
    rig.on_thread_of(exchange, [&] { gone = exchange->gone(); });
    return gone != Gone::kNo;
  }));
  rig.on_thread_of(exchange, [&] {
    exchange->on_gone([&](Gone) { order += "gone "; });
    exchange->on_done([&] { order += "done "; });
    exchange->on_gone([&](Gone) { order += "never "; });
  });
  rig.on_thread_of(exchange, [] {});
  rig.on_thread_of(exchange, [&] { EXPECT_EQ(order, "gone done "); });
  rig.tally.done = 1;  // the rig's own callback was replaced
}

TEST(Exchange, CallbacksNeverRunInsideACall) {
  Rig rig(Options{.out_bytes_max = 4096});
  Client client = rig.client(4096);
  client.send(get("/stream"));
  const auto exchange = rig.take_parked();
  rig.on_thread_of(exchange, [&] {
    while (exchange->gone() == Gone::kNo) exchange->write(std::string(4096, 'x'));
    EXPECT_EQ(exchange->gone(), Gone::kSlowReader);
    EXPECT_EQ(exchange->unsent_bytes(), 0u) << "the memory goes at once";
    EXPECT_EQ(rig.tally.gone.load(), 0) << "the telling comes from the event loop";
  });
  EXPECT_TRUE(eventually([&] { return rig.tally.done.load() == 1; }));
}

// Thousands of exchanges whose clients leave at random moments in random ways, answered by another thread that
// knows nothing of it. Rig's destructor checks that every one of them was done exactly once.
TEST(Exchange, Storm) {
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  Rig rig(Options{.io_threads = 2, .body_timeout_ms = 200, .write_timeout_ms = 200, .out_bytes_max = 16 * 1024});
  std::atomic<bool> over{false};
  std::thread answerer([&] {
    std::mt19937 random(seed);
    while (!over) {
      std::vector<std::shared_ptr<Exchange>> batch;
      {
        std::lock_guard lock(rig.mutex);
        batch.swap(rig.parked);
      }
      for (auto& exchange : batch) {
        const uint32_t dice = random();
        exchange->post([exchange, dice] {
          if (dice % 3 == 0) return exchange->respond(200, "text/plain", std::string(dice % 50'000, 'r'));
          exchange->begin_stream(200, "text/plain");
          for (uint32_t i = 0; i < dice % 9; ++i) exchange->write(std::string(1 + dice % 3000, 's'));
          if (dice % 5 != 0)
            exchange->post([exchange] { exchange->end_stream(); });  // the fifth never ends by itself
        });
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  constexpr int kThreads = 4, kRounds = 700;
  std::vector<std::thread> clients;
  for (int t = 0; t < kThreads; ++t) {
    clients.emplace_back([&, t] {
      std::mt19937 random(seed + 1 + static_cast<uint32_t>(t));
      for (int i = 0; i < kRounds; ++i) {
        Client client = rig.client(random() % 4 == 0 ? 2048 : 0);
        const char* paths[] = {"/park", "/echo", "/late_by_park", "/flood", "/park"};
        const std::string request = post(paths[random() % 5], std::string(random() % 5000, 'q'));
        const size_t cut = random() % 3 == 0 ? random() % request.size() : request.size();
        client.send(std::string_view(request).substr(0, cut));
        if (random() % 4 == 0) client.send(request);
        if (random() % 2 == 0) client.fill(static_cast<int>(random() % 5));
        if (random() % 5 == 0) client.half_close();
        if (random() % 3 == 0) client.reset();
      }
    });
  }
  for (std::thread& thread : clients) thread.join();
  EXPECT_TRUE(eventually([&] { return rig.tally.done.load() == rig.tally.handled.load(); }, 10'000))
      << rig.tally.done.load() << " of " << rig.tally.handled.load();
  EXPECT_TRUE(eventually([&] { return rig.server->stats().connections == 0; }, 10'000));
  EXPECT_GT(rig.tally.handled.load(), kThreads * kRounds / 3);
  EXPECT_GT(rig.tally.gone.load(), 100);
  over = true;
  answerer.join();
}

}  // namespace
}  // namespace weir::http
