// The memory governor as a stranger meets it: a whole server on a machine that runs short of memory and recovers.
// Once on a machine made of files, and, where cgroups can be made, for real: a limit that is lowered while it
// serves, and a neighbour that eats the memory. What is asserted is counted, never timed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/sanitized.h"
#include "base/units.h"
#include "memory/monitor/fake_root.h"
#include "server/child_group.h"
#include "server/client.h"
#include "server/server_process.h"

namespace weir::testing {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kAccepted = 12;                    // 4 run, 8 wait
constexpr int kTokens = kSanitized ? 120 : 900;  // long enough that none has ended when the last is accepted
constexpr char kStage[] = "weir_memory_stage";
constexpr char kRoom[] = "weir_memory_room_bytes";
constexpr char kAdmitted[] = "weir_tenant_admitted_total{tenant=\"default\"}";
constexpr int kPatienceMs =
    100'000;  // for what will happen: a machine whose processors others have is slow, not wrong
constexpr char kRefused[] = "weir_refusals_total{reason=\"memory_pressure\"}";

constexpr char kBlocks[] = "weir_kv_blocks";
constexpr char kCancelled[] = "weir_sequences_finished_total{reason=\"memory_pressure\"}";

class GovernorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(demo_model())) GTEST_SKIP() << demo_model() << " is absent";
  }

  static std::vector<std::string> flags(uint64_t reserve, const std::vector<std::string>& more = {}) {
    std::vector<std::string> out = {
        "--max-concurrent-requests", "4", "--queue-timeout", "0", "--memory-poll", "20ms", "--memory-reserve",
        std::to_string(reserve)};
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }

  static void accept_requests(const ServerProcess& server, Crowd* crowd) {
    crowd->connect(kAccepted - static_cast<int>(crowd->size()));
    crowd->send(post_text("/v1/completions", completion_body("Once upon a time", kTokens, true)));
    // Not how many there are at one moment: the first may have ended by then.
    ASSERT_TRUE(server.wait_for_metric(kAdmitted, kAccepted, kPatienceMs));
  }

  static Answer ask(const ServerProcess& server) {
    return post(server.port(), "/v1/completions", completion_body("Once", 2, false));
  }

  static void expect_refused(const ServerProcess& server) {
    const double before = server.metric(kRefused);
    const Answer answer = ask(server);
    EXPECT_EQ(answer.status, 503);
    expect_reason(answer);
    EXPECT_EQ(server.metric(kRefused), before + 1);
    EXPECT_EQ(get(server.port(), "/health/ready").status, 503);
    EXPECT_THAT(get(server.port(), "/health/ready").body, HasSubstr("memory_pressure"));
    EXPECT_EQ(get(server.port(), "/health/live").status, 200);
  }
  static void expect_reason(const Answer& answer) {
    EXPECT_THAT(answer.body, HasSubstr("\"reason\":\"memory_pressure\""));
    EXPECT_THAT(answer.body, HasSubstr("\"code\":\"server_is_overloaded\""));
    EXPECT_GE(std::atoi(answer.header("retry-after").c_str()), 1);
  }

  // Every accepted one finishes, or ends with the reason named.
  static void expect_all_ended(Crowd* crowd) {
    ASSERT_TRUE(crowd->read_to_the_end(kPatienceMs));
    for (const Answer& answer : crowd->answers()) {
      EXPECT_THAT(answer.body, AnyOf(HasSubstr("data: [DONE]"), HasSubstr("memory_pressure"))) << answer.head;
    }
  }

  static void expect_service(ServerProcess& server) {
    ASSERT_TRUE(server.running()) << server.log();
    ASSERT_TRUE(server.wait_for_metric(kStage, 0, kPatienceMs)) << server.log();
    EXPECT_EQ(get(server.port(), "/health/ready").status, 200);
    EXPECT_EQ(post(server.port(), "/v1/completions", completion_body("Once", 2, false)).status, 200);
    EXPECT_TRUE(server.wait_for_metric("weir_kv_blocks{state=\"live\"}", 0, kPatienceMs));
  }
};

TEST_F(GovernorTest, AMachineRunsShortAndRecovers) {
  FakeRoot root;
  root.available(8 * kGiB);
  ServerProcess server(flags(256 * kMiB, {"--system-root", root.path()}));
  ASSERT_GT(server.port(), 0);
  Crowd crowd(server.port());
  accept_requests(server, &crowd);
  EXPECT_EQ(server.metric(kStage), 0);
  EXPECT_EQ(server.metric(kRoom), 8.0 * kGiB);
  root.available(90 * kMiB);  // a third of the reserve: short enough to refuse, not to cancel
  ASSERT_TRUE(server.wait_for_metric(kStage, 4, kPatienceMs)) << server.log();
  expect_refused(server);
  EXPECT_EQ(server.metric("weir_memory_source_info{source=\"MemAvailable\"}"), 1);
  ASSERT_TRUE(crowd.read_to_the_end(kPatienceMs));
  for (const Answer& answer : crowd.answers()) EXPECT_THAT(answer.body, HasSubstr("data: [DONE]")) << answer.head;
  root.available(8 * kGiB);
  expect_service(server);
  for (const char* stage : {"stop_growing", "drop_caches", "shrink_work"}) {
    EXPECT_EQ(server.metric("weir_memory_stage_entered_total{stage=\"" + std::string(stage) + "\"}"), 2) << stage;
  }
  EXPECT_TRUE(server.says("stage shrink_work -> refuse_new: pressure 0.82, room 90.00 MiB")) << server.log();
  EXPECT_TRUE(server.says("stage stop_growing -> calm")) << server.log();
}

TEST_F(GovernorTest, NextToNothingIsActedUponAtOnceAndPasses) {
  FakeRoot root;
  root.available(8 * kGiB);
  ServerProcess server(flags(256 * kMiB, {"--system-root", root.path()}));
  ASSERT_GT(server.port(), 0);
  const double blocks = server.metric_sum(kBlocks);
  ASSERT_EQ(blocks, 2 * 4 * 16) << "twice four places of 1,024 tokens";
  Crowd crowd(server.port());
  for (const int running : {3, 4}) {  // the fourth connection is the newest that runs
    crowd.connect(running - static_cast<int>(crowd.size()));
    crowd.send(post_text("/v1/completions", completion_body("Once upon a time", kTokens, true)));
    ASSERT_TRUE(server.wait_for_metric("weir_requests_running", running, kPatienceMs));
  }
  accept_requests(server, &crowd);
  root.available(0);
  ASSERT_TRUE(server.wait_for_metric(kStage, 5, kPatienceMs)) << server.log();
  EXPECT_TRUE(server.says("stage calm -> cancel_newest")) << server.log();
  // The newest goes, and the pool gives back what nobody uses.
  ASSERT_TRUE(wait_until([&] { return server.metric(kCancelled) >= 1; }, kPatienceMs));
  ASSERT_TRUE(wait_until([&] { return server.metric_sum(kBlocks) <= blocks - 16; }, kPatienceMs));
  EXPECT_GE(server.metric("weir_pool_resizes_total"), 1);
  expect_refused(server);
  root.file("/proc/meminfo", "nonsense");  // a machine that tells nothing more is no reason to stay shut
  expect_all_ended(&crowd);
  const std::vector<Answer> answers = crowd.answers();
  EXPECT_THAT(answers[3].body, HasSubstr("\"reason\":\"memory_pressure\"")) << "the newest that ran";
  EXPECT_THAT(answers[3].body, HasSubstr("\"code\":\"server_is_overloaded\""));
  EXPECT_THAT(answers[3].body, Not(HasSubstr("[DONE]")));
  const auto done = [](const Answer& answer) { return answer.body.find("data: [DONE]") != std::string::npos; };
  EXPECT_GE(std::count_if(answers.begin(), answers.end(), done), 1) << "and not everybody";
  EXPECT_EQ(server.metric(kCancelled), std::count_if(answers.begin(), answers.end(), std::not_fn(done)));
  expect_service(server);
  EXPECT_TRUE(wait_until([&] { return server.metric_sum(kBlocks) == blocks; }, kPatienceMs))
      << "the pool has its size back";
}

TEST_F(GovernorTest, ObserveOnlyCounts) {
  FakeRoot root;
  root.available(8 * kGiB);
  ServerProcess server(flags(256 * kMiB, {"--system-root", root.path(), "--memory-governor", "observe"}));
  ASSERT_GT(server.port(), 0);
  root.available(0);
  ASSERT_TRUE(server.wait_for_metric(kStage, 5, kPatienceMs)) << server.log();
  EXPECT_EQ(post(server.port(), "/v1/completions", completion_body("Once", 2, false)).status, 200);
  EXPECT_EQ(get(server.port(), "/health/ready").status, 200);
  EXPECT_EQ(server.metric(kRefused), 0);
}

struct Planned {
  int status = -1;
  std::string text;
};

Planned run_plan(const FakeRoot& root, const std::string& flags) {
  const std::string command =
      "WEIR_SYSTEM_ROOT=" + root.path() + " " WEIR_BINARY " plan " + demo_model() + " --json " + flags + " 2>&1";
  Planned out;
  FILE* pipe = popen(command.c_str(), "r");
  char buffer[4096];
  while (const size_t count = fread(buffer, 1, sizeof buffer, pipe)) out.text.append(buffer, count);
  out.status = WEXITSTATUS(pclose(pipe));
  return out;
}

TEST_F(GovernorTest, ThePlanLeavesTheReserve) {
  FakeRoot root;
  root.available(8 * kGiB).file("/proc/self/status", "VmRSS:\t 1024 kB\n");
  const auto limit = [](uint64_t bytes) { return "\"limit_bytes\":" + std::to_string(bytes) + ","; };
  EXPECT_THAT(run_plan(root, "--memory-reserve 1GiB").text, HasSubstr(limit(7 * kGiB + kMiB)));
  EXPECT_THAT(run_plan(root, "").text, HasSubstr(limit(8 * kGiB + kMiB - 16 * kGiB / 25))) << "4 % of the machine";
  EXPECT_THAT(run_plan(root, "--memory-reserve 1GiB --memory-governor off").text,
              HasSubstr(limit(8 * kGiB + kMiB)));
  EXPECT_THAT(run_plan(root, "--memory-reserve 1GiB --memory-limit 2GiB").text, HasSubstr(limit(2 * kGiB)));
  const Planned nothing = run_plan(root, "--memory-reserve 9GiB");
  EXPECT_EQ(nothing.status, 3);
  EXPECT_THAT(nothing.text, HasSubstr("--memory-reserve 9.00 GiB leaves nothing of 8.00 GiB"));
  const Planned tight = run_plan(root, "--memory-reserve 8100MiB");
  EXPECT_EQ(tight.status, 3) << tight.text;
  EXPECT_THAT(tight.text, HasSubstr("less a reserve of"));
}

// A real cgroup of 512 MiB. The reserve is a quarter of it.
class RealGroup : public GovernorTest {
 protected:
  static constexpr uint64_t kLimit = 512 * kMiB;
  static constexpr uint64_t kReserve = 128 * kMiB;
  static constexpr uint64_t kRefuseRoom = kReserve * 3 / 10;  // between the marks of refuse_new and cancel_newest

  void SetUp() override {
    GovernorTest::SetUp();
    if (IsSkipped()) return;
    if (kSanitized) GTEST_SKIP() << "a sanitizer's memory does not fit";
    if (!group_.why_not().empty()) GTEST_SKIP() << group_.why_not();
    ASSERT_TRUE(group_.set_limit(kLimit));
    group_.enter();
    server_ = std::make_unique<ServerProcess>(flags(kReserve));
    group_.leave();
    ASSERT_GT(server_->port(), 0);
    ASSERT_GT(room(), kReserve) << server_->log();
    // The group bounds it. Which source decides at a calm moment is another question: the machine may be stalling.
    ASSERT_LE(room(), kLimit) << server_->log();
  }
  uint64_t room() const { return static_cast<uint64_t>(server_->metric(kRoom)); }

  // The measures on the way give memory back, and what was refused a moment ago may be let in again. So press() is
  // called until a request is refused and the server says that it is not ready, with the crowd being read all the
  // while.
  void expect_refused_under(const std::function<void()>& press, Crowd* crowd) {
    Answer answer;
    const auto refuses = [&] {
      press();
      crowd->read_for(20);
      if (server_->metric(kStage) < 4) return false;
      answer = ask(*server_);
      return answer.status == 503 && get(server_->port(), "/health/ready").status == 503;
    };
    ASSERT_TRUE(wait_until(refuses, kPatienceMs)) << server_->log();
    expect_reason(answer);
    EXPECT_GE(server_->metric(kRefused), 1);
    EXPECT_EQ(get(server_->port(), "/health/live").status, 200);
  }
  void expect_recovery(Crowd* crowd) {
    expect_all_ended(crowd);
    ASSERT_TRUE(group_.set_limit(kLimit));
    expect_service(*server_);
    EXPECT_EQ(group_.oom_kills(), 0);
  }

  // The limit follows what is used, which is asked of the group itself: the server's metric is a turn old. A limit
  // that the kernel cannot reach at the moment is tried again.
  void lower_limit() { group_.set_limit(group_.used() + kRefuseRoom); }

  // Eats what is left but for less than a third of the reserve, and goes on while the server gives memory back.
  pid_t fork_hog() const {
    const pid_t hog = fork();
    if (hog != 0) return hog;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    group_.enter();
    for (;; usleep(5'000)) {
      const uint64_t used = group_.used();
      if (used == 0 || used + kRefuseRoom + kMiB >= kLimit) continue;
      mmap(nullptr, kLimit - kRefuseRoom - used, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
           -1, 0);
    }
  }

  ChildGroup group_;  // goes last
  std::unique_ptr<ServerProcess> server_;
};

TEST_F(RealGroup, ALimitLoweredWhileServing) {
  Crowd crowd(server_->port());
  accept_requests(*server_, &crowd);
  expect_refused_under([&] { lower_limit(); }, &crowd);
  expect_recovery(&crowd);
}

TEST_F(RealGroup, ANeighbourEatsTheMemory) {
  Crowd crowd(server_->port());
  accept_requests(*server_, &crowd);
  ASSERT_GT(group_.used(), 0u);
  const pid_t hog = fork_hog();
  expect_refused_under([] {}, &crowd);
  expect_all_ended(&crowd);
  kill(hog, SIGKILL);
  waitpid(hog, nullptr, 0);
  expect_recovery(&crowd);
}

pid_t fork_spinner() {
  const pid_t spinner = fork();
  if (spinner != 0) return spinner;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (std::atomic<uint64_t> turn{0};;) turn.fetch_add(1, std::memory_order_relaxed);
}

// The same beside two processes that never wait.
class Faults : public RealGroup {};
TEST_F(Faults, governor_test_on_a_loaded_machine) {
  const std::array<pid_t, 2> spinners = {fork_spinner(), fork_spinner()};
  Crowd crowd(server_->port());
  accept_requests(*server_, &crowd);
  expect_refused_under([&] { lower_limit(); }, &crowd);
  expect_recovery(&crowd);
  for (const pid_t spinner : spinners) {
    kill(spinner, SIGKILL);
    waitpid(spinner, nullptr, 0);
  }
}

}  // namespace
}  // namespace weir::testing
