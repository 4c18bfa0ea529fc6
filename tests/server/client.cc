#include "server/client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdlib>

namespace weir::testing {
namespace {

using SteadyTime = std::chrono::steady_clock;

Answer parse(const std::string& text, bool closed) {
  Answer answer;
  const size_t end = text.find("\r\n\r\n");
  if (end == std::string::npos || text.rfind("HTTP/1.1 ", 0) != 0) return answer;
  answer.head = text.substr(0, end);
  answer.body = text.substr(end + 4);
  answer.status = std::atoi(text.c_str() + 9);
  answer.complete = closed;
  return answer;
}

Answer exchange(int port, const std::string& request) {
  const int fd = connect_to(port);
  if (fd < 0) return {};
  send_all(fd, request);
  std::string text;
  char buffer[16384];
  ssize_t count;
  while ((count = recv(fd, buffer, sizeof buffer, 0)) > 0) text.append(buffer, static_cast<size_t>(count));
  close(fd);
  return parse(text, count == 0);
}

}  // namespace

std::string Answer::header(const std::string& lower_name) const {
  std::string lower;
  for (const char c : head) lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const size_t at = lower.find("\r\n" + lower_name + ": ");
  if (at == std::string::npos) return "";
  const size_t begin = at + lower_name.size() + 4;
  return head.substr(begin, head.find("\r\n", begin) - begin);
}

int connect_to(int port, int receive_bytes) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval timeout{30, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
  if (receive_bytes > 0) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return fd;
  close(fd);
  return -1;
}

void send_all(int fd, const std::string& bytes) {
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t count = ::send(fd, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
    if (count <= 0) return;
    done += static_cast<size_t>(count);
  }
}

std::string post_text(const std::string& path, const std::string& body) {
  return "POST " + path + " HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Type: application/json\r\n"
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

Answer get(int port, const std::string& path) {
  return exchange(port, "GET " + path + " HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
}

Answer post(int port, const std::string& path, const std::string& body) { return exchange(port, post_text(path, body)); }

Answer send(int port, const std::string& method, const std::string& path, const std::string& body, const std::string& headers) {
  return exchange(port, method + " " + path + " HTTP/1.1\r\nHost: test\r\nConnection: close\r\n" + headers +
                            "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
}

std::string without_chunks(const std::string& body) {
  std::string out;
  for (size_t at = 0; at < body.size();) {
    const size_t line = body.find("\r\n", at);
    const size_t size = std::strtoull(body.c_str() + at, nullptr, 16);
    if (line == std::string::npos || size == 0) break;
    out += body.substr(line + 2, size);
    at = line + 2 + size + 2;
  }
  return out;
}

std::string completion_body(const std::string& prompt, int max_tokens, bool stream, const std::string& more) {
  return "{\"prompt\": \"" + prompt + "\", \"max_tokens\": " + std::to_string(max_tokens) +
         ", \"ignore_eos\": true, \"temperature\": 0.8, \"stream\": " + (stream ? "true" : "false") + more + "}";
}

Crowd::~Crowd() {
  for (size_t i = 0; i < clients_.size(); ++i) hang_up(i);
}

void Crowd::connect(int count) {
  for (int i = 0; i < count; ++i) {
    Client client;
    client.fd = connect_to(port_);
    client.closed = client.fd < 0;
    clients_.push_back(client);
  }
}

void Crowd::send(const std::string& request) {
  for (Client& client : clients_) {
    if (client.sent || client.closed) continue;
    send_all(client.fd, request);
    client.sent = true;
  }
}

void Crowd::read_for(int ms) {
  const auto end = SteadyTime::now() + std::chrono::milliseconds(ms);
  std::vector<pollfd> polls;
  std::vector<Client*> readers;
  char buffer[16384];
  do {
    polls.clear();
    readers.clear();
    for (Client& client : clients_) {
      if (client.closed) continue;
      polls.push_back({client.fd, POLLIN, 0});
      readers.push_back(&client);
    }
    if (polls.empty() || poll(polls.data(), polls.size(), 20) < 0) return;
    for (size_t i = 0; i < polls.size(); ++i) {
      if (!polls[i].revents) continue;
      const ssize_t count = recv(polls[i].fd, buffer, sizeof buffer, MSG_DONTWAIT);
      if (count > 0) readers[i]->text.append(buffer, static_cast<size_t>(count));
      if (count == 0 || (count < 0 && errno != EAGAIN)) readers[i]->closed = true;
    }
  } while (SteadyTime::now() < end);
}

bool Crowd::read_to_the_end(int timeout_ms) {
  const auto end = SteadyTime::now() + std::chrono::milliseconds(timeout_ms);
  const auto done = [&] { return std::all_of(clients_.begin(), clients_.end(), [](const Client& c) { return c.closed; }); };
  while (!done() && SteadyTime::now() < end) read_for(100);
  return done();
}

void Crowd::hang_up(size_t index) {
  Client& client = clients_[index];
  if (client.fd >= 0) close(client.fd);
  client.fd = -1;
  client.closed = true;
}

std::vector<Answer> Crowd::answers() const {
  std::vector<Answer> out;
  for (const Client& client : clients_) out.push_back(parse(client.text, client.closed));
  return out;
}

}  // namespace weir::testing
