// Settings and key file as tenants, and what a reload does with a good and with a bad file.
#include "server/key_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "config/tenants_file.h"

namespace weir {
namespace {

using ::testing::HasSubstr;

std::string digest(const char* key) { return "\"sha256:" + hex_of(sha256(key)) + "\""; }

class KeyFileTest : public ::testing::Test {
 protected:
  KeyFileTest() {
    path_ = ::testing::TempDir() + "weir_key_file_" + std::to_string(::getpid()) + ".toml";
    settings_.default_class = "normal";
  }
  ~KeyFileTest() override { std::filesystem::remove(path_); }

  void write(const std::string& text) { std::ofstream(path_) << text; }
  // As main does at start.
  Result<TenantsLoaded> start(const std::string& text) {
    write(text);
    settings_.tenants_file = path_;
    auto read = read_tenants_file(path_, {"interactive", "normal", "batch"});
    if (!read.ok()) return read.status();
    settings_.tenants = std::move(*read);
    return file_.load();
  }
  const Caller* find(std::string_view key) {
    directory_ = tenants_.directory();
    return directory_->find(key);
  }

  std::string path_;
  Settings settings_;
  FakeClock clock_;
  Gateway gateway_{6, 2, 1, 8};
  FrontDoor door_{
      {.running_max = 2, .queued_max = 4, .queued_tokens_max = 100, .session_tokens = 64, .pool_tokens = 64},
      &gateway_};
  std::shared_ptr<Ledger> ledger_ = std::make_shared<Ledger>(LedgerOptions{.groups = kTenantsMax});
  Tenants tenants_{&door_, &gateway_.tenants(), 1};
  KeyFile file_{&settings_, &tenants_, ledger_.get(), &clock_};
  std::shared_ptr<const TenantDirectory> directory_;
};

TEST_F(KeyFileTest, WithoutKeysEverybodyMayDoEverything) {
  ASSERT_TRUE(file_.load().ok());
  EXPECT_FALSE(file_.exists());
  EXPECT_FALSE(tenants_.directory()->asks_for_keys());
  EXPECT_EQ(tenants_.directory()->everybody().class_index, 1);
  EXPECT_TRUE(tenants_.directory()->everybody().may_ask_for(0));
}

TEST_F(KeyFileTest, PlainKeysAreTheDefaultTenants) {
  settings_.api_keys = {"one", "two"};
  ASSERT_TRUE(file_.load().ok());
  ASSERT_NE(find("two"), nullptr);
  EXPECT_EQ(find("two")->tenant, 0);
  EXPECT_TRUE(find("two")->may_ask_for(0));
  settings_.api_keys = {"one", "one"};
  EXPECT_THAT(file_.load().status().message(), HasSubstr("plain key 2 of --api-keys stands there twice"));
}

TEST_F(KeyFileTest, EveryFieldReachesWhoActsOnIt) {
  settings_.api_keys = {"plain"};
  const auto loaded =
      start("[[tenant]]\nname = \"acme\"\nkeys = [" + digest("a1") + ", " + digest("a2") +
            "]\nweight = 2.5\nclass = \"batch\"\nclasses = [\"normal\"]\nconcurrent = 3\nqueued = 1\n"
            "tokens_per_minute = 600\nkv_share = 0.25\nhost_bytes = \"1MiB\"\n"
            "[[tenant]]\nname = \"low\"\nkeys = [" +
            digest("l") +
            "]\n"
            "[[tenant]]\nname = \"default\"\ntokens_per_minute = 60\n");
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  EXPECT_EQ(loaded->tenants, 3u);
  EXPECT_EQ(loaded->keys, 4u);
  const Caller acme = *find("a2");
  EXPECT_EQ(acme.tenant, 1);
  EXPECT_EQ(acme.class_index, 2);
  EXPECT_FALSE(acme.may_ask_for(0));
  EXPECT_TRUE(acme.may_ask_for(1) && acme.may_ask_for(2));
  EXPECT_EQ(gateway_.tenants().knobs[1].weight_milli, 2500);
  EXPECT_EQ(gateway_.tenants().knobs[1].running_max, 3);
  EXPECT_EQ(gateway_.tenants().knobs[1].kv_share_milli, 250);
  EXPECT_EQ(ledger_->group_max(1), uint64_t{1} << 20);
  const TenantView view = door_.tenant_view({1, clock_.now_us()});
  EXPECT_EQ(view.sequences->most, 4);
  EXPECT_EQ(view.tokens->most, 600);
  const Caller low = *find("l");
  EXPECT_EQ(low.class_index, 1) << "--default-class";
  EXPECT_FALSE(low.may_ask_for(0)) << "its own and lower ones";
  EXPECT_TRUE(low.may_ask_for(2));
  EXPECT_EQ(ledger_->group_max(2), kBytesUnlimited);
  EXPECT_EQ(find("plain")->tenant, 0);
  EXPECT_EQ(door_.tenant_view({0, 1}).tokens->most, 60) << "the file may limit the plain keys";
  EXPECT_EQ(find("no"), nullptr);
}

TEST_F(KeyFileTest, AReloadChangesAllOrNothing) {
  ASSERT_TRUE(start("[[tenant]]\nname = \"a\"\nkeys = [" + digest("a") + "]\nhost_bytes = \"1MiB\"\n").ok());
  for (const std::string& bad :
       {std::string("[[tenant]]\nname = \"b\"\nkeys = [" + digest("b") + "]\nweight = -1\n"),
        std::string("[[tenant"), std::string(),
        "[[tenant]]\nname = \"b\"\nkeys = [" + digest("b") + ", " + digest("b") + "]\n"}) {
    write(bad);
    const auto refused = file_.reload();
    EXPECT_FALSE(refused.ok());
    EXPECT_THAT(refused.status().message(), HasSubstr(path_)) << "says which file";
    EXPECT_NE(find("a"), nullptr);
    EXPECT_EQ(find("b"), nullptr);
  }
  std::filesystem::remove(path_);
  EXPECT_FALSE(file_.reload().ok()) << "a file that is gone is no empty one";
  EXPECT_NE(find("a"), nullptr);
  EXPECT_EQ(tenants_.reloads(false), 5u);
  EXPECT_EQ(tenants_.reloads(true), 0u);
  write("[[tenant]]\nname = \"b\"\nkeys = [" + digest("b") + "]\n[[tenant]]\nname = \"a\"\nkeys = [" +
        digest("a2") + "]\n");
  const auto loaded = file_.reload();
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  EXPECT_EQ(loaded->tenants, 2u);
  EXPECT_EQ(find("a"), nullptr);
  EXPECT_EQ(find("a2")->tenant, 1) << "by its name";
  EXPECT_EQ(find("b")->tenant, 2);
  EXPECT_EQ(ledger_->group_max(1), kBytesUnlimited);
  EXPECT_EQ(tenants_.reloads(true), 1u);
}

TEST_F(KeyFileTest, APlainKeyIsNoTenantsOfTheFile) {
  settings_.api_keys = {"same"};
  EXPECT_THAT(start("[[tenant]]\nname = \"a\"\nkeys = [" + digest("same") + "]\n").status().message(),
              HasSubstr("belongs to a tenant of " + path_));
}

}  // namespace
}  // namespace weir
