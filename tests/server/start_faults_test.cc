// Starts of a real `weir serve` on models and machines that are not as one would like them: each start serves, or
// says in one error line why not and ends; none is killed by a signal, none hangs.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <thread>

#include "server/client.h"
#include "server/server_process.h"
#include "support/random_checkpoint.h"

namespace weir::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kStartTimeoutMs = 60'000;

std::string read_text(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// A folder of its own, removed with everything in it.
struct Scratch {
  std::string path = (fs::temp_directory_path() / "weir-start-XXXXXX").string();
  Scratch() { EXPECT_NE(mkdtemp(path.data()), nullptr); }
  ~Scratch() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
};

// Copies the demo model; `leave_out` are files that are not copied.
void copy_demo(const std::string& to, const std::vector<std::string>& leave_out = {}) {
  fs::create_directories(to);
  for (const auto& entry : fs::directory_iterator(demo_model())) {
    const std::string name = entry.path().filename();
    if (std::find(leave_out.begin(), leave_out.end(), name) == leave_out.end())
      fs::copy_file(entry.path(), to + "/" + name);
  }
}

void replace_in(const std::string& path, const std::string& from, const std::string& to) {
  std::string text = read_text(path);
  const size_t at = text.find(from);
  ASSERT_NE(at, std::string::npos) << path << " has no " << from;
  std::ofstream(path) << text.replace(at, from.size(), to);
}

struct Start {
  bool ready = false;
  int exit_status = -1;  // 128 + signal where one killed it; -1: it hung
  std::string text;

  // RETURNS: NAME of "ready: ... (model NAME, ".
  std::string model() const {
    const size_t at = text.find("(model ");
    return at == std::string::npos ? "" : text.substr(at + 7, text.find(',', at) - at - 7);
  }
};

// One start that ends when it is ready, or by itself. in_child: between fork() and exec(); meanwhile: every look,
// with what was printed so far.
Start start(std::vector<std::string> words, const std::function<void()>& in_child = {},
            const std::function<void(const std::string&)>& meanwhile = {}) {
  const Scratch scratch;
  const std::string log = scratch.path + "/log";
  const int out = open(log.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  words.insert(words.begin(), {WEIR_BINARY, "serve"});
  words.insert(words.end(), {"--server-port", "0"});
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    if (in_child) in_child();
    execv(argv[0], argv.data());
    _exit(127);
  }
  Start result;
  bool told = false;
  for (int waited = 0; waited < 2 * kStartTimeoutMs; ++waited) {
    int status = 0;
    const bool ended = waitpid(pid, &status, WNOHANG) == pid;
    result.text = read_text(log);
    if (ended) {
      result.exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      break;
    }
    if (meanwhile) meanwhile(result.text);
    result.ready = result.text.find("ready: http://") != std::string::npos;
    if (result.ready && !std::exchange(told, true)) kill(pid, SIGTERM);
    if (waited == kStartTimeoutMs) kill(pid, SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  close(out);
  return result;
}

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

constexpr char kHello[] =
    R"({"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 200, "temperature": 0})";

struct EndOfTurn {
  const char* name;
  const char* eos_token;  // of tokenizer_config.json
};

// The demo model says "<|im_end|>" (id 2) at the end of a turn; nothing but the tokeniser or the template tells so
// here.
TEST(Faults, end_token_known_to_the_tokenizer) {
  for (const EndOfTurn& end : {EndOfTurn{"the tokeniser's", "\"eos_token\": \"<|im_end|>\""},
                               EndOfTurn{"the template's", "\"eos_token\": \"<|endoftext|>\""},
                               EndOfTurn{"no token", "\"eos_token\": null"}}) {
    const Scratch scratch;
    copy_demo(scratch.path + "/m", {"generation_config.json"});
    replace_in(scratch.path + "/m/config.json", "\"eos_token_id\": 2", "\"eos_token_id\": 0");
    replace_in(scratch.path + "/m/tokenizer_config.json", "\"eos_token\": \"<|im_end|>\"", end.eos_token);
    ServerProcess server({"--max-concurrent-requests", "1"}, scratch.path + "/m");
    ASSERT_NE(server.port(), 0);
    const Answer chat = post(server.port(), "/v1/chat/completions", kHello);
    EXPECT_THAT(chat.body, HasSubstr("\"finish_reason\":\"stop\"")) << end.name;
    EXPECT_THAT(chat.body, Not(HasSubstr("im_start"))) << end.name;
    EXPECT_EQ(count_of(server.log(), "end tokens: "), 1u) << server.log();
    const Answer ignored =
        post(server.port(), "/v1/chat/completions", std::string(kHello).insert(1, R"("ignore_eos": true, )"));
    EXPECT_THAT(ignored.body, HasSubstr("\"finish_reason\":\"length\"")) << end.name;
    server.signal(SIGTERM);
    EXPECT_EQ(server.wait_for_exit(20'000), 0);
  }
}

// What ends a turn of a chat is no end of a text that happens to hold one.
TEST(Faults, end_token_of_the_template_ends_chats_alone) {
  const Scratch scratch;
  copy_demo(scratch.path + "/m", {"generation_config.json"});
  replace_in(scratch.path + "/m/config.json", "\"eos_token_id\": 2", "\"eos_token_id\": 0");
  replace_in(scratch.path + "/m/tokenizer_config.json", "\"eos_token\": \"<|im_end|>\"",
             "\"eos_token\": \"<|endoftext|>\"");
  ServerProcess server({"--max-concurrent-requests", "1"}, scratch.path + "/m");
  ASSERT_NE(server.port(), 0);
  const std::string turn = R"("<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n")";
  const Answer text =
      post(server.port(), "/v1/completions",
           R"({"skip_special_tokens": false, "max_tokens": 200, "temperature": 0, "prompt": )" + turn + "}");
  EXPECT_THAT(text.body, HasSubstr("<|im_end|>")) << text.body;
}

TEST(Faults, names_of_models) {
  const Scratch scratch;
  const std::string hash = "0123456789abcdef0123456789abcdef01234567";
  const std::string plain = scratch.path + "/Tiny-Story",
                    cache = scratch.path + "/models--Qwen--Qwen2.5-0.5B-Instruct";
  copy_demo(plain);
  copy_demo(cache + "/snapshots/" + hash);
  fs::create_directory_symlink(cache + "/snapshots/" + hash, scratch.path + "/current");
  const auto in = [](const std::string& folder) { return [folder] { (void)!chdir(folder.c_str()); }; };
  EXPECT_EQ(start({"."}, in(plain)).model(), "Tiny-Story");
  EXPECT_EQ(start({plain + "/"}).model(), "Tiny-Story");
  EXPECT_EQ(start({cache + "/snapshots/" + hash}).model(), "Qwen/Qwen2.5-0.5B-Instruct");
  EXPECT_EQ(start({"./"}, in(cache + "/snapshots/" + hash)).model(), "Qwen/Qwen2.5-0.5B-Instruct");
  EXPECT_EQ(start({scratch.path + "/current"}).model(), "current") << "the name that a person gave";
  EXPECT_EQ(start({".", "--model-name", "mine"}, in(plain)).model(), "mine");
}

TEST(Faults, generation_config_defaults) {
  const Scratch scratch;
  copy_demo(scratch.path + "/m", {"generation_config.json"});
  std::ofstream(scratch.path + "/m/generation_config.json")
      << R"({"max_new_tokens": 5, "do_sample": false, "min_p": 0.5, "top_k": -1, "num_beams": 4, "x": Infinity})";
  ServerProcess server({"--max-concurrent-requests", "1"}, scratch.path + "/m");
  ASSERT_NE(server.port(), 0);
  const std::string chat = R"({"messages": [{"role": "user", "content": "Hello"}])";
  EXPECT_THAT(post(server.port(), "/v1/chat/completions", chat + "}").body, HasSubstr("\"completion_tokens\":5"));
  EXPECT_THAT(post(server.port(), "/v1/chat/completions", chat + R"(, "max_tokens": 7})").body,
              HasSubstr("\"completion_tokens\":7"));
  EXPECT_THAT(post(server.port(), "/v1/completions", R"({"prompt": "Once upon a time"})").body,
              HasSubstr("\"completion_tokens\":16"));
  EXPECT_EQ(count_of(server.log(), "generation_config.json: not read: num_beams, x"), 1u) << server.log();
}

TEST(Faults, weight_cache_folder_absent) {
  const Scratch scratch;
  const std::string folder = scratch.path + "/cache";
  const Start made = start({demo_model(), "--weight-cache", folder, "--model-format", "int8"});
  EXPECT_TRUE(made.ready) << made.text;
  struct stat facts {};
  ASSERT_EQ(stat(folder.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 07777, 0700u);
  EXPECT_FALSE(fs::is_empty(folder));
  const std::string file = scratch.path + "/file";
  std::ofstream(file) << "x";
  for (const std::string& bad : {scratch.path + "/no/cache", file}) {
    const Start refused = start({demo_model(), "--weight-cache", bad, "--model-format", "int8"});
    EXPECT_EQ(refused.exit_status, 1) << refused.text;
    EXPECT_THAT(refused.text, HasSubstr("error: --weight-cache " + bad));
    EXPECT_THAT(refused.text, Not(HasSubstr("packing"))) << "it is said before the work";
  }
}

// As a user who may have no more threads than n: the number from 0 on, until a start works. Every thread that a
// start makes is the one that cannot be had in some round.
TEST(Faults, no_thread_to_be_had) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to become a user without other processes";
  const auto uid = static_cast<uid_t>(1'000'000 + getpid());
  const auto become = [uid] { return setgroups(0, nullptr) == 0 && setgid(uid) == 0 && setuid(uid) == 0; };
  const Start able = start({demo_model()}, [&] { (void)become(); });
  if (!able.ready) GTEST_SKIP() << "another user cannot run this build: " << able.text;
  constexpr int kThreadsMax = 40;
  int allowed = 0;
  for (; allowed < kThreadsMax; ++allowed) {
    const Start one = start({demo_model(), "--threads", "3", "--io-threads", "2"}, [&] {
      if (!become()) _exit(126);
      const rlimit limit{static_cast<rlim_t>(allowed), static_cast<rlim_t>(allowed)};
      setrlimit(RLIMIT_NPROC, &limit);
    });
    ASSERT_NE(one.exit_status, -1) << "it hangs with " << allowed << ": " << one.text;
    ASSERT_LT(one.exit_status, 128) << "with " << allowed << ": " << one.text;
    if (one.ready) break;
    EXPECT_EQ(one.exit_status, 1) << one.text;
    EXPECT_EQ(count_of(one.text, "error: "), 1u) << one.text;
    EXPECT_THAT(one.text, HasSubstr("cannot start the thread"));
    EXPECT_THAT(one.text, HasSubstr("ulimit -u"));
  }
  EXPECT_GE(allowed, 9) << "2 workers, 2 of io, text, admin, engine, monitor, watchdog";
  EXPECT_LT(allowed, kThreadsMax);
}

// A race on purpose, at many places: the file is cut by this test while weir reads it. Whatever the moment, weir
// serves (it had read everything) or ends with its error line.
TEST(Faults, truncated_while_loading) {
  const Scratch scratch;
  const std::string model = scratch.path + "/m", weights = model + "/model.safetensors";
  copy_demo(model, {"model.safetensors", "config.json"});
  ASSERT_TRUE(write_random_checkpoint(model, kSmallConfig).ok());
  fs::copy_file(weights, scratch.path + "/whole");
  const auto bytes = static_cast<off_t>(fs::file_size(weights));
  int refused = 0;
  for (int round = 0; round < 12; ++round) {
    fs::copy_file(scratch.path + "/whole", weights, fs::copy_options::overwrite_existing);
    int looks = 0;
    const Start one = start({model, "--model-format", "int4"}, {}, [&](const std::string& text) {
      if (text.find("loading: ") == std::string::npos || ++looks != 1 + 8 * round) return;
      EXPECT_EQ(truncate(weights.c_str(), bytes / (1 + round % 3)), 0);
    });
    ASSERT_NE(one.exit_status, -1) << one.text;
    ASSERT_LT(one.exit_status, 128) << "round " << round << ": " << one.text;
    if (one.ready) continue;
    ++refused;
    EXPECT_EQ(one.exit_status, 1) << one.text;
    EXPECT_THAT(one.text, HasSubstr("model.safetensors: ")) << one.text;
  }
  RecordProperty("refused", refused);
}

}  // namespace
}  // namespace weir::testing
