#include "admission/tenants.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct TenantsTest : ::testing::Test {
  Gateway gateway{6, 2, 1, 8};
  FrontDoor door{
      {.running_max = 2, .queued_max = 4, .queued_tokens_max = 100, .session_tokens = 64, .pool_tokens = 64},
      &gateway};
  Tenants tenants{&door, &gateway.tenants(), 1};

  static TenantPolicy policy(const char* name, std::vector<std::string> keys) {
    TenantPolicy policy{.name = name};
    for (const std::string& key : keys) policy.keys.push_back(sha256(key));
    return policy;
  }
  // The tenant of a key, or -1.
  int32_t tenant_of(std::string_view key) const {
    const auto directory = tenants.directory();
    const Caller* caller = directory->find(key);
    return caller != nullptr ? caller->tenant : -1;
  }
  const TenantKnobs& knobs(int tenant) const { return gateway.tenants().knobs[static_cast<size_t>(tenant)]; }
};

TEST_F(TenantsTest, BeginsOpenForEverybody) {
  EXPECT_FALSE(tenants.directory()->asks_for_keys());
  EXPECT_EQ(tenants.directory()->everybody().tenant, 0);
  EXPECT_EQ(tenants.directory()->everybody().class_index, 1);
  EXPECT_TRUE(tenants.directory()->everybody().may_ask_for(0));
  EXPECT_EQ(tenant_of("any"), -1);
  EXPECT_THAT(*tenants.names(), ElementsAre("default"));
}

TEST_F(TenantsTest, AKeyIsOneTenants) {
  ASSERT_TRUE(
      tenants.replace({policy("a", {"one", "two"}), policy("default", {"three"}), policy("b", {})}, true, 1).ok());
  EXPECT_TRUE(tenants.directory()->asks_for_keys());
  EXPECT_EQ(tenant_of("one"), 1);
  EXPECT_EQ(tenant_of("two"), 1);
  EXPECT_EQ(tenant_of("three"), 0);
  for (const char* wrong : {"", "One", "one ", "on", "onee", "sha256:one"})
    EXPECT_EQ(tenant_of(wrong), -1) << wrong;
  EXPECT_EQ(tenant_of(std::string_view("one\0", 4)), -1);
  EXPECT_EQ(tenant_of(hex_of(sha256("one"))), -1) << "the stored digest is no key";
  EXPECT_EQ(tenant_of(std::string(257, 'k')), -1);
  EXPECT_THAT(*tenants.names(), ElementsAre("default", "a", "b"));
  EXPECT_EQ(gateway.tenants().used, 3);
}

TEST_F(TenantsTest, TheLongestKeyThatCanBeSentWorks) {
  ASSERT_TRUE(tenants.replace({policy("a", {std::string(256, 'k')})}, true, 1).ok());
  EXPECT_EQ(tenant_of(std::string(256, 'k')), 1);
}

TEST_F(TenantsTest, AReloadKeepsIndicesAndWhatRuns) {
  TenantPolicy a = policy("a", {"one"}), b = policy("b", {"two"});
  a.limits = {.concurrent = 1, .queued = 1, .tokens_per_minute = 60};
  a.weight_milli = 3000;
  a.kv_share_milli = 250;
  ASSERT_TRUE(tenants.replace({b, a}, true, 1).ok());
  EXPECT_EQ(tenant_of("one"), 2);
  EXPECT_EQ(knobs(2).weight_milli, 3000);
  EXPECT_EQ(knobs(2).running_max, 1);
  EXPECT_EQ(knobs(2).kv_share_milli, 250);
  door.set_ready();
  auto places = door.admit({.prompt_tokens = {10}, .visitor = {2, 1}});
  ASSERT_TRUE(places.ok());
  const auto before = tenants.directory();
  ASSERT_TRUE(tenants.replace({b}, true, 1).ok());
  EXPECT_EQ(tenant_of("one"), -1) << "its key stops working";
  EXPECT_NE(before->find("one"), nullptr) << "a request that looked already goes on";
  EXPECT_EQ(knobs(2).running_max, 1) << "what runs keeps its limits";
  EXPECT_EQ(tenant_of("two"), 1);
  a.limits = {};
  ASSERT_TRUE(tenants.replace({a, policy("c", {"three"}), b}, true, 1).ok());
  EXPECT_EQ(tenant_of("one"), 2) << "by its name";
  EXPECT_EQ(tenant_of("three"), 3);
  EXPECT_EQ(knobs(2).running_max, 0);
  EXPECT_EQ(door.tenant_counters(2).admitted, 1u) << "and its counters";
}

TEST_F(TenantsTest, AReloadPaysNoDebt) {
  TenantPolicy a = policy("a", {"one"});
  a.limits.tokens_per_minute = 60;
  ASSERT_TRUE(tenants.replace({a}, true, 1).ok());
  door.note_output(1, 100);
  ASSERT_TRUE(tenants.replace({a}, true, 1).ok());
  const auto level = [&] {
    std::optional<int64_t> one;
    door.bucket_levels({1, 1}, {&one, 1});
    return one;
  };
  EXPECT_EQ(level(), -40);
  ASSERT_TRUE(tenants.replace({policy("b", {"two"})}, true, 1).ok());
  ASSERT_TRUE(tenants.replace({a}, true, 1).ok());
  EXPECT_EQ(level(), -40) << "nor does leaving and coming back";
}

TEST_F(TenantsTest, ClassesOfACaller) {
  TenantPolicy a = policy("a", {"one"});
  a.class_index = 1;
  a.classes = 0b100;
  ASSERT_TRUE(tenants.replace({a}, true, 1).ok());
  const Caller caller = *tenants.directory()->find("one");
  EXPECT_FALSE(caller.may_ask_for(0));
  EXPECT_TRUE(caller.may_ask_for(1)) << "its own";
  EXPECT_TRUE(caller.may_ask_for(2));
}

TEST_F(TenantsTest, MoreNamesThanThereIsRoomForChangeNothing) {
  std::vector<TenantPolicy> many;
  for (int i = 0; i < kTenantsMax - 1; ++i) many.push_back(policy(("t" + std::to_string(i)).c_str(), {}));
  many[0].keys.push_back(sha256("first"));
  ASSERT_TRUE(tenants.replace(many, true, 1).ok());
  const Status status = tenants.replace({policy("one-more", {"k"})}, true, 1);
  EXPECT_EQ(status.code(), Code::kResourceExhausted);
  EXPECT_THAT(status.message(), HasSubstr("1025 names"));
  EXPECT_EQ(tenant_of("first"), 1) << "the old ones are still in force";
  EXPECT_EQ(tenant_of("k"), -1);
  EXPECT_TRUE(tenants.replace({policy("t7", {"k"})}, true, 1).ok());
}

}  // namespace
}  // namespace weir
