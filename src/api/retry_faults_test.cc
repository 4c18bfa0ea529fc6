// Clients that ask again at once when they are told to come later. Counts are held against the time that passed, so
// a busy machine can only make them smaller.
#include <gtest/gtest.h>
#include <poll.h>

#include "api/served_test.h"

namespace weir::api {
namespace {

using http::Client;
using http::eventually;

constexpr char kAsk[] = R"({"prompt":"a"})";

// Every place is taken and nothing ends by itself.
class FullHouse {
 public:
  explicit FullHouse(WorldOptions options, std::string headers = "")
      : served(std::move(options), {.io_threads = 1}), ask(http::post("/v1/completions", kAsk, headers)) {
    served.world.engine.set_script([](const RequestSpec&, int, int) -> std::optional<TokenEvent> { return {}; });
    for (int i = 0; i < served.world.gateway.slots(); ++i) {
      guests.push_back(served.client());
      guests.back().send(ask);
      EXPECT_TRUE(eventually([&] { return served.world.door.admitted() == i + 1; }));
    }
  }
  ~FullHouse() {
    for (Client& guest : guests) guest.close();
    EXPECT_TRUE(eventually([&] { return served.world.door.admitted() == 0; }));
  }
  uint64_t refusals() const { return served.world.door.refusals(Refusal::kQueueFull); }

  Served served;
  const std::string ask;
  std::vector<Client> guests;
};

struct Storm {
  uint64_t answers = 0;
  int64_t took_us = 0;
};

// Each client sends its next request as soon as its last answer is there, on the same connection or on a new one.
Storm storm(Served* served, const std::string& request, size_t count, int for_ms, bool anew) {
  std::vector<Client> clients;
  std::vector<pollfd> waits;
  for (size_t i = 0; i < count; ++i) {
    clients.push_back(served->client());
    clients.back().send(request);
    waits.push_back({clients.back().fd(), POLLIN, 0});
  }
  const SteadyClock clock;
  const Micros begin = clock.now_us();
  Storm storm;
  while (clock.now_us() - begin < for_ms * 1000) {
    if (::poll(waits.data(), waits.size(), 20) <= 0) continue;
    for (size_t i = 0; i < count; ++i) {
      if (waits[i].revents == 0) continue;
      storm.answers += clients[i].reply().status != 0;
      if (anew) {
        clients[i].close();
        std::destroy_at(&clients[i]);
        std::construct_at(&clients[i], served->server->port());
        waits[i].fd = clients[i].fd();
      }
      clients[i].send(request);
    }
  }
  storm.took_us = clock.now_us() - begin;
  return storm;
}

// What the pace allows: both halves, their bursts, and a first answer for each.
uint64_t allowed(const Storm& storm, size_t clients, uint64_t per_second = 2000) {
  return per_second * static_cast<uint64_t>(storm.took_us) / 1'000'000 + per_second / 2 + clients + 100;
}

TEST(Faults, retry_storm_beyond_5x) {
  FullHouse house({});
  const Storm seen = storm(&house.served, house.ask, 200, 1500, false);
  EXPECT_LE(seen.answers, allowed(seen, 200));
  EXPECT_GE(seen.answers, 200u) << "everybody has a first answer";
  EXPECT_GT(house.served.server->stats().held, 0u);
  EXPECT_LE(house.refusals(), allowed(seen, 400));
  EXPECT_EQ(house.served.client().exchange(http::get("/health/live")).status, 200);
  EXPECT_EQ(house.served.client().exchange(house.ask).status, 429) << "a calm client is answered";
}

// The same by clients that connect anew each time: the answer itself is held.
TEST(Faults, retry_storm_on_new_connections) {
  FullHouse house({});
  const Storm seen = storm(&house.served, house.ask, 100, 1500, true);
  EXPECT_LE(seen.answers, allowed(seen, 100));
  EXPECT_EQ(house.served.client().exchange(http::get("/health/live")).status, 200);
}

TEST(Faults, retry_storm_without_a_key) {
  WorldOptions options;
  options.api_keys = {"k"};
  Served served(options, {.io_threads = 1});
  const Storm seen = storm(&served, http::post("/v1/completions", kAsk), 100, 1000, false);
  EXPECT_LE(seen.answers, allowed(seen, 100, 1000));
  EXPECT_EQ(served.client().exchange(http::post("/v1/completions", kAsk, "Authorization: Bearer k\r\n")).status,
            200);
}

TEST(Faults, metrics_in_a_loop_are_paced) {
  Served served({}, {.io_threads = 1});
  const Storm seen = storm(&served, http::get("/metrics"), 50, 1000, false);
  EXPECT_LE(seen.answers, allowed(seen, 50, 200)) << "each counts for more than one";
  for (int i = 0; i < 20; ++i) EXPECT_EQ(served.client().exchange(http::get("/health/ready")).status, 200);
}

// One tenant's storm is not another's: whoever is admitted and refused within its limits hears so at once.
TEST(Faults, retry_storm_of_another_tenant) {
  WorldOptions options;
  options.queued_max = 20;
  options.tenants = {
      {.name = "a", .keys = {sha256("key-a")}, .class_index = 1, .limits = {.concurrent = 1, .queued = 1}},
      {.name = "b", .keys = {sha256("key-b")}, .class_index = 1, .limits = {.concurrent = 2, .queued = 2}}};
  Served served(options, {.io_threads = 1});
  served.world.engine.set_script([](const RequestSpec&, int, int) -> std::optional<TokenEvent> { return {}; });
  const std::string of_a = http::post("/v1/completions", kAsk, "Authorization: Bearer key-a\r\n");
  const std::string of_b = http::post("/v1/completions", kAsk, "Authorization: Bearer key-b\r\n");
  std::vector<Client> guests;
  for (int i = 0; i < 2; ++i) {
    guests.push_back(served.client());
    guests.back().send(of_a);
    ASSERT_TRUE(eventually([&] { return served.world.door.admitted() == i + 1; }));
  }
  const Storm seen = storm(&served, of_a, 100, 1000, false);
  EXPECT_LE(seen.answers, allowed(seen, 100));
  ASSERT_TRUE(eventually([&] { return served.server->stats().connections == guests.size(); }))
      << "a's storm is over";
  const uint64_t held = served.server->stats().held;
  for (int i = 0; i < 4; ++i) {
    guests.push_back(served.client());
    guests.back().send(of_b);
    ASSERT_TRUE(eventually([&] { return served.world.door.admitted() == i + 3; }));
  }
  Client over = served.client();
  for (int i = 0; i < 50; ++i) EXPECT_EQ(over.exchange(of_b).status, 429);
  EXPECT_EQ(served.server->stats().held, held) << "b is not held for what a does";
  for (Client& guest : guests) guest.close();
  EXPECT_TRUE(eventually([&] { return served.world.door.admitted() == 0; }));
}

}  // namespace
}  // namespace weir::api
