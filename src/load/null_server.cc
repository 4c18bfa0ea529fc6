#include "load/null_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <queue>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace weir::load {
namespace {

constexpr size_t kHeadBytesMax = 64 << 10, kBodyBytesMax = 16 << 20;
constexpr int64_t kTokensMax = 1 << 20;
constexpr std::string_view kDone = "0\r\n\r\n";
constexpr std::string_view kStreamHead =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
constexpr std::string_view kRefusal =
    R"({"error":{"message":"every so many are refused","type":"requests","param":null,)"
    R"("code":"slow_down","reason":"queue_full"}})";

std::string chunk(std::string_view data) {
  char size[32];
  const auto end = std::to_chars(size, size + sizeof size, data.size(), 16).ptr;
  return std::string(size, end) + "\r\n" + std::string(data) + "\r\n";
}

const std::string& token_chunk() {
  static const std::string text = chunk(
      "data: "
      "{\"id\":\"n\",\"object\":\"chat.completion.chunk\",\"created\":0,\"model\":\"null\",\"choices\":[{\"index\":"
      "0,"
      "\"delta\":{\"content\":\" word\"},\"text\":\" word\",\"finish_reason\":null}]}\n\n");
  return text;
}

std::string usage_json(int64_t prompt, int64_t output) {
  return "\"usage\":{\"prompt_tokens\":" + std::to_string(prompt) +
         ",\"completion_tokens\":" + std::to_string(output) +
         ",\"total_tokens\":" + std::to_string(prompt + output) + "}";
}

std::string last_chunks(int64_t prompt, int64_t output) {
  std::string events =
      "data: "
      "{\"id\":\"n\",\"choices\":[{\"index\":0,\"delta\":{},\"text\":\"\",\"finish_reason\":\"length\"}]}\n\n";
  events += "data: {\"id\":\"n\",\"choices\":[]," + usage_json(prompt, output) + "}\n\ndata: [DONE]\n\n";
  return chunk(events) + std::string(kDone);
}

std::string whole_answer(const char* status, std::string_view extra, std::string_view body) {
  return std::string("HTTP/1.1 ") + status + "\r\nContent-Type: application/json\r\n" + std::string(extra) +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

// The number after `name` in text, or `otherwise`.
int64_t number_after(std::string_view text, std::string_view name, int64_t otherwise) {
  const size_t at = text.find(name);
  if (at == std::string_view::npos) return otherwise;
  int64_t number = 0;
  const char* begin = text.data() + at + name.size();
  while (begin < text.data() + text.size() && *begin == ' ') ++begin;
  const auto [end, error] = std::from_chars(begin, text.data() + text.size(), number);
  return error == std::errc() ? std::clamp<int64_t>(number, 0, kTokensMax) : otherwise;
}

struct Peer {
  int fd = -1;
  uint64_t number = 0;  // never given twice, so that an old timer finds nobody
  std::string in, out;
  size_t out_sent = 0;
  int64_t prompt_tokens = 0, tokens = 0, tokens_left = 0;  // of the answer under way
};

}  // namespace

class NullServer::Loop {
 public:
  explicit Loop(NullServer* server) : server_(*server), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    watch(server_.listener_, EPOLLIN);
    watch(server_.wake_, EPOLLIN);
  }
  ~Loop() {
    for (const auto& [fd, peer] : peers_) ::close(fd);
    ::close(epoll_);
  }

  void run() {
    std::vector<epoll_event> events(512);
    while (!server_.stopping_.load(std::memory_order_relaxed)) {
      const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), wait_ms());
      for (int i = 0; i < count; ++i) take(events[static_cast<size_t>(i)]);
      send_due_tokens();
    }
  }

 private:
  struct Due {
    Micros at_us;
    int fd;
    uint64_t number;
    bool operator>(const Due& other) const { return at_us > other.at_us; }
  };

  void watch(int fd, uint32_t events) {
    epoll_event event{.events = events, .data = {.fd = fd}};
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  }

  int wait_ms() const {
    if (due_.empty()) return -1;
    return static_cast<int>(std::clamp<Micros>((due_.top().at_us - clock_.now_us() + 999) / 1000, 0, 1000));
  }

  void take(const epoll_event& event) {
    const int fd = event.data.fd;
    if (fd == server_.wake_) return;
    if (fd == server_.listener_) return accept_all();
    const auto found = peers_.find(fd);
    if (found == peers_.end()) return;
    if ((event.events & EPOLLOUT) != 0 && !flush(&found->second)) return hang_up(fd);
    if ((event.events & ~static_cast<uint32_t>(EPOLLOUT)) != 0 && !read_all(&found->second)) hang_up(fd);
  }

  void accept_all() {
    for (;;) {
      const int fd = ::accept4(server_.listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      const int on = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      Peer& peer = peers_[fd];
      peer.fd = fd;
      peer.number = ++last_number_;
      server_.most_connections_ = std::max<uint64_t>(server_.most_connections_, peers_.size());
      watch(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    }
  }

  void hang_up(int fd) {
    ::close(fd);
    peers_.erase(fd);
  }

  // RETURNS: false when the peer is to be hung up on.
  bool read_all(Peer* peer) {
    for (;;) {
      const ssize_t count = ::recv(peer->fd, scratch_, sizeof scratch_, 0);
      if (count < 0 && (errno == EAGAIN || errno == EINTR)) return true;
      if (count <= 0) return false;
      peer->in.append(scratch_, static_cast<size_t>(count));
      if (!take_requests(peer)) return false;
    }
  }

  bool take_requests(Peer* peer) {
    while (peer->tokens_left == 0) {
      const size_t head = peer->in.find("\r\n\r\n");
      if (head == std::string::npos) return peer->in.size() <= kHeadBytesMax;
      const std::string_view text(peer->in);
      const auto length = static_cast<size_t>(number_after(text.substr(0, head), "Content-Length:", 0));
      if (head > kHeadBytesMax || length > kBodyBytesMax) return false;
      if (text.size() < head + 4 + length) return true;
      answer(peer, text.substr(0, head), text.substr(head + 4, length));
      peer->in.erase(0, head + 4 + length);
      if (!flush(peer)) return false;
    }
    return true;
  }

  void answer(Peer* peer, std::string_view head, std::string_view body) {
    if (head.substr(0, 4) == "GET ") {
      peer->out += whole_answer("200 OK", "", R"({"object":"list","data":[{"id":"null","object":"model"}]})");
      return;
    }
    const uint64_t number = server_.requests_.fetch_add(1) + 1;
    if (server_.options_.refuse_every > 0 && number % server_.options_.refuse_every == 0) {
      peer->out += whole_answer("429 Too Many Requests", "Retry-After: 1\r\n", kRefusal);
      return;
    }
    peer->tokens = std::max<int64_t>(1, number_after(body, "\"max_tokens\":", 16));
    peer->prompt_tokens = std::max<int64_t>(1, std::count(body.begin(), body.end(), ' '));
    if (body.find("\"stream\":true") == std::string_view::npos) {
      peer->out +=
          whole_answer("200 OK", "",
                       "{\"id\":\"n\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":"
                       "\" word\"},\"text\":\" word\",\"finish_reason\":\"length\"}]," +
                           usage_json(peer->prompt_tokens, peer->tokens) + "}");
      return;
    }
    peer->out += kStreamHead;
    if (server_.options_.token_us > 0) {
      peer->tokens_left = peer->tokens;
      due_.push({clock_.now_us() + server_.options_.token_us, peer->fd, peer->number});
      return;
    }
    peer->out.reserve(peer->out.size() + static_cast<size_t>(peer->tokens) * token_chunk().size() + 512);
    for (int64_t i = 0; i < peer->tokens; ++i) peer->out += token_chunk();
    peer->out += last_chunks(peer->prompt_tokens, peer->tokens);
  }

  void send_due_tokens() {
    while (!due_.empty() && due_.top().at_us <= clock_.now_us()) {
      const Due due = due_.top();
      due_.pop();
      const auto found = peers_.find(due.fd);
      if (found == peers_.end() || found->second.number != due.number) continue;
      Peer* peer = &found->second;
      peer->out += token_chunk();
      if (--peer->tokens_left == 0) {
        peer->out += last_chunks(peer->prompt_tokens, peer->tokens);
      } else {
        due_.push({due.at_us + server_.options_.token_us, due.fd, due.number});
      }
      if (!flush(peer) || !take_requests(peer)) hang_up(due.fd);
    }
  }

  bool flush(Peer* peer) {
    while (peer->out_sent < peer->out.size()) {
      const ssize_t count =
          ::send(peer->fd, peer->out.data() + peer->out_sent, peer->out.size() - peer->out_sent, MSG_NOSIGNAL);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return errno == EAGAIN;
      peer->out_sent += static_cast<size_t>(count);
    }
    peer->out.clear();
    peer->out_sent = 0;
    return true;
  }

  NullServer& server_;
  const SteadyClock clock_;
  const int epoll_;
  uint64_t last_number_ = 0;
  std::unordered_map<int, Peer> peers_;
  std::priority_queue<Due, std::vector<Due>, std::greater<Due>> due_;
  char scratch_[64 << 10];
};

Result<std::unique_ptr<NullServer>> NullServer::open(const NullServerOptions& options) {
  std::unique_ptr<NullServer> server(new NullServer(options));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(options.port));
  if (::inet_pton(AF_INET, options.host.c_str(), &address.sin_addr) != 1) {
    return invalid_argument("'" + options.host + "' is no IPv4 address");
  }
  server->listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  server->wake_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  const int on = 1;
  ::setsockopt(server->listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  socklen_t size = sizeof address;
  auto* plain = reinterpret_cast<sockaddr*>(&address);
  if (::bind(server->listener_, plain, size) != 0 || ::listen(server->listener_, 65535) != 0 ||
      ::getsockname(server->listener_, plain, &size) != 0) {
    return Status(Code::kUnavailable, "cannot listen on " + options.host + ":" + std::to_string(options.port) +
                                          ": " + std::strerror(errno));
  }
  server->port_ = ntohs(address.sin_port);
  return server;
}

NullServer::~NullServer() {
  if (listener_ >= 0) ::close(listener_);
  if (wake_ >= 0) ::close(wake_);
}

void NullServer::run() {
  const auto loop = std::make_unique<Loop>(this);
  loop->run();
}

void NullServer::stop() {
  stopping_.store(true);
  const uint64_t one = 1;
  if (::write(wake_, &one, sizeof one) < 0) return;  // the loop looks at stopping_ at its next event
}

}  // namespace weir::load
