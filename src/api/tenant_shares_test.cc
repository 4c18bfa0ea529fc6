// One tenant's bodies and connections against another's: whatever the first holds, the second finds room.
#include <gtest/gtest.h>

#include "api/served_test.h"

namespace weir::api {
namespace {

using http::Client;
using http::eventually;

constexpr char kAsk[] = R"({"prompt":"a"})";

WorldOptions two_tenants() {
  WorldOptions options;
  options.tenants = {{.name = "a", .keys = {sha256("key-a")}, .class_index = 1},
                     {.name = "b", .keys = {sha256("key-b")}, .class_index = 1}};
  options.ledger.groups = kTenantsMax;
  return options;
}

std::string half_upload(std::string_view key, size_t bytes, size_t sent) {
  return "POST /v1/completions HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer " + std::string(key) +
         "\r\nContent-Length: " + std::to_string(bytes) + "\r\n\r\n" + std::string(sent, 'x');
}

std::string key_of(std::string_view key) { return "Authorization: Bearer " + std::string(key) + "\r\n"; }

TEST(Faults, bodies_of_another_tenant) {
  Served served(two_tenants(), {.io_threads = 1, .body_bytes_max = 300'000, .body_bytes_total_max = 1'000'000});
  std::vector<Client> uploads;
  int refused = 0;
  for (int i = 0; i < 12; ++i) {
    uploads.push_back(served.client());
    uploads.back().send(half_upload("key-a", 200'000, 100'000));
    if (uploads.back().fill(200)) refused += uploads.back().reply().status == 503;
  }
  EXPECT_GT(refused, 0) << "the tenant has its share";
  const uint64_t of_a = served.world.host_bytes(HostKind::kBody);
  EXPECT_LE(of_a, 750'000u);
  EXPECT_GE(of_a, 300'000u);
  EXPECT_GE(served.world.ledger->group_used(1), of_a) << "what is uploaded is the tenant's from the head on";
  const std::string large = R"({"prompt":"a","user":")" + std::string(60'000, 'u') + "\"}";
  for (const std::string& body : {std::string(kAsk), large}) {
    EXPECT_EQ(served.client().exchange(http::post("/v1/completions", body, key_of("key-b"))).status, 200);
  }
  EXPECT_EQ(served.world.door.tenant_counters(1).refusals[static_cast<size_t>(Refusal::kBodyMemory)],
            static_cast<uint64_t>(refused));
}

TEST(Faults, connections_of_another_tenant) {
  Served served(two_tenants(), {.io_threads = 1, .connections_max = 16});
  std::vector<Client> uploads;
  for (int i = 0; i < 16; ++i) {
    uploads.push_back(served.client());
    uploads.back().send(half_upload("key-a", 100, 1));
  }
  ASSERT_TRUE(eventually([&] { return served.world.door.refusals(Refusal::kTenantConnections) == 4; }))
      << "three quarters of the slots are as much as one of two tenants may have";
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(served.client().exchange(http::post("/v1/completions", kAsk, key_of("key-b"))).status, 200);
  }
}

// Alone, a tenant has everything.
TEST(TenantShares, OneTenantAloneHasEverySlot) {
  WorldOptions options = two_tenants();
  options.tenants.pop_back();
  Served served(options, {.io_threads = 1, .connections_max = 16});
  std::vector<Client> uploads;
  for (int i = 0; i < 16; ++i) {
    uploads.push_back(served.client());
    uploads.back().send(half_upload("key-a", 100, 1));
  }
  EXPECT_TRUE(
      eventually([&] { return served.server->stats().bytes_in >= 16 * half_upload("key-a", 100, 1).size(); }));
  EXPECT_EQ(served.world.door.refusals(Refusal::kTenantConnections), 0u);
  EXPECT_EQ(served.client().exchange(http::get("/health")).status, 200);
}

}  // namespace
}  // namespace weir::api
