// bench_waiting: what 10,000 streams that wait in the queue of a real server cost, and how soon a client that leaves
// while it waits is noticed.
//
//   bench_waiting [STREAMS] [MODEL]      default 10000 and models/weir-demo
//
// The server has one place, taken by an answer that takes long; everything else waits. Resident memory is read from
// /proc before and after, so it contains sockets' user memory, requests, prompts, slots and queue.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <thread>
#include <unistd.h>

#include "server/client.h"
#include "server/server_process.h"
#include "support/random_checkpoint.h"

namespace weir::testing {
namespace {

using SteadyTime = std::chrono::steady_clock;

double ms_since(SteadyTime::time_point begin) {
  return std::chrono::duration<double, std::milli>(SteadyTime::now() - begin).count();
}

void raise_descriptor_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

int run(int streams, const std::string& tokenizer_from) {
  raise_descriptor_limit();
  const std::string dir = std::filesystem::temp_directory_path() / ("weir-waiting-" + std::to_string(getpid()));
  if (!write_random_checkpoint(dir, kSmallConfig).ok()) return 1;
  std::filesystem::copy_file(tokenizer_from + "/tokenizer.json", dir + "/tokenizer.json");
  ServerProcess server({"--max-concurrent-requests", "1", "--max-queued-requests", std::to_string(streams),
                        "--max-queued-tokens", "1000000", "--max-connections", std::to_string(streams + 100),
                        "--queue-timeout", "0"},
                       dir);
  std::filesystem::remove_all(dir);
  if (server.port() == 0) return 1;
  const auto long_answer = post_text("/v1/completions", completion_body("Once upon a time", 1000, true));
  // Several long answers in a row keep the place taken for the whole measurement.
  Crowd crowd(server.port());
  crowd.connect(1);
  crowd.send(long_answer);
  server.wait_for_metric("weir_requests_running", 1, 10'000);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  const uint64_t before = server.rss_bytes();
  for (int i = 0; i + 1 < streams; i += 500) {
    crowd.connect(std::min(500, streams - 1 - i));
    crowd.send(long_answer);
  }
  const double wanted = streams - 1;
  double waiting = 0;
  for (int i = 0; i < 500 && waiting < wanted; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    waiting = server.metric("weir_requests_waiting");
  }
  const uint64_t after = server.rss_bytes();
  const size_t leavers = static_cast<size_t>(streams) / 20;
  const auto begin = SteadyTime::now();
  for (size_t i = crowd.size() - leavers; i < crowd.size(); ++i) crowd.hang_up(i);
  double left = waiting;
  while (left > waiting - static_cast<double>(leavers) && ms_since(begin) < 5000) {
    left = server.metric("weir_requests_waiting");
  }
  std::printf("%-28s %10.0f\n", "streams waiting", waiting);
  std::printf("%-28s %10.2f MiB\n", "resident before", static_cast<double>(before) / (1 << 20));
  std::printf("%-28s %10.2f MiB\n", "resident with all of them", static_cast<double>(after) / (1 << 20));
  std::printf("%-28s %10.0f bytes\n", "per waiting stream", static_cast<double>(after - before) / std::max(1.0, waiting));
  std::printf("%-28s %10zu\n", "clients that leave", leavers);
  std::printf("%-28s %10.1f ms (all of them, the scrape included)\n", "until the last is noticed", ms_since(begin));
  std::printf("%-28s %10s\n", "peak within the plan", server.peak_bytes() <= server.plan_bytes() ? "yes" : "NO");
  return 0;
}

}  // namespace
}  // namespace weir::testing

int main(int argc, char** argv) {
  const int streams = argc > 1 ? std::clamp(std::atoi(argv[1]), 20, 15000) : 10000;
  return weir::testing::run(streams, argc > 2 ? argv[2] : weir::testing::demo_model());
}
