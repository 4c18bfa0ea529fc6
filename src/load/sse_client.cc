#include "load/sse_client.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "load/dial.h"
#include "load/http_wire.h"

namespace weir {
namespace {

constexpr size_t kBodyBytesMax = 4 << 20;

Status send_all(int fd, std::string_view bytes, const HttpCall& call) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      bytes.remove_prefix(static_cast<size_t>(sent));
    } else if (errno == EAGAIN || errno == EINTR) {
      WEIR_RETURN_IF_ERROR(wait_for(fd, POLLOUT, call.silence_ms, call.stop));
    } else {
      return ok_status();  // the server may have answered and closed early; what it said is still to be read
    }
  }
  return ok_status();
}

std::string request_text(const ServerAddress& server, const HttpCall& call) {
  const bool v6 = server.host.find(':') != std::string::npos;
  std::string text = call.method + " " + server.path + call.path + " HTTP/1.1\r\n";
  text += "Host: " + (v6 ? "[" + server.host + "]" : server.host) + ":" + server.port + "\r\n";
  text +=
      "Connection: close\r\nAccept: text/event-stream, application/json\r\nUser-Agent: weir/" WEIR_VERSION "\r\n";
  if (!call.api_key.empty()) text += "Authorization: Bearer " + call.api_key + "\r\n";
  if (!call.json.empty()) {
    text += "Content-Type: application/json\r\nContent-Length: " + std::to_string(call.json.size()) + "\r\n";
  }
  return text + "\r\n" + call.json;
}

// What arrives, on its way to the caller.
struct Receiver {
  explicit Receiver(const std::function<bool(std::string_view)>& event)
      : splitter([this, &event](std::string_view data) {
          if (!enough) enough = !event(data);
        }),
        parser([this](std::string_view bytes) { take(bytes); }) {}
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  void take(std::string_view bytes) {
    const bool stream =
        parser.head().status == 200 && parser.head().field("content-type").rfind("text/event-stream", 0) == 0;
    if (!status.ok()) return;
    if (stream) {
      status = splitter.feed(bytes);
    } else if (body.size() + bytes.size() > kBodyBytesMax) {
      status = Status(Code::kTooLarge, "the server's answer is larger than 4 MiB");
    } else {
      body.append(bytes);
    }
  }

  bool enough = false;
  Status status;
  std::string body;
  EventSplitter splitter;
  ReplyParser parser;
};

Status receive(int fd, const HttpCall& call, Receiver* receiver) {
  char chunk[16384];
  while (!receiver->parser.done() && !receiver->enough) {
    WEIR_RETURN_IF_ERROR(wait_for(fd, POLLIN, call.silence_ms, call.stop));
    const ssize_t count = ::recv(fd, chunk, sizeof chunk, 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (count < 0) return Status(Code::kUnavailable, std::string("the connection broke: ") + std::strerror(errno));
    if (count == 0) return receiver->parser.end();
    WEIR_RETURN_IF_ERROR(receiver->parser.feed({chunk, static_cast<size_t>(count)}));
    WEIR_RETURN_IF_ERROR(receiver->status);
  }
  return ok_status();
}

}  // namespace

Result<HttpReply> http_call(const ServerAddress& server, const HttpCall& call,
                            const std::function<bool(std::string_view data)>& event) {
  WEIR_ASSIGN_OR_RETURN(const Socket socket, dial(server, call.stop));
  WEIR_RETURN_IF_ERROR(send_all(socket.fd(), request_text(server, call), call));
  Receiver receiver(event);
  WEIR_RETURN_IF_ERROR(receive(socket.fd(), call, &receiver));
  const ReplyHead& head = receiver.parser.head();
  return HttpReply{head.status, head.field("retry-after"), std::move(receiver.body)};
}

}  // namespace weir
