// Requests and answers over real sockets: routing, reuse of connections, limits and deadlines.
#include "http/server.h"
#include "base/sanitized.h"
#include "base/thread.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <ctime>

#include "http/test_rig.h"

namespace weir::http {
namespace {

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

TEST(Server, AnswersARequest) {
  Rig rig;
  Client client = rig.client();
  const Reply reply = client.exchange(post("/echo?x=1", "hello"));
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body, "POST /echo hello");
  EXPECT_TRUE(contains(reply.head, "Content-Type: text/plain\r\n")) << reply.head;
  EXPECT_TRUE(contains(reply.head, "X-Peer: 127.0.0.1\r\n")) << reply.head;
  EXPECT_TRUE(contains(reply.head, "Date: ")) << reply.head;
}

TEST(Server, KeepsTheConnectionForTheNextRequest) {
  Rig rig;
  Client client = rig.client();
  for (int i = 0; i < 50; ++i) {
    const std::string body(static_cast<size_t>(i) * 700, 'x');
    EXPECT_EQ(client.exchange(post(i % 2 ? "/late" : "/echo", body)).body,
              (i % 2 ? "POST /late " : "POST /echo ") + body);
  }
  EXPECT_EQ(rig.server->stats().accepted, 1u);
  EXPECT_EQ(rig.server->stats().requests, 50u);
  EXPECT_FALSE(contains(client.exchange(get("/echo")).head, "Connection: close"));
  EXPECT_TRUE(contains(client.exchange(get("/echo", "Connection: close\r\n")).head, "Connection: close\r\n"));
  EXPECT_TRUE(client.closed());
}

TEST(Server, PipelinedRequestsAreAnsweredInOrder) {
  Rig rig;
  Client client = rig.client();
  std::string all;
  for (int i = 0; i < 200; ++i) all += post(i % 7 == 0 ? "/late" : "/echo", std::to_string(i));
  std::thread sender([&] { client.send(all); });
  for (int i = 0; i < 200; ++i) {
    const Reply reply = client.reply();
    ASSERT_EQ(reply.status, 200);
    ASSERT_EQ(reply.body, std::string("POST ") + (i % 7 == 0 ? "/late " : "/echo ") + std::to_string(i));
  }
  sender.join();
}

TEST(Server, RequestsCutIntoSinglePacketsPerByte) {
  Rig rig;
  Client client = rig.client();
  for (char c : post("/echo", "drip")) {
    client.send({&c, 1});
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  EXPECT_EQ(client.reply().body, "POST /echo drip");
}

TEST(Server, ChunkedUpload) {
  Rig rig;
  Client client = rig.client();
  client.send("POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
  std::string sent;
  for (int i = 1; i < 60; ++i) {
    const std::string part(static_cast<size_t>(i) * 331, static_cast<char>('a' + i % 26));
    char size[16];
    std::snprintf(size, sizeof size, "%zx\r\n", part.size());
    client.send(size + part + "\r\n");
    sent += part;
  }
  client.send("0\r\n\r\n");
  EXPECT_EQ(client.reply().body, "POST /echo " + sent);
  EXPECT_EQ(client.exchange(get("/echo")).status, 200) << "the connection is still in step";
}

TEST(Server, HeadAndNoContentHaveNoBody) {
  Rig rig;
  Client client = rig.client();
  client.send("HEAD /echo HTTP/1.1\r\nHost: t\r\n\r\n");
  const Reply head = client.reply(true);
  EXPECT_TRUE(contains(head.head, "Content-Length: 11\r\n")) << head.head;
  const Reply empty = client.exchange(get("/empty"));
  EXPECT_EQ(empty.status, 204);
  EXPECT_FALSE(contains(empty.head, "Content-Length"));
  client.send("HEAD /stream HTTP/1.1\r\nHost: t\r\n\r\n");
  const auto exchange = rig.take_parked();
  rig.on_thread_of(exchange, [&] {
    exchange->write("never sent");
    exchange->end_stream();
  });
  EXPECT_EQ(client.reply(true).status, 200);
  EXPECT_EQ(client.exchange(get("/echo")).body, "GET /echo ");
}

TEST(Server, Http10) {
  Rig rig;
  Client whole = rig.client();
  const Reply reply = whole.exchange("GET /echo HTTP/1.0\r\n\r\n");
  EXPECT_EQ(reply.body, "GET /echo ");
  EXPECT_TRUE(whole.closed());
  Client kept = rig.client();
  EXPECT_TRUE(contains(kept.exchange("GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").head,
                       "Connection: keep-alive\r\n"));
  EXPECT_EQ(kept.exchange("GET /echo HTTP/1.0\r\n\r\n").status, 200);
  Client stream = rig.client();
  stream.send("GET /stream HTTP/1.0\r\n\r\n");
  const auto exchange = rig.take_parked();
  rig.on_thread_of(exchange, [&] {
    exchange->write("raw");
    exchange->end_stream();
  });
  const Reply streamed = stream.reply();
  EXPECT_EQ(streamed.body, "raw");
  EXPECT_FALSE(contains(streamed.head, "chunked"));
}

TEST(Server, ExpectContinue) {
  Rig rig(Options{.body_bytes_max = 1000});
  Client client = rig.client();
  client.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.reply().status, 100);
  client.send("body");
  EXPECT_EQ(client.reply().body, "POST /echo body");
  client.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.reply().status, 413) << "refused before the body was invited";
}

TEST(Server, LimitsAnswerInJsonAndClose) {
  Rig rig(Options{.head_bytes_max = 1024, .body_bytes_max = 100'000});
  const std::pair<int, std::string> cases[] = {
      {431, get("/echo", "A: " + std::string(2000, 'x') + "\r\n")},
      {413, post("/echo", std::string(3'000'000, 'x'))},  // the client sends all of it and still reads the answer
      {400, "nonsense\r\n\r\n"},
      {400, std::string("\0\1\2\3", 4)},
      {505, "GET / HTTP/3.7\r\nHost: t\r\n\r\n"},
      {501, "TRACE / HTTP/1.1\r\nHost: t\r\n\r\n"},
      {400, "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
  };
  for (const auto& [status, request] : cases) {
    Client client = rig.client();
    const Reply reply = client.exchange(request);
    EXPECT_EQ(reply.status, status) << request.substr(0, 60);
    EXPECT_TRUE(contains(reply.body, R"({"error":{"message":")")) << reply.body;
    EXPECT_TRUE(contains(reply.head, "Connection: close\r\n"));
    EXPECT_TRUE(client.closed());
  }
  EXPECT_EQ(rig.server->stats().bad_requests, std::size(cases));
  EXPECT_EQ(rig.tally.handled.load(), 0);
  EXPECT_TRUE(eventually([&] { return rig.server->stats().connections == 0; }));
}

TEST(Server, BodyMemoryIsSharedByAllConnections) {
  Rig rig(Options{.body_bytes_max = 400'000, .body_bytes_total_max = 1'800'000});
  std::vector<Client> before;
  for (int i = 0; i < 2; ++i) {  // both together have what one address may have
    before.push_back(rig.client());
    before.back().send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 400000\r\n\r\n");
    before.back().send(std::string(390'000, 'a'));
    ASSERT_TRUE(eventually([&] { return rig.server->stats().bytes_in >= 390'000u * static_cast<size_t>(i + 1); }));
  }
  Client second = rig.client();
  second.send(std::string("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 390000\r\n\r\n") +
              std::string(380'000, 'b'));
  const Reply refused = second.reply();
  EXPECT_EQ(refused.status, 503);
  EXPECT_TRUE(contains(refused.body, R"("reason":"body_memory")")) << refused.body;
  EXPECT_TRUE(contains(refused.head, "Retry-After: "));
  for (Client& first : before) {
    first.send(std::string(10'000, 'a'));
    EXPECT_EQ(first.reply().body.size(), 400'000u + 11);
  }
  Client third = rig.client();
  EXPECT_EQ(third.exchange(post("/echo", std::string(390'000, 'c'))).status, 200) << "memory was given back";
}

TEST(Server, SlowHeadIsCutByATotalDeadline) {
  Rig rig(Options{.head_timeout_ms = 300});
  Client client = rig.client();
  const int64_t took = elapsed_ms([&] {
    client.send("GET /echo HTTP/1.1\r\n");
    for (int i = 0; i < 100 && !client.fill(25); ++i) client.send("A: b\r\n");
  });
  EXPECT_EQ(client.reply().status, 408);
  EXPECT_TRUE(client.closed());
  EXPECT_GE(took, 250);
  EXPECT_LT(took, kSlowMs);
  Client silent = rig.client();
  EXPECT_TRUE(silent.closed(3000)) << "a connection that never speaks is closed too";
  EXPECT_EQ(silent.buffer(), "");
  EXPECT_EQ(rig.server->stats().timeouts, 1u);
}

TEST(Server, SlowBodyIsCutByATotalDeadline) {
  Rig rig(Options{.body_timeout_ms = 300});
  Client client = rig.client();
  const int64_t took = elapsed_ms([&] {
    client.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\n");
    for (int i = 0; i < 100 && !client.fill(25); ++i) client.send("x");
  });
  EXPECT_EQ(client.reply().status, 408);
  EXPECT_GE(took, 250);
  EXPECT_LT(took, kSlowMs);
}

TEST(Server, IdleConnectionsAreClosed) {
  Rig rig(Options{.idle_timeout_ms = 200});
  Client client = rig.client();
  EXPECT_EQ(client.exchange(get("/echo")).status, 200);
  int64_t took = elapsed_ms([&] { EXPECT_TRUE(client.closed()); });
  EXPECT_GE(took, 150);
  EXPECT_LT(took, kSlowMs);
  EXPECT_EQ(client.buffer(), "") << "no 408 where no request was begun";
}

TEST(Server, DrainFinishesWhatIsRunning) {
  Rig rig;
  Client idle = rig.client(), parked = rig.client(), streaming = rig.client();
  EXPECT_EQ(idle.exchange(get("/echo")).status, 200);
  parked.send(get("/park"));
  const auto waiting = rig.take_parked();
  streaming.send(get("/stream"));
  const auto stream = rig.take_parked();
  ASSERT_TRUE(streaming.read_until("\r\n\r\n"));
  rig.server->stop_accepting();
  EXPECT_TRUE(idle.closed()) << "idle connections go at once";
  EXPECT_FALSE(rig.client().connected()) << "the listener is closed";
  rig.on_thread_of(waiting, [&] { waiting->respond(200, "text/plain", "still"); });
  const Reply reply = parked.reply();
  EXPECT_EQ(reply.body, "still");
  EXPECT_TRUE(contains(reply.head, "Connection: close\r\n"));
  rig.on_thread_of(stream, [&] {
    stream->write("last words");
    stream->end_stream();
  });
  EXPECT_EQ(streaming.reply().body, "last words");
  EXPECT_TRUE(streaming.closed());
  EXPECT_TRUE(eventually([&] { return rig.server->stats().connections == 0; }));
  EXPECT_EQ(rig.tally.gone.load(), 0);
}

TEST(Server, CreateErrorsSayWhatToDo) {
  const Handler handler = [](Request&&, std::shared_ptr<Exchange>) {};
  Rig rig(Options{.io_threads = 2});
  for (int threads : {1, 2}) {
    const auto taken = Server::create(Options{.port = rig.server->port(), .io_threads = threads}, handler);
    ASSERT_FALSE(taken.ok()) << "two servers must never share a port silently";
    EXPECT_TRUE(contains(taken.status().message(), "127.0.0.1:" + std::to_string(rig.server->port())));
    EXPECT_TRUE(contains(taken.status().message(), "choose another")) << taken.status().message();
  }
  EXPECT_EQ(Server::create(Options{.address = "203.0.113.9"}, handler).status().code(), Code::kFailedPrecondition);
  EXPECT_EQ(Server::create(Options{.address = "no such host"}, handler).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(Server::create(Options{.io_threads = 0}, handler).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(Server::create(Options{.head_timeout_ms = 0}, handler).status().code(), Code::kInvalidArgument);
  EXPECT_GT(planned_bytes(Options{}), uint64_t{4} << 20);
  EXPECT_GT(planned_request_bytes(Options{}, 64), uint64_t{64} << 20) << "bodies alone are so many";
  EXPECT_EQ(Server::create(Options{.body_bytes_total_max = 1}, handler).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(Server::create(Options{.head_bytes_total_max = 1}, handler).status().code(), Code::kInvalidArgument);
}

// RETURNS: the server's end of the client's connection; both live in this process.
int accepted_socket(const Client& client) {
  sockaddr_in ours{};
  socklen_t length = sizeof ours;
  ::getsockname(client.fd(), reinterpret_cast<sockaddr*>(&ours), &length);
  for (int fd = 3; fd < 1024; ++fd) {
    sockaddr_in peer{};
    length = sizeof peer;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &length) == 0 && peer.sin_port == ours.sin_port)
      return fd;
  }
  return -1;
}

int option_of(int fd, int level, int name) {
  int value = -1;
  socklen_t length = sizeof value;
  ::getsockopt(fd, level, name, &value, &length);
  return value;
}

// The io threads before the one that cannot be had have ended, or this would not return.
TEST(Faults, no_thread_to_be_had_for_io) {
  const auto handler = [](Request&&, std::shared_ptr<Exchange>) {};
  for (int had = 0; had < 3; ++had) {
    limit_thread_starts_for_test(had);
    const auto created = Server::create(Options{.io_threads = 3}, handler);
    limit_thread_starts_for_test(-1);
    ASSERT_FALSE(created.ok()) << had;
    EXPECT_NE(created.status().message().find("'io " + std::to_string(had) + "'"), std::string::npos)
        << created.status().message();
  }
}

TEST(Server, AcceptedSocketsInheritTheListenersOptions) {
  Rig rig(Options{.write_timeout_ms = 12'345});
  Client client = rig.client();
  EXPECT_EQ(client.exchange(get("/echo")).status, 200);
  const int fd = accepted_socket(client);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(option_of(fd, IPPROTO_TCP, TCP_NODELAY), 1);
  EXPECT_EQ(option_of(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_EQ(option_of(fd, IPPROTO_TCP, TCP_KEEPIDLE), 30);
  EXPECT_EQ(option_of(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 12'345);
  EXPECT_LE(option_of(fd, SOL_SOCKET, SO_SNDBUF), 256 * 1024);
  EXPECT_LE(option_of(fd, SOL_SOCKET, SO_RCVBUF), 256 * 1024);
}

TEST(Server, WithoutDescriptorsAcceptingWaitsAndDoesNotSpin) {
  if (kAddressSanitized)
    GTEST_SKIP() << "the sanitizer of undefined behaviour looks at objects through a pipe, and has none here";
  auto created = Server::create(
      {}, [](Request&&, std::shared_ptr<Exchange> exchange) { exchange->respond(200, "text/plain", "ok"); });
  ASSERT_TRUE(created.ok());
  const auto server = std::move(created).value();
  Client client(server->port());
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  const int next_fd = ::dup(client.fd());
  ::close(next_fd);
  const rlimit none{static_cast<rlim_t>(next_fd), before.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &none);
  server->start();
  client.send(get("/"));
  const std::clock_t cpu_before = std::clock();
  EXPECT_FALSE(client.fill(400));
  const double cpu_ms = 1e3 * static_cast<double>(std::clock() - cpu_before) / CLOCKS_PER_SEC;
  ::setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_LT(cpu_ms, 100);
  EXPECT_EQ(client.reply().status, 200) << "served as soon as there are descriptors again";
}

TEST(Server, SeveralIoThreadsAndPosts) {
  Rig rig(Options{.io_threads = 3});
  for (int i = 0; i < 60; ++i) EXPECT_EQ(rig.client().exchange(get("/late")).status, 200);
  std::atomic<int> ran{0};
  for (int i = 0; i < 300; ++i) EXPECT_TRUE(rig.server->post(i % 3, [&] { ++ran; }));
  rig.server->stop();
  EXPECT_EQ(ran.load(), 300) << "what was accepted before the stop runs";
  EXPECT_FALSE(rig.server->post(0, [&] { ++ran; }));
  rig.server->stop();
}

TEST(Server, OneRequestWithoutMemoryLosesOnlyItsConnection) {
  Rig rig;
  Client bystander = rig.client(), victim = rig.client();
  EXPECT_EQ(bystander.exchange(get("/echo")).status, 200);
  victim.send(get("/no_memory"));
  EXPECT_TRUE(victim.closed());
  EXPECT_TRUE(eventually([&] { return rig.tally.done.load() == 2; }));
  EXPECT_EQ(rig.last_gone(), Gone::kShutdown);
  EXPECT_EQ(bystander.exchange(get("/echo")).status, 200);
}

TEST(Server, ADroppedRequestIsA500) {
  Rig rig;
  Client client = rig.client();
  EXPECT_EQ(client.exchange(get("/drop")).status, 500);
  EXPECT_EQ(client.exchange(get("/echo")).status, 200);
}

}  // namespace
}  // namespace weir::http
