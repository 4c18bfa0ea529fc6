// Plain HTTP clients over loopback sockets: one request at a time, and a crowd of streams in one poll loop.
// Test thread only. They are deliberately simple: "Connection: close" everywhere, no chunk decoding beyond the end.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace weir::testing {

struct Answer {
  int status = 0;        // 0: no answer
  std::string head;      // status line and headers
  std::string body;      // raw, chunk borders included
  bool complete = false; // the server closed the connection properly after the head
  std::string header(const std::string& lower_name) const;
};

Answer get(int port, const std::string& path);
Answer post(int port, const std::string& path, const std::string& body);
// headers: whole lines, each with its "\r\n".
Answer send(int port, const std::string& method, const std::string& path, const std::string& body, const std::string& headers);
// The body of a chunked answer without the chunks' borders.
std::string without_chunks(const std::string& body);
std::string completion_body(const std::string& prompt, int max_tokens, bool stream, const std::string& more = "");

// A blocking socket; -1 on failure. receive_bytes: the kernel's receive buffer, 0 for its default.
int connect_to(int port, int receive_bytes = 0);
void send_all(int fd, const std::string& bytes);             // ignores errors: the server may hang up first
std::string post_text(const std::string& path, const std::string& body);

// Many connections, driven together. Each sends one request and reads until the server closes.
class Crowd {
 public:
  explicit Crowd(int port) : port_(port) {}
  ~Crowd();
  void connect(int count);                  // adds that many open connections
  void send(const std::string& request);    // to each connection that has not sent yet
  void read_for(int ms);                    // reads what comes
  bool read_to_the_end(int timeout_ms);     // RETURNS: whether all have ended
  void hang_up(size_t index);
  std::vector<Answer> answers() const;
  size_t size() const { return clients_.size(); }

 private:
  struct Client {
    int fd = -1;
    bool sent = false, closed = false;
    std::string text;
  };
  int port_;
  std::vector<Client> clients_;
};

}  // namespace weir::testing
