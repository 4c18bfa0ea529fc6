// A whole server with a key file: SIGHUP reads it again while answers run, a bad file changes nothing, and what
// `weir key` prints opens the door. What is asserted is counted, never timed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/sha256.h"
#include "server/client.h"
#include "server/server_process.h"

namespace weir::testing {
namespace {

using ::testing::HasSubstr;

std::string tenant(const std::string& name, const std::string& key, const std::string& more = "") {
  return "[[tenant]]\nname = \"" + name + "\"\nkeys = [\"sha256:" + hex_of(sha256(key)) + "\"]\n" + more;
}

// What `weir key acme` prints.
std::string run_key_command() {
  std::string out;
  FILE* pipe = ::popen((std::string(WEIR_BINARY) + " key acme").c_str(), "r");
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) out += static_cast<char>(c);
  EXPECT_EQ(::pclose(pipe), 0);
  return out;
}

class TenantsServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(demo_model())) GTEST_SKIP() << demo_model() << " is absent";
    path_ = ::testing::TempDir() + "weir_tenants_" + std::to_string(::getpid()) + ".toml";
  }
  void TearDown() override { std::filesystem::remove(path_); }

  void write(const std::string& text) const { std::ofstream(path_) << text; }
  std::vector<std::string> flags() const {
    return {"--api-keys", path_, "--admin-key", "open", "--memory-governor", "off", "--max-concurrent-requests",
            "2"};
  }
  static int status_of(const ServerProcess& server, const std::string& key) {
    return send(server.port(), "POST", "/v1/completions", completion_body("Once", 2, false),
                "Authorization: Bearer " + key + "\r\n")
        .status;
  }
  static std::string with_key(std::string request, const std::string& key) {
    return request.insert(request.find("\r\n") + 2, "Authorization: Bearer " + key + "\r\n");
  }

  std::string path_;
};

TEST_F(TenantsServerTest, ASignalReadsTheFileAgainAndDropsNothing) {
  write(tenant("acme", "a") + tenant("other", "b"));
  ServerProcess server(flags());
  ASSERT_GT(server.port(), 0);
  EXPECT_EQ(status_of(server, "a"), 200);
  EXPECT_EQ(status_of(server, "wrong"), 401);
  EXPECT_EQ(send(server.port(), "POST", "/v1/completions", completion_body("Once", 2, false), "").status, 401);
  Crowd crowd(server.port());
  crowd.connect(1);
  crowd.send(with_key(post_text("/v1/completions", completion_body("Once upon a time", 900, true)), "a"));
  ASSERT_TRUE(server.wait_for_metric("weir_tenant_admitted_total{tenant=\"acme\"}", 2, 20'000)) << server.log();

  write("[[tenant]]\nname = \"acme\"\nweight = -1\n");
  server.signal(SIGHUP);
  ASSERT_TRUE(server.wait_for_metric("weir_tenant_reloads_total{result=\"refused\"}", 1, 20'000)) << server.log();
  EXPECT_TRUE(server.says("weight: -1 is no weight")) << server.log();
  EXPECT_EQ(status_of(server, "b"), 200) << "the old one is in force";

  write(tenant("other", "b") + tenant("third", "c", "tokens_per_minute = 1\n"));
  server.signal(SIGHUP);
  ASSERT_TRUE(server.wait_for_metric("weir_tenant_reloads_total{result=\"ok\"}", 1, 20'000)) << server.log();
  EXPECT_EQ(status_of(server, "a"), 401) << "its key stops at once";
  EXPECT_EQ(status_of(server, "b"), 200);
  EXPECT_EQ(status_of(server, "c"), 200);
  EXPECT_EQ(status_of(server, "c"), 429) << "one token a minute";
  ASSERT_TRUE(crowd.read_to_the_end(60'000));
  EXPECT_THAT(without_chunks(crowd.answers()[0].body), HasSubstr("data: [DONE]"))
      << "what ran was answered to the end";
  EXPECT_EQ(server.metric("weir_tenant_admitted_total{tenant=\"acme\"}"), 2) << "and is still counted";
  server.signal(SIGTERM);
  EXPECT_EQ(server.wait_for_exit(30'000), 0);
}

TEST_F(TenantsServerTest, AKeyOfTheCommandOpensTheDoor) {
  const std::string printed = run_key_command();
  const size_t key_at = printed.find("weir-"), lines_at = printed.find("  [[tenant]]");
  ASSERT_NE(key_at, std::string::npos) << printed;
  ASSERT_NE(lines_at, std::string::npos) << printed;
  const std::string key = printed.substr(key_at, printed.find('\n', key_at) - key_at);
  EXPECT_NE(printed, run_key_command()) << "never the same";
  write(printed.substr(lines_at));
  ServerProcess server(flags());
  ASSERT_GT(server.port(), 0);
  EXPECT_EQ(status_of(server, key), 200);
  EXPECT_EQ(status_of(server, key.substr(0, key.size() - 1)), 401);
  const Answer reload = send(server.port(), "POST", "/admin/reload", "", "Authorization: Bearer open\r\n");
  EXPECT_EQ(reload.status, 200);
  EXPECT_EQ(reload.body, R"({"tenants":1,"keys":1})");
}

}  // namespace
}  // namespace weir::testing
