// Three starts of a real server with --weight-cache: without a file, with it, and with a damaged one. The answers are the
// same, and the memory stays within the plan each time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/sanitized.h"
#include "server/client.h"
#include "server/server_process.h"

namespace weir::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

struct Start {
  std::string text, log;
  int exit_status = -1;
};

Start start_and_ask(const std::string& folder) {
  ServerProcess server({"--weight-cache", folder, "--model-format", "int8", "--max-concurrent-requests", "2"});
  Start out;
  if (server.port() == 0) return out;
  const Answer reply = post(server.port(), "/v1/completions", completion_body("Once upon a time", 24, false, ", \"temperature\": 0"));
  EXPECT_EQ(reply.status, 200) << reply.body;
  const size_t begin = reply.body.find("\"text\"");  // what differs from start to start, its id and time, stands before
  out.text = reply.body.substr(std::min(begin, reply.body.size()));
  EXPECT_TRUE(kSanitized || server.peak_bytes() <= server.plan_bytes()) << server.peak_bytes();
  server.signal(SIGTERM);
  out.exit_status = server.wait_for_exit(20'000);
  out.log = server.log();
  return out;
}

TEST(WeightCacheServer, AnswersTheSameFromTheFileAndWithout) {
  if (!fs::exists(demo_model())) GTEST_SKIP() << demo_model() << " is absent";
  std::string folder = (fs::temp_directory_path() / "weir-cache-XXXXXX").string();
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const Start first = start_and_ask(folder), second = start_and_ask(folder);
  EXPECT_EQ(first.exit_status, 0) << first.log;
  EXPECT_THAT(first.log, HasSubstr("it is not there yet; packing the weights"));
  EXPECT_THAT(first.log, HasSubstr(": writing the weight cache"));
  EXPECT_THAT(second.log, HasSubstr("read and checked"));
  EXPECT_THAT(second.log, ::testing::Not(HasSubstr(": packing the weights")));
  EXPECT_GT(first.text.size(), 40u);
  EXPECT_EQ(second.text, first.text);

  EXPECT_EQ(second.exit_status, 0);
  ASSERT_FALSE(fs::is_empty(folder)) << first.log;
  const fs::path file = fs::directory_iterator(folder)->path();
  fs::resize_file(file, fs::file_size(file) / 2);
  const Start third = start_and_ask(folder);
  EXPECT_EQ(third.exit_status, 0);
  EXPECT_THAT(third.log, HasSubstr("it is cut short"));
  EXPECT_EQ(third.text, first.text);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace weir::testing
