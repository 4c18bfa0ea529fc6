#include "server/server_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

#include "server/client.h"

namespace weir::testing {
namespace {

constexpr int kStartTimeoutMs = 60'000;

void pause_ms(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// A kB line of /proc/PID/status, in bytes.
uint64_t status_bytes(pid_t pid, const std::string& name) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind(name, 0) == 0) return std::strtoull(line.c_str() + name.size(), nullptr, 10) * 1024;
  }
  return 0;
}

}  // namespace

std::string demo_model() {
  const char* model = std::getenv("WEIR_MODEL");
  return model ? model : "models/weir-demo";
}

bool wait_until(const std::function<bool()>& condition, int timeout_ms) {
  for (int waited = 0; waited <= timeout_ms; waited += 20, pause_ms(20)) {
    if (condition()) return true;
  }
  return false;
}

ServerProcess::ServerProcess(const std::vector<std::string>& flags, const std::string& model) {
  char path[] = "/tmp/weir-server-XXXXXX";
  const int log = mkstemp(path);
  log_path_ = path;
  std::vector<std::string> words = {WEIR_BINARY, "serve", model, "--server-port", "0"};
  words.insert(words.end(), flags.begin(), flags.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_ = fork();
  if (pid_ == 0) {
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    execv(argv[0], argv.data());
    _exit(127);
  }
  close(log);
  const std::string mark = "ready: http://127.0.0.1:";
  for (int waited = 0; waited < kStartTimeoutMs && running(); waited += 20, pause_ms(20)) {
    const std::string text = this->log();
    const size_t at = text.find(mark);
    if (at == std::string::npos || text.find(' ', at + mark.size()) == std::string::npos) continue;
    port_ = std::atoi(text.c_str() + at + mark.size());
    return;
  }
  std::fprintf(stderr, "the server did not become ready:\n%s\n", this->log().c_str());
}

ServerProcess::~ServerProcess() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  unlink(log_path_.c_str());
}

bool ServerProcess::running() { return pid_ > 0 && ::kill(pid_, 0) == 0 && waitpid(pid_, nullptr, WNOHANG) == 0; }

void ServerProcess::signal(int number) { ::kill(pid_, number); }

int ServerProcess::wait_for_exit(int timeout_ms) {
  for (int waited = 0; waited <= timeout_ms; waited += 10, pause_ms(10)) {
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) != pid_) continue;
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  return -1;
}

std::string ServerProcess::log() const { return read_file(log_path_); }

bool ServerProcess::says(const std::string& text) const {
  return wait_until([&] { return log().find(text) != std::string::npos; }, 20'000);
}

uint64_t ServerProcess::peak_bytes() const { return status_bytes(pid_, "VmHWM:"); }
uint64_t ServerProcess::rss_bytes() const { return status_bytes(pid_, "VmRSS:"); }

uint64_t ServerProcess::plan_bytes() const {
  const std::string body = get(port_, "/plan").body;
  const size_t at = body.find("\"total_bytes\":");
  return at == std::string::npos ? 0 : std::strtoull(body.c_str() + at + 14, nullptr, 10);
}

namespace {

double value_in(const std::string& text, const std::string& name) {
  const size_t at = text.find("\n" + name + " ");
  return at == std::string::npos ? -1 : std::strtod(text.c_str() + at + name.size() + 2, nullptr);
}

}  // namespace

// The text of /metrics is kept for a moment, so this waits for one that was made after the call.
std::string ServerProcess::metrics_text() const {
  constexpr char kTexts[] = "weir_metrics_texts_total";
  constexpr int kPatienceMs = 5000;
  std::string text = "\n" + get(port_, "/metrics").body;
  const double made = value_in(text, kTexts);
  wait_until(
      [&] {
        text = "\n" + get(port_, "/metrics").body;
        return value_in(text, kTexts) != made;
      },
      kPatienceMs);
  return text;
}

double ServerProcess::metric(const std::string& name) const { return value_in(metrics_text(), name); }

std::map<std::string, double> ServerProcess::metrics() const {
  std::map<std::string, double> out;
  std::stringstream text(metrics_text());
  for (std::string line; std::getline(text, line);) {
    const size_t space = line.rfind(' ');
    if (line.empty() || line[0] == '#' || space == std::string::npos) continue;
    out[line.substr(0, space)] = std::strtod(line.c_str() + space + 1, nullptr);
  }
  return out;
}

bool ServerProcess::wait_for_metric(const std::string& name, double value, int timeout_ms) const {
  return wait_until([&] { return metric(name) == value; }, timeout_ms);
}

double ServerProcess::metric_sum(const std::string& family) const {
  std::istringstream lines(metrics_text());
  double sum = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind(family + "{", 0) == 0) sum += std::strtod(line.c_str() + line.rfind(' '), nullptr);
  }
  return sum;
}

}  // namespace weir::testing
