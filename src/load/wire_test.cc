#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "load/http_wire.h"
#include "load/sse_client.h"
#include "load/testing_server.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Feeds `bytes` cut into pieces of each size; the outcome may not depend on the cuts.
struct Outcome {
  Status status;
  int code = 0;
  std::string body;
  bool done = false;
};

Outcome read_reply(std::string_view bytes, size_t piece) {
  Outcome outcome;
  ReplyParser parser([&](std::string_view data) { outcome.body += data; });
  for (size_t at = 0; at < bytes.size() && outcome.status.ok(); at += piece) {
    outcome.status = parser.feed(bytes.substr(at, piece));
  }
  if (outcome.status.ok()) outcome.status = parser.end();
  outcome.code = parser.head().status;
  outcome.done = parser.done();
  return outcome;
}

TEST(ReplyParser, ReadsEveryKindOfBodyAtEveryCut) {
  const std::string counted = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
  const std::string chunked =
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nTrailer: 1\r\n\r\n";
  const std::string open_ended = "HTTP/1.0 200 OK\r\n\r\nhello";
  const std::string interim = "HTTP/1.1 100 Continue\r\n\r\n" + counted;
  for (const std::string& text : {counted, chunked, open_ended, interim}) {
    for (size_t piece = 1; piece <= text.size(); ++piece) {
      const Outcome outcome = read_reply(text, piece);
      EXPECT_TRUE(outcome.status.ok()) << outcome.status.message();
      EXPECT_EQ(outcome.code, 200);
      EXPECT_EQ(outcome.body, "hello") << text << " cut at " << piece;
      EXPECT_TRUE(outcome.done);
    }
  }
}

TEST(ReplyParser, FieldNamesIgnoreCase) {
  ReplyParser parser([](std::string_view) {});
  ASSERT_TRUE(parser.feed("HTTP/1.1 429 Slow\r\nrETRY-aFTER:  7 \r\nContent-Length: 0\r\n\r\n").ok());
  EXPECT_TRUE(parser.done());
  EXPECT_EQ(parser.head().status, 429);
  EXPECT_EQ(parser.head().field("retry-after"), "7");
}

TEST(ReplyParser, RefusesWhatIsBrokenAndNeverGrows) {
  const std::string head = "HTTP/1.1 200 OK\r\n";
  for (const std::string& text : std::vector<std::string>{
           "SSH-2.0-x\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1 99 \r\n\r\n", head + std::string(70'000, 'a'),
           head + "Content-Length: -1\r\n\r\n", head + "Content-Length: 99999999999999999999\r\n\r\n",
           head + "Content-Length: 5\r\n\r\nhell", head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
           head + "Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
           head + "Transfer-Encoding: chunked\r\n\r\n" + std::string(5000, '1'),
           head + "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", head.substr(0, 10), ""}) {
    for (size_t piece : {size_t{1}, size_t{7}, text.size() + 1}) {
      EXPECT_EQ(read_reply(text, piece).status.code(), Code::kDataLoss) << text.substr(0, 80);
    }
  }
}

TEST(EventSplitter, JoinsLinesSkipsCommentsTakesEveryLineEnd) {
  for (const std::string end : {"\n", "\r\n", "\r"}) {
    const std::string text = ": hello" + end + "data: one" + end + end + "event: x" + end + "data:two" + end +
                             "data:  three" + end + end + end + "data" + end + end + "data: cut off";
    for (size_t piece = 1; piece <= text.size(); ++piece) {
      std::vector<std::string> events;
      EventSplitter splitter([&](std::string_view data) { events.emplace_back(data); });
      for (size_t at = 0; at < text.size(); at += piece) {
        ASSERT_TRUE(splitter.feed(std::string_view(text).substr(at, piece)).ok());
      }
      EXPECT_THAT(events, ElementsAre("one", "two\n three", ""));
    }
  }
  EventSplitter endless([](std::string_view) {});
  EXPECT_EQ(endless.feed(std::string((1 << 20) + 1, 'x')).code(), Code::kDataLoss);
}

TEST(ServerUrl, ReadsAddresses) {
  const auto text = [](const char* url) {
    const Result<ServerAddress> address = parse_server_url(url);
    return address.ok() ? address->text() : address.status().message();
  };
  EXPECT_EQ(text("http://localhost:23333"), "http://localhost:23333/v1");
  EXPECT_EQ(text("http://10.0.0.1/"), "http://10.0.0.1:80/v1");
  EXPECT_EQ(text("http://[::1]:8080/api/v1/"), "http://[::1]:8080/api/v1");
  EXPECT_THAT(text("https://host"), HasSubstr("plain http only"));
  EXPECT_THAT(text("localhost:1"), HasSubstr("is no address"));
  EXPECT_THAT(text("http://host:0"), HasSubstr("the port is no number"));
  EXPECT_THAT(text("http://host:66000"), HasSubstr("the port is no number"));
  EXPECT_THAT(text("http://host:1x"), HasSubstr("the port is no number"));
  EXPECT_THAT(text("http://:80"), HasSubstr("the host name is missing"));
  EXPECT_THAT(text("http://[::1"), HasSubstr("bracket"));
  EXPECT_THAT(text("http://u:p@h/"), HasSubstr("port"));
  EXPECT_THAT(text("http://h/v1\r\nX: y"), HasSubstr("may not hold spaces"));
  EXPECT_THAT(text("http://h\r\n"), HasSubstr("character that none may"));
}

TEST(HttpCall, SendsTheRequestAndReadsEvents) {
  FakeServer server({"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "9\r\ndata: a\n\n\r\nb\r\ndata: b\r\n\r\n\r\n0\r\n\r\n"},
                    3);
  std::vector<std::string> events;
  const HttpCall call{.method = "POST", .path = "/x", .json = "{}", .api_key = "k"};
  const Result<HttpReply> reply = http_call(server.address(), call, [&](std::string_view data) {
    events.emplace_back(data);
    return true;
  });
  ASSERT_TRUE(reply.ok()) << reply.status().message();
  EXPECT_EQ(reply->status, 200);
  EXPECT_THAT(events, ElementsAre("a", "b"));
}

TEST(HttpCall, ReturnsAnErrorBodyWithRetryAfter) {
  FakeServer server({"HTTP/1.1 429 Too Many\r\nContent-Length: 4\r\nRetry-After: 3\r\n\r\nbusy"}, 100);
  const Result<HttpReply> reply = http_call(server.address(), {}, [](std::string_view) { return true; });
  ASSERT_TRUE(reply.ok()) << reply.status().message();
  EXPECT_EQ(reply->status, 429);
  EXPECT_EQ(reply->retry_after, "3");
  EXPECT_EQ(reply->body, "busy");
}

TEST(HttpCall, SilenceStopAndAbsenceAreErrorsInTime) {
  std::atomic<bool> stop{true};
  ServerAddress gone;
  {
    FakeServer server({"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"}, 100, true);
    const HttpCall call{.silence_ms = 300};
    const auto ignore = [](std::string_view) { return true; };
    EXPECT_EQ(http_call(server.address(), call, ignore).status().code(), Code::kDeadlineExceeded);
    const HttpCall stopped{.stop = &stop};
    EXPECT_EQ(http_call(server.address(), stopped, ignore).status().code(), Code::kCancelled);
    gone = server.address();
  }
  const Result<HttpReply> reply = http_call(gone, {}, [](std::string_view) { return true; });
  EXPECT_EQ(reply.status().code(), Code::kUnavailable);
  EXPECT_THAT(reply.status().message(), HasSubstr("no connection to http://127.0.0.1:"));
}

}  // namespace
}  // namespace weir
