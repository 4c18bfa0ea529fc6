// What the room charges to its ByteBook: bodies, half heads, bytes that the kernel has not taken; and what it does when
// they are refused.
#include <gtest/gtest.h>

#include "http/response.h"
#include "http/test_rig.h"

namespace weir::http {
namespace {

using Phase = RequestParser::Phase;

std::string upload(size_t bytes) {
  return "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: " + std::to_string(bytes) + "\r\n\r\n" + std::string(bytes, 'b');
}

TEST(ByteBookTest, ABodyIsChargedByCapacityOnItsRequestsAccount) {
  const auto book = std::make_shared<TestBook>(1'000'000, 400'000);
  const ParseLimits limits{2048, 1'000'000};
  {
    ParsedBytes parsed = parse_request_bytes(upload(200'000), limits, 1000, nullptr, book);
    ASSERT_EQ(parsed.phase, Phase::kDone);
    EXPECT_GE(book->used, parsed.request.body.capacity());
    EXPECT_NE(parsed.request.charge.account(), nullptr);
    EXPECT_EQ(book->used, parsed.request.charge.bytes());
  }
  EXPECT_EQ(book->used, 0u);
  const ParsedBytes large = parse_request_bytes(upload(400'001), limits, 1000, nullptr, book);
  EXPECT_EQ(large.fault.status, 413);
  EXPECT_STREQ(large.fault.reason, "over_host_bytes");
  EXPECT_NE(large.fault.message.find("400000"), std::string::npos) << large.fault.message;
  book->total_max = 100'000;
  const ParsedBytes full = parse_request_bytes(upload(200'000), limits, 1000, nullptr, book);
  EXPECT_EQ(full.fault.status, 429);
  EXPECT_STREQ(full.fault.reason, "host_bytes_full");
  EXPECT_STREQ(full.fault.code, "slow_down");
  EXPECT_NE(format_fault(full.fault, {}).find("Retry-After: "), std::string::npos);
  EXPECT_EQ(book->used, 0u);
  // The bodies' own budget is asked first and leaves nothing on the account.
  const auto budget = std::make_shared<ByteBudget>(50'000);
  EXPECT_STREQ(parse_request_bytes(upload(60'000), limits, 1000, budget, book).fault.reason, "body_memory");
  EXPECT_EQ(book->used, 0u);
  EXPECT_EQ(budget->used_bytes(), 0u);
}

TEST(ByteBookTest, RefusedBodiesAreAnsweredAndEverythingComesBack) {
  const auto book = std::make_shared<TestBook>(150'000, 1'000'000);
  Rig rig({}, book);
  const Reply refused = rig.client().exchange(upload(200'000));
  EXPECT_EQ(refused.status, 429);
  EXPECT_NE(refused.body.find("host_bytes_full"), std::string::npos) << refused.body;
  EXPECT_EQ(rig.client().exchange(upload(20'000)).status, 200);
  EXPECT_TRUE(eventually([&] { return book->used == 0; }));
  EXPECT_LE(book->peak, 150'000u);
}

TEST(ByteBookTest, UnsentBytesAreChargedAndAReaderThatNeverReadsIsCutOff) {
  const auto book = std::make_shared<TestBook>(100'000, 1'000'000);
  Rig rig({}, book);
  Client client = rig.client(4096);
  client.send(get("/flood"));
  EXPECT_TRUE(eventually([&] { return rig.tally.gone.load() == 1; }));
  EXPECT_EQ(rig.last_gone(), Gone::kHostBytes) << "100 KB are refused before the 256 KiB of a slow reader are there";
  EXPECT_GT(book->peak, 16'000u) << "they were charged";
  EXPECT_LE(book->peak, 100'000u);
  EXPECT_TRUE(eventually([&] { return book->used == 0; }));
}

// Control endpoints answer while the host is full: what the kernel takes at once needs no memory here.
TEST(ByteBookTest, AWholeAnswerThatTheKernelTakesIsNeverRefused) {
  const auto book = std::make_shared<TestBook>(0, 0);
  Rig rig({}, book);
  Client client = rig.client();
  const std::string target = "/echo" + std::string(8000, 'x');
  for (int i = 0; i < 5; ++i) EXPECT_EQ(client.exchange(get(target)).body.size(), target.size() + 5);
  Client slow = rig.client(4096);
  slow.send(get("/big"));
  EXPECT_TRUE(eventually([&] { return rig.tally.gone.load() == 1; }));
  EXPECT_EQ(rig.last_gone(), Gone::kHostBytes);
  EXPECT_EQ(book->used, 0u);
}

// The caller is told while the client still reads, so that the stream can end with an error and not with silence.
TEST(ByteBookTest, AnEventThatIsRefusedLeavesRoomForAnError) {
  const auto book = std::make_shared<TestBook>(0, 0);
  Rig rig({}, book);
  Client client = rig.client();
  client.send(get("/stream"));
  const auto exchange = rig.take_parked();
  rig.on_thread_of(exchange, [&] {
    EXPECT_TRUE(exchange->write(std::string(500, 's'))) << "within what a connection keeps for itself";
    EXPECT_FALSE(exchange->write(std::string(5000, 'l')));
    EXPECT_TRUE(exchange->write("error"));
    exchange->end_stream();
  });
  EXPECT_EQ(client.reply().body, std::string(500, 's') + "error");
  EXPECT_EQ(rig.tally.gone.load(), 0);
}

TEST(ByteBookTest, CallersChargeIsNotTakenTwice) {
  const auto book = std::make_shared<TestBook>(0, 0);
  Rig rig({}, book);
  Client client = rig.client(4096);
  client.send(get("/park"));
  const auto exchange = rig.take_parked();
  rig.on_thread_of(exchange, [&] {
    exchange->respond(200, "text/plain", std::string(4u << 20, 'c'), {}, ChargedBy::kCaller);
  });
  EXPECT_EQ(client.reply().body.size(), 4u << 20) << "more than the kernel takes at once, and nobody is cut off";
}

}  // namespace
}  // namespace weir::http
