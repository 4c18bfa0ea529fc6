// Answers on scripted timelines and hostile bytes, cut at every place.
#include "load/answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

namespace weir::load {
namespace {

const std::string kHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";

std::string token(const char* text) {
  return std::string("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"") + text +
         "\"},\"finish_reason\":null}]}\n\n";
}
const std::string kFinish = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const std::string kUsage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3}}\n\n";
const std::string kDone = "data: [DONE]\n\n";

std::string counted(const std::string& body) {
  return kHead + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string chunked(const std::string& body) {
  char size[32];
  std::snprintf(size, sizeof size, "%zx", body.size());
  return kHead + "Transfer-Encoding: chunked\r\n\r\n" + size + "\r\n" + body + "\r\n0\r\n\r\n";
}

Answer read(const std::string& bytes, size_t piece, const AnswerWish& wish = {}) {
  PieceParser pieces;
  AnswerReader reader(wish, &pieces);
  Micros now_us = 100;
  for (size_t at = 0; at < bytes.size(); at += piece)
    reader.feed(std::string_view(bytes).substr(at, piece), now_us++);
  if (!reader.over()) reader.closed();
  EXPECT_TRUE(reader.over());
  return reader.answer();
}

TEST(AnswerReader, AWholeStreamIsTheSameAtEveryCut) {
  const std::string body = ": hello\n\n" + token("a") + token("") + token("b") + kFinish + kUsage + kDone;
  for (const std::string& bytes : {counted(body), chunked(body), kHead + "\r\n" + body}) {
    for (size_t piece = 1; piece <= bytes.size(); ++piece) {
      const Answer answer = read(bytes, piece);
      ASSERT_EQ(answer.ending, Ending::kCompleted) << failure_name(answer.failure) << " at " << piece;
      EXPECT_EQ(answer.events, 2);
      EXPECT_EQ(answer.output_tokens, 3);
      EXPECT_EQ(answer.prompt_tokens, 9);
      EXPECT_EQ(answer.status, 200);
    }
  }
  EXPECT_TRUE(read(chunked(body), 1000).reusable);
  EXPECT_FALSE(read(kHead + "\r\n" + body, 1000).reusable);
  EXPECT_FALSE(read(chunked(body) + "more", 10'000).reusable);
}

TEST(AnswerReader, TimesAreThoseOfTheTokens) {
  PieceParser pieces;
  Histogram gaps;
  AnswerReader reader({.gaps = &gaps}, &pieces);
  reader.feed(kHead + "\r\n", 1000);
  reader.feed(token("a"), 5000);
  reader.feed(token("b"), 5200);
  reader.feed(token("c"), 5230);
  reader.feed(kFinish, 9000);
  reader.closed();
  EXPECT_EQ(reader.answer().first_us, 5000);
  EXPECT_EQ(reader.answer().last_us, 5230);
  EXPECT_EQ(reader.answer().output_tokens, 3);  // nobody told a usage
  EXPECT_EQ(gaps.count(), 2u);
  EXPECT_EQ(gaps.summary().max, 200);
  EXPECT_DOUBLE_EQ(gaps.summary().mean, 115);
}

TEST(AnswerReader, LeavesAfterTheAgreedPieceWhateverCameWithIt) {
  const std::string bytes = chunked(token("a") + token("b") + token("c") + kFinish + kDone);
  for (size_t piece = 1; piece <= bytes.size(); ++piece) {
    const Answer answer = read(bytes, piece, {.abort_after_events = 2});
    EXPECT_EQ(answer.ending, Ending::kAborted);
    EXPECT_EQ(answer.events, 2);
    EXPECT_FALSE(answer.reusable);
  }
}

TEST(AnswerReader, CountsCompletionsTextAndReasoningToo) {
  const std::string body =
      "data: {\"choices\":[{\"text\":\"x\"}]}\n\n"
      "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"y\"}}]}\n\n" +
      kFinish;
  EXPECT_EQ(read(counted(body), 50).events, 2);
}

struct Hostile {
  Failure failure;
  std::string bytes;
};

TEST(AnswerReader, EveryNonsenseHasItsNameAtEveryCut) {
  const std::string chunk_head = kHead + "Transfer-Encoding: chunked\r\n\r\n";
  const std::string json_head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
  const std::vector<Hostile> cases = {
      {Failure::kClosedAtOnce, ""},
      {Failure::kBadStatusLine, "SSH-2.0-x\r\n\r\n"},
      {Failure::kBadStatusLine, "HTTP/1.1 2x0 OK\r\n\r\n"},
      {Failure::kClosedInAnswer, "HTTP/1.1 20"},
      {Failure::kClosedInAnswer, kHead},
      {Failure::kClosedInAnswer, kHead + "Content-Length: 900\r\n\r\n" + token("a")},
      {Failure::kClosedInAnswer, chunk_head + "5\r\ndat"},
      {Failure::kBadContentLength, kHead + "Content-Length: -4\r\n\r\n"},
      {Failure::kBadChunk, chunk_head + "zz\r\n"},
      {Failure::kBadChunk, chunk_head + "3\r\n\n\n\nlonger\r\n"},
      {Failure::kBadChunk, chunk_head + "FFFFFFFFFFFFFFFFFF\r\n"},
      {Failure::kHalfEvent, counted(token("a") + "data: {\"choi")},
      {Failure::kHalfEvent, counted(token("a") + "data: {}\n")},
      {Failure::kBadJson, counted(token("a") + "data: {nonsense}\n\n" + kDone)},
      {Failure::kBadJson, counted("data: 7\n\n" + kDone)},
      {Failure::kBadJson, counted("data: " + std::string(100, '[') + "\n\n")},
      {Failure::kErrorInStream, counted(token("a") + "data: {\"error\":{\"message\":\"m\",\"code\":\"c\"}}\n\n")},
      {Failure::kUnfinished, counted(token("a"))},
      {Failure::kUnfinished, counted("")},
      {Failure::kNotAStream, json_head + "Content-Length: 2\r\n\r\n{}"},
      {Failure::kNotAStream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
  };
  for (const Hostile& hostile : cases) {
    for (size_t piece = 1; piece <= hostile.bytes.size() + 1; ++piece) {
      const Answer answer = read(hostile.bytes, piece);
      ASSERT_EQ(answer.ending, Ending::kFailed) << hostile.bytes;
      ASSERT_STREQ(failure_name(answer.failure), failure_name(hostile.failure))
          << hostile.bytes << "\nat " << piece;
    }
  }
}

TEST(AnswerReader, NothingEndlessMakesItGrow) {
  const auto failure = [](const std::string& head, const std::string& more, const AnswerWish& wish) {
    PieceParser pieces;
    AnswerReader reader(wish, &pieces);
    reader.feed(head, 1);
    for (int i = 0; i < 100 && !reader.over(); ++i) reader.feed(more, 1);
    return reader.answer().failure;
  };
  const std::string big(100'000, 'x');
  EXPECT_EQ(failure("HTTP/1.1 200 OK\r\n", "X: y\r\n" + big, {}), Failure::kHeadTooLarge);
  EXPECT_EQ(failure(kHead + "\r\n", big, {}), Failure::kEventTooLarge);
  EXPECT_EQ(failure("HTTP/1.1 500 No\r\n\r\n", big, {}), Failure::kBodyTooLarge);
  EXPECT_EQ(failure("HTTP/1.1 200 OK\r\n\r\n", big, {.stream = false}), Failure::kBodyTooLarge);
  std::string interim;
  for (int i = 0; i < 20; ++i) interim += "HTTP/1.1 100 Continue\r\n\r\n";
  EXPECT_EQ(failure("", interim, {}), Failure::kBadStatusLine);
}

TEST(AnswerReader, ARefusalKeepsItsReasonAndItsConnection) {
  const std::string body =
      R"({"error":{"message":"full","type":"requests","param":null,"code":"slow_down","reason":"queue_full"}})";
  const std::string bytes =
      "HTTP/1.1 429 Too Many\r\nRetry-After: 3\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
      body;
  for (size_t piece = 1; piece <= bytes.size(); ++piece) {
    const Answer answer = read(bytes, piece);
    EXPECT_EQ(answer.ending, Ending::kRefused);
    EXPECT_EQ(answer.status, 429);
    EXPECT_EQ(answer.reason, "queue_full");
    EXPECT_EQ(answer.code, "slow_down");
    EXPECT_TRUE(answer.retry_after);
    EXPECT_TRUE(answer.reusable);
  }
  const Answer plain = read("HTTP/1.1 502 Bad\r\nConnection: close\r\nContent-Length: 6\r\n\r\n<html>", 100);
  EXPECT_EQ(plain.ending, Ending::kRefused);
  EXPECT_EQ(plain.status, 502);
  EXPECT_EQ(plain.reason, "");
  EXPECT_FALSE(plain.reusable);
  const std::string rude = R"({"error":{"code":"a b\n)" + std::string(200, 'z') + "\"}}";
  const Answer named = read("HTTP/1.1 400 No\r\n\r\n" + rude, 1000);
  EXPECT_EQ(named.code, "a_b_" + std::string(60, 'z'));
}

TEST(AnswerReader, AnAnswerInOnePieceCountsByUsage) {
  const std::string good =
      R"({"choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":4,"completion_tokens":2}})";
  const auto reply = [](const std::string& body) {
    return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  };
  const AnswerWish whole{.stream = false};
  const Answer answer = read(reply(good), 7, whole);
  EXPECT_EQ(answer.ending, Ending::kCompleted);
  EXPECT_EQ(answer.output_tokens, 2);
  EXPECT_EQ(answer.prompt_tokens, 4);
  EXPECT_EQ(read(reply("{\"choices\":[]}"), 7, whole).failure, Failure::kEmptyAnswer);
  EXPECT_EQ(read(reply("hello"), 7, whole).failure, Failure::kBadJson);
}

}  // namespace
}  // namespace weir::load
