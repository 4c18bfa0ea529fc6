// Nobody who has something to say waits for its reader: lanes over pipes that are full, over a disk that is full,
// over nothing; and what is dropped is counted and said.
#include "base/output.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "base/alloc_guard.h"
#include "base/check.h"
#include "base/fatal.h"
#include "base/log_throttle.h"
#include "base/sanitized.h"
#include "base/write_now.h"

namespace weir {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kLongMs = 60'000;  // for what must come, however busy the machine is

class Pipe {
 public:
  Pipe() { EXPECT_EQ(::pipe2(ends_, O_CLOEXEC), 0); }
  ~Pipe() {
    close_read();
    ::close(ends_[1]);
  }
  int write_end() const { return ends_[1]; }
  void close_read() {
    if (ends_[0] >= 0) ::close(std::exchange(ends_[0], -1));
  }
  // RETURNS: bytes that it took until it was full.
  size_t fill() const {
    const int flags = ::fcntl(ends_[1], F_GETFL);
    ::fcntl(ends_[1], F_SETFL, flags | O_NONBLOCK);
    size_t filled = 0;
    const std::string block(4096, '.');
    for (ssize_t wrote; (wrote = ::write(ends_[1], block.data(), block.size())) > 0;)
      filled += static_cast<size_t>(wrote);
    ::fcntl(ends_[1], F_SETFL, flags);
    return filled;
  }
  // Reads until the mark has come.
  std::string read_until(const std::string& mark) const {
    std::string text;
    pollfd one{ends_[0], POLLIN, 0};
    while (text.find(mark) == std::string::npos && ::poll(&one, 1, kLongMs) == 1) {
      char block[4096];
      const ssize_t got = ::read(ends_[0], block, sizeof block);
      if (got <= 0) break;
      text.append(block, static_cast<size_t>(got));
    }
    return text;
  }

 private:
  int ends_[2] = {-1, -1};
};

// A lane over the pipe; at its end the pipe has no reader, so that the writer gets to the end of what it has.
struct Lane {
  Pipe* const pipe;
  std::shared_ptr<OutputLane> lane = std::make_shared<OutputLane>();
  uint64_t before[kLogLevels];

  explicit Lane(Pipe* over) : pipe(over) {
    ::signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < kLogLevels; ++i) before[i] = dropped_lines(static_cast<LogLevel>(i));
    lane->start();
  }
  ~Lane() {
    pipe->close_read();
    EXPECT_TRUE(lane->flush(kLongMs));
    lane->end();
    while (lane.use_count() > 1) std::this_thread::sleep_for(std::chrono::milliseconds(1));  // its thread ends
  }
  uint64_t dropped(LogLevel level) const { return dropped_lines(level) - before[static_cast<size_t>(level)]; }
};

std::string line_of(size_t bytes, char c) { return std::string(bytes - 1, c) + "\n"; }

TEST(OutputLane, WritesLinesInTheirOrder) {
  Pipe pipe;
  Lane lane(&pipe);
  std::string all;
  for (int i = 0; i < 2000; ++i) {
    const std::string line = "line " + std::to_string(i) + "\n";
    lane.lane->put(pipe.write_end(), LogLevel::kInfo, line);
    all += line;
  }
  EXPECT_EQ(pipe.read_until("line 1999\n"), all);
  EXPECT_TRUE(lane.lane->flush(kLongMs));
  EXPECT_EQ(lane.dropped(LogLevel::kInfo), 0u);
}

TEST(OutputLane, AFullOneDropsCountsAndSaysSoWhenItIsReadAgain) {
  Pipe pipe;
  pipe.fill();
  Lane lane(&pipe);
  const std::string line = line_of(1000, 'x');
  for (int i = 0; i < 1000; ++i) lane.lane->put(pipe.write_end(), LogLevel::kInfo, line);
  EXPECT_FALSE(lane.lane->flush(0));
  const uint64_t infos = lane.dropped(LogLevel::kInfo);
  EXPECT_GT(infos, 800u) << "a few are on their way, the others are gone";
  EXPECT_LT(infos, 1000u);
  lane.lane->put(pipe.write_end(), LogLevel::kWarning, "a warning has room where other lines have none\n");
  EXPECT_EQ(lane.dropped(LogLevel::kWarning), 0u);
  const std::string text = pipe.read_until("a warning has room");
  const std::string told = " WARNING log: " + std::to_string(infos) +
                           " lines were dropped, which could not be written in time: " + std::to_string(infos) +
                           " info\n";
  EXPECT_THAT(text, HasSubstr(told)) << "where they are missing";
  EXPECT_LT(text.find(told), text.find("a warning has room"));
  EXPECT_TRUE(lane.lane->flush(kLongMs));
}

TEST(OutputLane, AFullOneSaysSoAlsoWhenNothingMoreIsLogged) {
  Pipe pipe;
  pipe.fill();
  Lane lane(&pipe);
  for (int i = 0; i < 1000; ++i) lane.lane->put(pipe.write_end(), LogLevel::kError, line_of(1000, 'x'));
  EXPECT_GT(lane.dropped(LogLevel::kError), 800u);
  EXPECT_THAT(pipe.read_until("error\n"), HasSubstr(" lines were dropped"));
}

TEST(OutputLane, ADiskThatIsFullAndAPipeThatIsClosedStopNothing) {
  Pipe closed;
  closed.close_read();
  const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(full, 0);
  for (const int fd : {full, closed.write_end(), -1}) {
    Pipe pipe;
    Lane lane(&pipe);
    for (int i = 0; i < 10; ++i) lane.lane->put(fd, LogLevel::kWarning, "nobody reads this\n");
    EXPECT_TRUE(lane.lane->flush(kLongMs)) << fd;
    EXPECT_EQ(lane.dropped(LogLevel::kWarning), 10u) << fd;
    lane.lane->put(pipe.write_end(), LogLevel::kInfo, "read again\n");
    EXPECT_THAT(pipe.read_until("10 warning\n"), HasSubstr("read again\n")) << fd;
  }
  ::close(full);
}

TEST(OutputLane, TextIsCountedByItsLines) {
  Pipe pipe;
  pipe.fill();
  Lane lane(&pipe);
  for (int i = 0; i < 40; ++i)
    lane.lane->put(pipe.write_end(), LogLevel::kOff, line_of(3999, 'a') + line_of(4000, 'b'));
  EXPECT_GT(lane.dropped(LogLevel::kOff), 0u);
  EXPECT_EQ(lane.dropped(LogLevel::kOff) % 2, 0u);
}

// Where the machine gives no thread, start() is as if it had not been called.
TEST(OutputLane, WithoutAThreadItWritesWhatIsTakenAtOnce) {
  Pipe pipe;
  const auto lane = std::make_shared<OutputLane>();
  const uint64_t before = dropped_lines(LogLevel::kInfo);
  lane->put(pipe.write_end(), LogLevel::kInfo, "taken\n");
  EXPECT_EQ(pipe.read_until("\n"), "taken\n");
  pipe.fill();
  for (int i = 0; i < 3; ++i) lane->put(pipe.write_end(), LogLevel::kInfo, "not taken\n");
  EXPECT_TRUE(lane->flush(0));
  EXPECT_EQ(dropped_lines(LogLevel::kInfo) - before, 3u);
  (void)pipe.read_until(std::string(20'000, '.'));
  lane->put(pipe.write_end(), LogLevel::kInfo, "taken again\n");
  EXPECT_THAT(pipe.read_until("3 info\n"), HasSubstr("taken again\n"));
}

TEST(OutputLane, ALineTakesNothingFromTheAllocator) {
  if (!alloc_guard_linked()) GTEST_SKIP() << "the sanitizer has its own operator new";
  Pipe pipe;
  Lane lane(&pipe);
  set_sealed_allocation_fatal(false);
  char memory[kLogLineBytesMax];
  const uint64_t before = sealed_allocations("talker");
  seal_this_thread("talker");
  for (int i = 0; i < 500; ++i) {
    lane.lane->put(pipe.write_end(), LogLevel::kInfo,
                   compose_log_line(LogLevel::kInfo, "engine", "something happened", memory));
  }
  unseal_this_thread();
#ifndef NDEBUG
  set_sealed_allocation_fatal(true);
#endif
  EXPECT_EQ(sealed_allocations("talker") - before, 0u);
}

TEST(OutputLane, ManyThreadsAndEveryLineIsWholeOrCounted) {
  Pipe pipe;
  Lane lane(&pipe);
  constexpr int kThreads = 8, kLines = 2000;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kLines; ++i)
        lane.lane->put(pipe.write_end(), LogLevel::kInfo, line_of(100, static_cast<char>('a' + t)));
    });
  }
  std::string text;
  std::thread reader([&] { text = pipe.read_until("the end\n"); });
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(lane.lane->flush(kLongMs));
  lane.lane->put(pipe.write_end(), LogLevel::kError, "the end\n");
  reader.join();
  uint64_t lines = 0;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    if (line.size() != 99 || line.find_first_not_of(line[0]) != std::string::npos) {
      EXPECT_THAT(line, ::testing::AnyOf("the end", HasSubstr("lines were dropped")));
      continue;
    }
    ++lines;
  }
  EXPECT_EQ(lines + lane.dropped(LogLevel::kInfo), uint64_t{kThreads} * kLines);
}

TEST(LogText, ALineIsOneLineAndBounded) {
  char memory[kLogLineBytesMax];
  const std::string_view one = compose_log_line(LogLevel::kInfo, "http", "a\r\nb", memory);
  EXPECT_THAT(std::string(one), HasSubstr("Z INFO http: a  b\n"));
  const std::string_view cut = compose_log_line(LogLevel::kError, "x", std::string(100'000, 'y'), memory);
  EXPECT_EQ(cut.size(), kLogLineBytesMax);
  EXPECT_TRUE(cut.ends_with("y... (cut)\n"));
  const size_t head = compose_log_line(LogLevel::kError, "x", "", memory).size();
  const std::string fits(kLogLineBytesMax - head - 10, 'z');
  EXPECT_THAT(std::string(compose_log_line(LogLevel::kError, "x", fits, memory)), Not(HasSubstr("(cut)")));
}

TEST(WriteNow, TakesWhatIsTakenAndNeverWaits) {
  Pipe pipe;
  const std::string text(1'000'000, 'x');
  const size_t taken = write_now(pipe.write_end(), text, 0);
  EXPECT_GE(taken, size_t{PIPE_BUF});
  EXPECT_LT(taken, text.size());
  EXPECT_EQ(write_now(pipe.write_end(), text, 0), 0u);
  EXPECT_EQ(write_now(-1, text, 0), 0u);
  ::signal(SIGPIPE, SIG_IGN);
  pipe.close_read();
  EXPECT_EQ(write_now(pipe.write_end(), text, 0), 0u);
}

TEST(LogThrottle, SaysHowManyWereLeftOut) {
  LogThrottle throttle(1'000'000);
  const auto first = throttle.pass(5);
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->after("text"), "text");
  for (int i = 0; i < 7; ++i) EXPECT_FALSE(throttle.pass(1'000'000).has_value());
  const auto second = throttle.pass(1'000'005);
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->after("text"), "text (and 7 more since the last such line)");
  EXPECT_EQ(throttle.pass(3'000'000)->after("text"), "text");
}

// The whole of it in a process of its own, whose stdout and stderr are what the test gives it.
int run_in_child(int out, int err, const std::function<void()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGPIPE, SIG_IGN);
    ::dup2(out, STDOUT_FILENO);
    ::dup2(err, STDERR_FILENO);
    body();
    ::_exit(0);
  }
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST(Output, ABlockedStderrHoldsUpNeitherStdoutNorTheEnd) {
  Pipe out, err;
  err.fill();
  EXPECT_EQ(
      run_in_child(out.write_end(), err.write_end(),
                   [] {
                     const uint64_t errors = dropped_lines(LogLevel::kError), texts = dropped_lines(LogLevel::kOff);
                     const OutputScope scope;
                     for (int i = 0; i < 1000; ++i) log_error("test", std::string(1000, 'x'));
                     for (int i = 0; i < 10; ++i) print_text(STDOUT_FILENO, "a line of the plan\n");
                     print_text(STDOUT_FILENO, "the last one\n");
                     if (dropped_lines(LogLevel::kError) - errors < 800 || dropped_lines(LogLevel::kOff) != texts)
                       ::_exit(3);
                   }),
      0);
  EXPECT_THAT(out.read_until("the last one\n"), HasSubstr("the last one\n"));
}

TEST(Output, TwoThatLeadToTheSamePlaceKeepTheirOrder) {
  Pipe pipe;
  EXPECT_EQ(run_in_child(pipe.write_end(), pipe.write_end(),
                         [] {
                           const OutputScope scope;
                           for (int i = 0; i < 100; ++i) {
                             print_text(STDOUT_FILENO, "out " + std::to_string(i) + "\n");
                             print_text(STDERR_FILENO, "err " + std::to_string(i) + "\n");
                           }
                         }),
            0);
  std::string all;
  for (int i = 0; i < 100; ++i) all += "out " + std::to_string(i) + "\nerr " + std::to_string(i) + "\n";
  EXPECT_EQ(pipe.read_until("err 99\n"), all);
}

TEST(Output, AFailedCheckIsWrittenBehindWhatWaitsAndAbortsThoughNobodyReads) {
  Pipe out, read, unread;
  unread.fill();
  const auto fail = [] {
    const OutputScope scope;
    log_info("test", "what came before");
    check_failed("one == two", "file.cc", 7, "with numbers");
  };
  EXPECT_EQ(run_in_child(out.write_end(), read.write_end(), fail), 128 + SIGABRT);
  EXPECT_THAT(read.read_until("numbers\n"),
              ::testing::ContainsRegex(
                  "INFO test: what came before\nweir: bug at file.cc:7: CHECK.one == two. failed with numbers\n"));
  EXPECT_EQ(run_in_child(out.write_end(), unread.write_end(), fail), 128 + SIGABRT);
}

TEST(Output, AnExceptionThatNothingCaughtAndAFatalSignalSaySo) {
  Pipe out, err, unread;
  unread.fill();
  const auto escape = [] {
    install_fatal_lines();
    std::thread([]() { throw std::runtime_error("lost"); }).join();
  };
  EXPECT_EQ(run_in_child(out.write_end(), err.write_end(), escape), 128 + SIGABRT);
  EXPECT_THAT(err.read_until("lost\n"), HasSubstr("weir: bug: nothing caught an exception: lost\n"));
  EXPECT_EQ(run_in_child(out.write_end(), unread.write_end(), escape), 128 + SIGABRT);
#if !WEIR_ADDRESS_SANITIZER && !WEIR_THREAD_SANITIZER
  const auto fault = [] {
    install_fatal_lines();
    ::raise(SIGBUS);
  };
  EXPECT_EQ(run_in_child(out.write_end(), err.write_end(), fault), 128 + SIGBUS);
  EXPECT_THAT(err.read_until("\n"), HasSubstr("weir: SIGBUS"));
  EXPECT_EQ(run_in_child(out.write_end(), unread.write_end(), fault), 128 + SIGBUS);
#endif
}

}  // namespace
}  // namespace weir
