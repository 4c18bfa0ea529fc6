// bench_retry_storm: what a server on one core still does while clients ask again at once, whatever Retry-After
// says.
//
//   bench_retry_storm [--storm N] [--seconds N] [--cpu N] [--model DIR]
//
// Default: 3,000 connections, 10 s a phase, server on CPU 0. Three phases against one server: as many closed-loop
// clients as find room (its best), the storm, and as many again (it recovers). A probe asks /health/live on a new
// connection every 50 ms all the time. Prints goodput, refusals a second, and the probe's p50, p99 and maximum.
// Exit status 1 where goodput in the storm is below 90 % of the best, or the probe's p99 above 100 ms.
#include <fcntl.h>
#include <sched.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "server/client.h"
#include "server/server_process.h"

namespace weir::testing {
namespace {

using Time = std::chrono::steady_clock::time_point;
Time now() { return std::chrono::steady_clock::now(); }
double seconds_since(Time start) { return std::chrono::duration<double>(now() - start).count(); }

constexpr int kPlaces = 8, kQueue = 32;

struct Options {
  int storm = 3000, seconds = 10, cpu = 0;
  std::string model = demo_model();
};

struct Phase {
  double served = 0, refused = 0, lost = 0;  // a second
  std::vector<double> probe_ms;
};

std::string request() {
  const std::string body = R"({"prompt":[1,2,3,4,5,6,7,8],"max_tokens":32,"ignore_eos":true})";
  return "POST /v1/completions HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

// A closed loop over keep-alive connections.
class Loop {
 public:
  Loop(int port, int count) : port_(port), epoll_(::epoll_create1(0)), clients_(static_cast<size_t>(count)) {
    for (size_t i = 0; i < clients_.size(); ++i) begin(i);
  }
  ~Loop() {
    for (Client& client : clients_) {
      if (client.fd >= 0) ::close(client.fd);
    }
    ::close(epoll_);
  }
  void run(double seconds, Phase* phase) {
    const Time start = now();
    while (seconds_since(start) < seconds) {
      epoll_event events[256];
      const int count = ::epoll_wait(epoll_, events, 256, 20);
      for (int i = 0; i < count; ++i) read(events[i].data.u64, phase);
    }
    phase->served /= seconds, phase->refused /= seconds, phase->lost /= seconds;
  }

 private:
  struct Client {
    int fd = -1;
    std::string in;
  };
  void begin(size_t index) {
    Client& client = clients_[index];
    client.in.clear();
    client.fd = connect_to(port_);
    if (client.fd < 0) return;
    ::fcntl(client.fd, F_SETFL, O_NONBLOCK);
    epoll_event event{.events = EPOLLIN, .data = {.u64 = index}};
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, client.fd, &event);
    send_all(client.fd, request_);
  }
  void read(size_t index, Phase* phase) {
    Client& client = clients_[index];
    char bytes[16384];
    const ssize_t n = ::read(client.fd, bytes, sizeof bytes);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
      phase->lost += 1;
      ::close(client.fd);
      return begin(index);
    }
    client.in.append(bytes, static_cast<size_t>(n));
    const size_t head = client.in.find("\r\n\r\n"), length = client.in.find("Content-Length: ");
    if (head == std::string::npos || length > head) return;
    const size_t whole = head + 4 + std::strtoul(client.in.c_str() + length + 16, nullptr, 10);
    if (client.in.size() < whole) return;
    (std::atoi(client.in.c_str() + 9) == 200 ? phase->served : phase->refused) += 1;
    client.in.erase(0, whole);
    send_all(client.fd, request_);
  }

  const int port_, epoll_;
  const std::string request_ = request();
  std::vector<Client> clients_;
};

Phase run_phase(int port, int clients, int seconds) {
  Phase phase;
  std::atomic<bool> stop{false};
  int unhealthy = 0;
  std::thread probe([&] {
    while (!stop) {
      const Time start = now();
      unhealthy += get(port, "/health/live").status != 200;
      phase.probe_ms.push_back(1e3 * seconds_since(start));
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  });
  {
    Loop loop(port, clients);
    Phase warm_up;
    loop.run(2, &warm_up);
    loop.run(seconds, &phase);
    stop = true;
    probe.join();
  }
  phase.lost += unhealthy;
  std::sort(phase.probe_ms.begin(), phase.probe_ms.end());
  return phase;
}

double quantile(const std::vector<double>& sorted, double share) {
  if (sorted.empty()) return 0;
  return sorted[std::min(sorted.size() - 1, static_cast<size_t>(share * static_cast<double>(sorted.size())))];
}

void print(const char* name, const Phase& phase) {
  std::printf("%-10s %10.1f %12.1f %8.1f %10.2f %8.2f %8.2f\n", name, phase.served, phase.refused, phase.lost,
              quantile(phase.probe_ms, 0.5), quantile(phase.probe_ms, 0.99), quantile(phase.probe_ms, 1));
}

void keep_to(int cpu, bool all_but_it) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (long i = 0; i < ::sysconf(_SC_NPROCESSORS_ONLN); ++i) {
    if ((i == cpu) != all_but_it) CPU_SET(static_cast<size_t>(i), &set);
  }
  ::sched_setaffinity(0, sizeof set, &set);  // a machine of one CPU keeps what it has
}

bool read_options(int argc, char** argv, Options* options) {
  for (int i = 1; i < argc; i += 2) {
    const std::string flag = argv[i], value = i + 1 < argc ? argv[i + 1] : "";
    const int number = std::atoi(value.c_str());
    if (flag == "--storm" && number > 0)
      options->storm = number;
    else if (flag == "--seconds" && number > 0)
      options->seconds = number;
    else if (flag == "--cpu" && number >= 0 && !value.empty())
      options->cpu = number;
    else if (flag == "--model" && !value.empty())
      options->model = value;
    else
      return std::fprintf(stderr, "bench_retry_storm: '%s %s' is not understood\n", flag.c_str(), value.c_str()),
             false;
  }
  return true;
}

int run(int argc, char** argv) {
  Options options;
  if (!read_options(argc, argv, &options)) return 2;
  keep_to(options.cpu, false);
  ServerProcess server({"--threads", "1", "--max-concurrent-requests", std::to_string(kPlaces),
                        "--max-queued-requests", std::to_string(kQueue), "--log-level", "warning"},
                       options.model);
  keep_to(options.cpu, true);
  if (server.port() == 0) return 1;
  const Phase best = run_phase(server.port(), kPlaces + kQueue / 2, options.seconds);
  const Phase storm = run_phase(server.port(), options.storm, options.seconds);
  const Phase after = run_phase(server.port(), kPlaces + kQueue / 2, options.seconds);
  std::printf("%-10s %10s %12s %8s %10s %8s %8s\n", "phase", "served/s", "refused/s", "lost/s", "health p50", "p99",
              "max ms");
  print("best", best);
  print("storm", storm);
  print("after", after);
  const double share = best.served > 0 ? storm.served / best.served : 0;
  const double health_ms = quantile(storm.probe_ms, 0.99);
  std::printf("goodput in the storm: %.1f %% of the best; /health/live p99 %.1f ms\n", 100 * share, health_ms);
  return share >= 0.9 && health_ms < 100 ? 0 : 1;
}

}  // namespace
}  // namespace weir::testing

int main(int argc, char** argv) { return weir::testing::run(argc, argv); }
