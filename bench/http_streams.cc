// How much a waiting stream costs, how soon a departure is noticed, how many events a second leave one io thread.
//
//   http_streams [streams=10000] [events_per_stream=20]
//
// The clients live in a forked process, so that each side has its own descriptor limit and its own memory. Phases:
// park N requests -> RSS per stream; close 500 -> time until on_gone; stream events to the rest, one post per step.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "http/server.h"
#include "http/sse.h"

namespace {

using namespace weir::http;
using SteadyTime = std::chrono::steady_clock::time_point;

constexpr int kLeavers = 500;
constexpr int kStepsInFlight = 4;  // an engine that outruns the sockets would only measure coalescing

SteadyTime now() { return std::chrono::steady_clock::now(); }
double seconds_since(SteadyTime start) { return std::chrono::duration<double>(now() - start).count(); }

[[noreturn]] void die(const char* what) {
  std::fprintf(stderr, "http_streams: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

void raise_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

size_t resident_bytes() {
  FILE* file = std::fopen("/proc/self/statm", "r");
  unsigned long total = 0, resident = 0;
  if (file == nullptr || std::fscanf(file, "%lu %lu", &total, &resident) != 2) die("/proc/self/statm");
  std::fclose(file);
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

void tell(int fd, char word) {
  if (::write(fd, &word, 1) != 1) die("pipe");
}
char hear(int fd) {
  char word = 0;
  if (::read(fd, &word, 1) != 1) die("the other process is gone");
  return word;
}

// ---- The clients' process ---------------------------------------------------------------------------------------

int connect_one(uint16_t port, const std::string& request) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) die("connect");
  if (::send(fd, request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) die("send");
  return fd;
}

void read_to_end(std::vector<int> sockets) {
  const int poll_fd = ::epoll_create1(0);
  for (int fd : sockets) {
    epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
    ::epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event);
  }
  std::vector<epoll_event> events(1024);
  std::vector<char> bytes(256 * 1024);
  for (size_t open = sockets.size(); open > 0;) {
    const int count = ::epoll_wait(poll_fd, events.data(), static_cast<int>(events.size()), 30'000);
    if (count <= 0) die("no more events");
    for (int i = 0; i < count; ++i) {
      const int fd = events[static_cast<size_t>(i)].data.fd;
      if (::recv(fd, bytes.data(), bytes.size(), 0) > 0) continue;
      ::close(fd);
      --open;
    }
  }
}

[[noreturn]] void run_clients(int streams, int from_server, int to_server) {
  raise_limit();
  uint16_t port = 0;
  if (::read(from_server, &port, sizeof port) != sizeof port) die("port");
  const std::string body(500, 'p');
  const std::string request =
      "POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nAuthorization: "
      "Bearer "
      "none\r\nUser-Agent: bench\r\nConnection: close\r\nContent-Length: " +
      std::to_string(body.size()) + "\r\n\r\n" + body;
  std::vector<int> sockets;
  for (int i = 0; i < streams; ++i) sockets.push_back(connect_one(port, request));
  hear(from_server);
  for (int i = 0; i < std::min(kLeavers, streams); ++i) {
    // One at a time, so that each departure is timed and not the burst.
    const int64_t closed_ns = now().time_since_epoch().count();
    ::close(sockets.back());
    sockets.pop_back();
    if (::write(to_server, &closed_ns, sizeof closed_ns) != sizeof closed_ns) die("pipe");
    ::usleep(200);
  }
  tell(to_server, 'l');
  hear(from_server);
  read_to_end(std::move(sockets));
  std::exit(0);
}

// ---- The server's process ---------------------------------------------------------------------------------------

struct Parked {
  std::mutex mutex;
  std::vector<std::shared_ptr<Exchange>> exchanges;
  std::vector<int64_t> gone_ns;
  std::atomic<int> count{0}, gone{0}, done{0};
};

void park(Parked* parked, std::shared_ptr<Exchange> exchange) {
  exchange->begin_stream(200, kSseContentType, sse_headers());
  exchange->on_gone([parked](Gone) {
    parked->gone_ns.push_back(now().time_since_epoch().count());  // one io thread: no lock
    ++parked->gone;
  });
  exchange->on_done([parked] { ++parked->done; });
  std::lock_guard lock(parked->mutex);
  parked->exchanges.push_back(std::move(exchange));
  ++parked->count;
}

void wait_for(const std::atomic<int>& value, int target, const char* what) {
  const SteadyTime start = now();
  while (value.load() < target) {
    if (seconds_since(start) > 60) die(what);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

void report_departures(const std::vector<int64_t>& closed_ns, const std::vector<int64_t>& gone_ns) {
  std::vector<double> us;
  for (size_t i = 0; i < closed_ns.size(); ++i) us.push_back(static_cast<double>(gone_ns[i] - closed_ns[i]) / 1e3);
  std::sort(us.begin(), us.end());
  std::printf("%-38s %12zu\n", "departures noticed", us.size());
  std::printf("%-38s %9.2f ms\n", "  close() to on_gone, p50", us[us.size() / 2] / 1e3);
  std::printf("%-38s %9.2f ms\n", "  close() to on_gone, max", us.back() / 1e3);
}

void stream_events(Server* server, Parked* parked, int events_per_stream) {
  std::string event;
  append_sse_event(&event,
                   R"({"id":"chatcmpl-0123456789abcdef","object":"chat.completion.chunk","created":1700000000,)"
                   R"("model":"m","choices":[{"index":0,"delta":{"content":" token"},"finish_reason":null}]})");
  std::vector<std::shared_ptr<Exchange>> live;
  for (auto& exchange : parked->exchanges) live.push_back(std::move(exchange));
  parked->exchanges.clear();
  const uint64_t bytes_before = server->stats().bytes_out;
  rusage before{}, after{};
  getrusage(RUSAGE_SELF, &before);
  std::atomic<int> steps{0};
  const SteadyTime start = now();
  for (int step = 0; step < events_per_stream; ++step) {
    while (step - steps.load() >= kStepsInFlight) std::this_thread::sleep_for(std::chrono::microseconds(100));
    const bool last = step + 1 == events_per_stream;
    server->post(0, [&live, &event, &steps, last] {
      for (auto& exchange : live) {
        exchange->write(event);
        if (last) exchange->end_stream();
      }
      ++steps;
    });
  }
  wait_for(parked->done, parked->count.load(), "streams did not end");
  const double took = seconds_since(start);
  getrusage(RUSAGE_SELF, &after);
  const auto cpu_s = [](const rusage& r) {
    return static_cast<double>(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
           static_cast<double>(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
  };
  const double events = static_cast<double>(parked->count.load() - parked->gone.load()) * events_per_stream;
  std::printf("%-38s %12.0f\n", "events written", events);
  std::printf("%-38s %12.0f\n", "  events/s", events / took);
  std::printf("%-38s %9.2f us\n", "  server CPU per event", (cpu_s(after) - cpu_s(before)) * 1e6 / events);
  std::printf("%-38s %12.0f\n", "  bytes per event",
              static_cast<double>(server->stats().bytes_out - bytes_before) / events);
}

int run_server(int streams, int events_per_stream, int to_clients, int from_clients) {
  Parked parked;
  parked.exchanges.reserve(static_cast<size_t>(streams));
  parked.gone_ns.reserve(kLeavers);
  auto created = Server::create(Options{.connections_max = static_cast<size_t>(streams) + 100},
                                [&](Request&&, std::shared_ptr<Exchange> exchange) { park(&parked, exchange); });
  if (!created.ok()) {
    std::fprintf(stderr, "http_streams: %s\n", created.status().message().c_str());
    return 1;
  }
  const std::unique_ptr<Server> server = std::move(created).value();
  server->start();
  const size_t resident_before = resident_bytes();
  const uint16_t port = server->port();
  const SteadyTime start = now();
  if (::write(to_clients, &port, sizeof port) != sizeof port) die("pipe");
  wait_for(parked.count, streams, "not every stream arrived; is the descriptor limit high enough?");
  const double accept_s = seconds_since(start);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  const double per_stream = static_cast<double>(resident_bytes() - resident_before) / streams;
  std::printf("%-38s %12d\n", "waiting streams", streams);
  std::printf("%-38s %12.0f\n", "  accepted and parked a second", streams / accept_s);
  std::printf("%-38s %10.0f B\n", "  resident user memory per stream", per_stream);

  tell(to_clients, 'g');
  const int leavers = std::min(kLeavers, streams);
  std::vector<int64_t> closed_ns(static_cast<size_t>(leavers));
  for (int64_t& ns : closed_ns) {
    if (::read(from_clients, &ns, sizeof ns) != sizeof ns) die("pipe");
  }
  hear(from_clients);
  wait_for(parked.gone, leavers, "departures went unnoticed");
  report_departures(closed_ns, parked.gone_ns);

  tell(to_clients, 's');
  stream_events(server.get(), &parked, events_per_stream);
  server->stop();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const int streams = argc > 1 ? std::atoi(argv[1]) : 10'000;
  const int events = argc > 2 ? std::atoi(argv[2]) : 20;
  if (streams < 1 || events < 1) {
    std::fprintf(stderr, "usage: http_streams [streams=10000] [events_per_stream=20]\n");
    return 2;
  }
  int down[2], up[2];
  if (::pipe(down) != 0 || ::pipe(up) != 0) die("pipe");
  const pid_t child = ::fork();
  if (child < 0) die("fork");
  if (child == 0) {
    ::close(down[1]);  // so that a dead server is noticed
    ::close(up[0]);
    run_clients(streams, down[0], up[1]);
  }
  ::close(down[0]);
  ::close(up[1]);
  const int result = run_server(streams, events, down[1], up[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  return result != 0 ? result : WEXITSTATUS(status);
}
