#include "http/parser.h"

#include <gtest/gtest.h>

#include "http/chunk_decoder.h"
#include "http/response.h"
#include "http/sse.h"

namespace weir::http {
namespace {

using Phase = RequestParser::Phase;
constexpr ParseLimits kLimits{2048, 10'000};

// Parses whole and byte by byte; the outcome must not depend on how the network cut the bytes.
ParsedBytes parse(std::string_view bytes, const ParseLimits& limits = kLimits) {
  ParsedBytes whole = parse_request_bytes(bytes, limits, bytes.size());
  const ParsedBytes dripped = parse_request_bytes(bytes, limits, 1);
  EXPECT_EQ(whole.phase, dripped.phase) << bytes;
  EXPECT_EQ(whole.fault.status, dripped.fault.status) << bytes;
  EXPECT_EQ(whole.request.body, dripped.request.body) << bytes;
  EXPECT_EQ(whole.request.headers, dripped.request.headers) << bytes;
  return whole;
}

int status_of(std::string_view bytes) {
  const ParsedBytes parsed = parse(bytes);
  if (parsed.phase == Phase::kDone) return 200;
  return parsed.phase == Phase::kFailed ? parsed.fault.status : 0;
}

TEST(Parser, FillsTheRequest) {
  const auto parsed =
      parse("POST /v1/x%20y?a=b&c HTTP/1.1\r\nHost: h\r\nX-ID:  7 \r\nContent-Length: 3\r\n\r\nabcNEXT");
  ASSERT_EQ(parsed.phase, Phase::kDone);
  EXPECT_EQ(parsed.request.method, "POST");
  EXPECT_EQ(parsed.request.target, "/v1/x%20y?a=b&c");
  EXPECT_EQ(parsed.request.path, "/v1/x%20y");
  EXPECT_EQ(parsed.request.query, "a=b&c");
  EXPECT_EQ(parsed.request.header("x-id"), "7");
  EXPECT_EQ(parsed.request.header("nope"), "");
  EXPECT_EQ(parsed.request.body, "abc");
}

TEST(Parser, ChunkedBodyWithExtensionsAndTrailers) {
  const auto parsed = parse(
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n"
      "3;n=v\r\nabc\r\n00A\r\n0123456789\r\n0\r\nAuthorization: Bearer stolen\r\n\r\n");
  ASSERT_EQ(parsed.phase, Phase::kDone);
  EXPECT_EQ(parsed.request.body, "abc0123456789");
  EXPECT_EQ(parsed.request.header("authorization"), "") << "a trailer must never become a header";
}

TEST(Parser, TargetForms) {
  EXPECT_EQ(parse("GET http://h:80/p?q HTTP/1.1\r\nHost: h\r\n\r\n").request.path, "/p");
  const auto bare = parse("GET HTTP://h?q HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(bare.request.path, "/");
  EXPECT_EQ(bare.request.query, "q");
  EXPECT_EQ(parse("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n").request.path, "*");
  for (const char* target : {"*", "p", "http://", "http:///p", "/%", "/%4", "/%zz", "/%00", "/a#b", "/\x80", "/<"})
    EXPECT_EQ(status_of("GET " + std::string(target) + " HTTP/1.1\r\nHost: h\r\n\r\n"), 400) << target;
}

TEST(Parser, RefusesMalformedHeads) {
  EXPECT_EQ(status_of("GET / HTTP/1.1\nHost: h\n\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: h\r\nA\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost : h\r\n\r\n"), 400) << "a space before the colon hides a header";
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: h\r\n: v\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: h\r\nA: \x01\r\n\r\n"), 400);
  EXPECT_EQ(status_of(std::string_view("GET / HTTP/1.1\r\nA: \0\r\n\r\n", 26)), 400);
  EXPECT_EQ(status_of("\x16\x03\x01\x02"), 400) << "TLS";
  EXPECT_EQ(status_of("GET  / HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1 \r\nHost: h\r\n\r\n"), 505);
  EXPECT_EQ(status_of("GET / HTTP/2.0\r\nHost: h\r\n\r\n"), 505);
  EXPECT_EQ(status_of("GET /\r\nHost: h\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\n\r\n"), 400) << "no Host";
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), 400);
  EXPECT_EQ(status_of("BREW / HTTP/1.1\r\nHost: h\r\n\r\n"), 501);
  EXPECT_EQ(status_of("CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n"), 501);
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\nHost: h\r\nExpect: tea\r\nContent-Length: 1\r\n\r\n"), 417);
  EXPECT_EQ(status_of("\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"), 200) << "one line break too many is forgiven";
  EXPECT_EQ(status_of("\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.0\r\n\r\n"), 200) << "HTTP/1.0 needs no Host";
}

TEST(Parser, RefusesSmuggling) {
  const std::string head = "POST / HTTP/1.1\r\nHost: h\r\n";
  const std::string chunk = "\r\n0\r\n\r\n";
  EXPECT_EQ(status_of(head + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n" + chunk), 400);
  EXPECT_EQ(status_of(head + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n" + chunk), 400);
  EXPECT_EQ(status_of(head + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"), 400);
  EXPECT_EQ(status_of(head + "Content-Length: 1\r\nContent-Length: 1\r\n\r\na"), 400);
  for (const char* length : {"1, 1", "+1", "-1", "0x1", "1 1", "", "18446744073709551617", "1;", "1e0"})
    EXPECT_EQ(status_of(head + "Content-Length: " + length + "\r\n\r\na"), 400) << length;
  EXPECT_EQ(status_of(head + "Transfer-Encoding: gzip, chunked\r\n" + chunk), 501);
  EXPECT_EQ(status_of(head + "Transfer-Encoding: identity\r\n\r\n"), 501);
  EXPECT_EQ(status_of(head + "Transfer-Encoding: xchunked\r\n" + chunk), 501);
  EXPECT_NE(status_of(head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" + chunk), 200);
  EXPECT_NE(status_of(head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n" + chunk), 200);
  EXPECT_EQ(status_of("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n" + chunk), 400);
  const std::string chunked = head + "Transfer-Encoding: chunked\r\n\r\n";
  for (const char* body : {"g\r\n", "-1\r\na\r\n", "3\r\nabcd\r\n0\r\n\r\n", "1 \r\naX\r\n", "3\nabc\r\n0\r\n\r\n",
                           "\r\n", "11111111111111111\r\na"})
    EXPECT_EQ(status_of(chunked + body), 400) << body;
}

TEST(Parser, Limits) {
  const std::string start = "GET / HTTP/1.1\r\nHost: h\r\nA: ";
  const size_t fits = kLimits.head_bytes_max - start.size() - 4;
  EXPECT_EQ(status_of(start + std::string(fits, 'x') + "\r\n\r\n"), 200);
  EXPECT_EQ(status_of(start + std::string(fits + 1, 'x') + "\r\n\r\n"), 431);
  EXPECT_EQ(status_of("GET /" + std::string(3000, 'x')), 431) << "before the line ends";
  std::string many = "GET / HTTP/1.1\r\nHost: h\r\n";
  for (size_t i = 0; i < kHeadersMax - 1; ++i) many += "a: b\r\n";
  EXPECT_EQ(status_of(many + "\r\n"), 200);
  EXPECT_EQ(status_of(many + "a: b\r\n\r\n"), 431);
  const std::string head = "POST / HTTP/1.1\r\nHost: h\r\n";
  EXPECT_EQ(status_of(head + "Content-Length: 10001\r\n\r\n"), 413);
  EXPECT_EQ(status_of(head + "Content-Length: 10000\r\n\r\n" + std::string(10'000, 'x')), 200);
  const std::string chunked = head + "Transfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(status_of(chunked + "2711\r\n"), 413);
  std::string two = chunked;
  for (int i = 0; i < 2; ++i) two += "1388\r\n" + std::string(5000, 'x') + "\r\n";
  EXPECT_EQ(status_of(two + "0\r\n\r\n"), 200);
  EXPECT_EQ(status_of(two + "1\r\nx\r\n0\r\n\r\n"), 413);
  EXPECT_EQ(status_of(chunked + "1;" + std::string(300, 'e') + "\r\nx\r\n"), 400);
  EXPECT_NE(status_of(chunked + "0\r\nA: " + std::string(5000, 'e') + "\r\n\r\n"), 200);
  EXPECT_EQ(status_of(chunked + "1;" + std::string(10'000, 'e')), 400) << "a line without end";
}

TEST(Parser, BodyBudgetIsChargedByCapacityAndGivenBack) {
  const auto budget = std::make_shared<ByteBudget>(300'000);
  const ParseLimits limits{2048, 1'000'000};
  const std::string head = "POST / HTTP/1.1\r\nHost: h\r\n";
  const std::string body(100'000, 'x');
  {
    auto parsed = parse_request_bytes(head + "Content-Length: 100000\r\n\r\n" + body, limits, 1000, budget);
    ASSERT_EQ(parsed.phase, Phase::kDone);
    const size_t used = budget->used_bytes();
    EXPECT_GE(used, 100'000u);
    EXPECT_LE(used, 101'000u) << "the body and twice its head";
    EXPECT_GE(parsed.request.charge.bytes(), parsed.request.body.capacity());
    Request moved = std::move(parsed.request);
    EXPECT_EQ(budget->used_bytes(), used) << "the charge travels with the request";
  }
  EXPECT_EQ(budget->used_bytes(), 0u);
  // A declared length that could not fit is refused before a byte of it arrives; a slow one holds what has come.
  RequestParser early(limits);
  std::string bytes = head + "Content-Length: 300001\r\n\r\nx";
  bytes.erase(0, early.feed(bytes));
  early.open_body(ByteCharge(nullptr, ByteUse::kBody, budget));
  ASSERT_EQ(early.phase(), Phase::kFailed);
  EXPECT_EQ(early.fault().status, 503);
  EXPECT_STREQ(early.fault().reason, "body_memory");
  RequestParser slow(limits);
  bytes = head + "Content-Length: 200000\r\n\r\nx";
  bytes.erase(0, slow.feed(bytes));
  slow.open_body(ByteCharge(nullptr, ByteUse::kBody, budget));
  slow.feed(bytes);
  EXPECT_EQ(slow.phase(), Phase::kBody);
  EXPECT_LE(budget->used_bytes(), 200u) << "the head and one byte, whatever was announced";
}

TEST(Response, HeadCannotBeSplitByItsValues) {
  const ResponseHead head{.status = 200, .content_type = "text/plain", .length_bytes = 2, .date = "D"};
  const std::string text =
      format_head(head, {{"X-Id", "a\r\nSet-Cookie: b"}, {"Bad Name", "x"}, {"Content-Length", "9"}});
  EXPECT_EQ(text,
            "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Type: text/plain\r\nX-Id: a  Set-Cookie: b\r\n"
            "Content-Length: 2\r\n\r\n");
}

TEST(Response, FaultBodiesAndDate) {
  EXPECT_EQ(format_date(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");  // the example of RFC 9110 section 5.6.7
  const std::string text = format_fault(Fault{503, "c", "body_memory", "say \"when\""}, {.date = "D"});
  EXPECT_NE(text.find("Retry-After: 1\r\n"), std::string::npos);
  EXPECT_NE(text.find(R"({"error":{"message":"say \"when\"","type":"server_error","code":"c","param":null,)"
                      R"("reason":"body_memory"}})"),
            std::string::npos);
}

TEST(Sse, EveryLineIsFramed) {
  std::string out;
  append_sse_event(&out, "a\nb\r\nc\r");
  append_sse_event(&out, "");
  EXPECT_EQ(out, "data: a\ndata: b\ndata: c\ndata: \n\ndata: \n\n");
}

TEST(Callback, MovesAndOwns) {
  auto counter = std::make_shared<int>(0);
  struct Big {
    char bytes[100] = {};
  };
  Callback small = [counter] { ++*counter; };
  Callback big = [counter, owned = std::make_unique<int>(1), pad = Big()] {
    *counter += 10 * *owned + pad.bytes[0];
  };
  EXPECT_EQ(counter.use_count(), 3);
  Callback moved = std::move(big);
  EXPECT_FALSE(static_cast<bool>(big));
  small();
  moved();
  EXPECT_EQ(*counter, 11);
  small = std::move(moved);
  EXPECT_EQ(counter.use_count(), 2);
  small();
  EXPECT_EQ(*counter, 21);
  small = nullptr;
  EXPECT_EQ(counter.use_count(), 1);
}

}  // namespace
}  // namespace weir::http
