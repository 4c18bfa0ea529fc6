#include "base/output_lane.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <numeric>
#include <thread>

#include "base/thread.h"
#include "base/write_now.h"

namespace weir {
namespace {

std::atomic<uint64_t> g_dropped[kLogLevels];

size_t index_of(LogLevel level) { return static_cast<size_t>(level); }

// No signal is ever delivered to the writer: they belong to main.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

// RETURNS: the line that says how many are missing; empty where none are.
std::string_view missing_line(const uint64_t (&missing)[kLogLevels], std::span<char> memory) {
  const uint64_t sum = std::accumulate(std::begin(missing), std::end(missing), uint64_t{0});
  if (sum == 0) return {};
  char text[256];
  size_t size = 0;
  const auto append = [&](uint64_t count, const char* words) {
    size += static_cast<size_t>(
        std::snprintf(text + size, sizeof text - size, "%llu %s ", static_cast<unsigned long long>(count), words));
  };
  append(sum, "lines were dropped, which could not be written in time:");
  for (size_t i = 0; i < kLogLevels; ++i) {
    if (missing[i] > 0) append(missing[i], log_level_word(static_cast<LogLevel>(i)));
  }
  return compose_log_line(LogLevel::kWarning, "log", {text, size - 1}, memory);  // without the last blank
}

}  // namespace

uint64_t dropped_lines(LogLevel level) { return g_dropped[index_of(level)].load(std::memory_order_relaxed); }

OutputLane::OutputLane()
    : ring_(std::make_unique<char[]>(kBytes)), in_hand_(std::make_unique<char[]>(kLogLineBytesMax)) {}

void OutputLane::start() {
  const SignalsBlocked here_and_in_the_writer;
  has_thread_ = true;
  Result<std::thread> writer = start_thread("output", [self = shared_from_this()] { self->run(); });
  has_thread_ = writer.ok();
  if (writer.ok()) writer->detach();
}

void OutputLane::end() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_all();
}

bool OutputLane::fits(LogLevel level, size_t bytes) const {
  const size_t most = level < LogLevel::kWarning ? kBytes / 4 * 3 : kBytes;
  return used_ + sizeof(Record) + bytes <= most;
}

void OutputLane::put(int fd, LogLevel level, std::string_view text) {
  text = text.substr(0, kLogLineBytesMax);
  {
    const std::lock_guard lock(mutex_);
    if (!has_thread_) return put_without_thread(fd, level, text);
    if (!fits(level, text.size())) {
      gap_ = true;
      return drop(level, text);
    }
    const Record record{static_cast<uint32_t>(text.size()), fd, level, gap_};
    gap_ = false;
    copy_in(&record, sizeof record);
    copy_in(text.data(), text.size());
  }
  wake_.notify_one();
}

void OutputLane::put_without_thread(int fd, LogLevel level, std::string_view text) {
  if (torn_ && write_now(fd, "\n", 0) != 1) return drop(level, text);
  const size_t written = write_now(fd, text, 0);
  torn_ = written > 0 && written < text.size();
  if (written < text.size()) return drop(level, text);
  char memory[kLogLineBytesMax];
  const std::string_view line = missing_line(missing_, memory);
  const size_t told = write_now(fd, line, 0);
  torn_ = told > 0 && told < line.size();
  if (told == line.size()) std::fill(std::begin(missing_), std::end(missing_), 0);
}

void OutputLane::drop(LogLevel level, std::string_view text) {
  const auto lines = static_cast<uint64_t>(std::max<ptrdiff_t>(1, std::count(text.begin(), text.end(), '\n')));
  g_dropped[index_of(level)].fetch_add(lines, std::memory_order_relaxed);
  missing_[index_of(level)] += lines;
}

void OutputLane::copy_in(const void* from, size_t bytes) {
  const size_t at = (begin_ + used_) % kBytes, first = std::min(bytes, kBytes - at);
  std::memcpy(ring_.get() + at, from, first);
  std::memcpy(ring_.get(), static_cast<const char*>(from) + first, bytes - first);
  used_ += bytes;
}

void OutputLane::copy_out(void* to, size_t bytes) {
  const size_t first = std::min(bytes, kBytes - begin_);
  std::memcpy(to, ring_.get() + begin_, first);
  std::memcpy(static_cast<char*>(to) + first, ring_.get(), bytes - first);
  begin_ = (begin_ + bytes) % kBytes;
  used_ -= bytes;
}

bool OutputLane::flush(int patience_ms) {
  std::unique_lock lock(mutex_);
  return written_.wait_for(lock, std::chrono::milliseconds(patience_ms),
                           [this] { return used_ == 0 && !writing_; });
}

void OutputLane::run() {
  for (Record record; take(&record);) {
    if (record.after_gap) tell_missing(record.fd);
    deliver(record);
    if (may_tell_ && is_empty()) tell_missing(record.fd);
  }
}

bool OutputLane::is_empty() {
  const std::lock_guard lock(mutex_);
  return used_ == 0;
}

// RETURNS: false when the lane ends and nothing is left.
bool OutputLane::take(Record* record) {
  std::unique_lock lock(mutex_);
  writing_ = false;
  if (used_ == 0) written_.notify_all();
  wake_.wait(lock, [this] { return used_ > 0 || ending_; });
  if (used_ == 0) return false;
  writing_ = true;
  copy_out(record, sizeof *record);
  copy_out(in_hand_.get(), record->bytes);
  return true;
}

void OutputLane::deliver(const Record& record) {
  const std::string_view text(in_hand_.get(), record.bytes);
  if (write_all(record.fd, text)) return;
  const std::lock_guard lock(mutex_);
  drop(record.level, text);
}

bool OutputLane::write_all(int fd, std::string_view text) {
  may_tell_ = (!torn_ || write_rest(fd, "\n")) && write_rest(fd, text);
  return may_tell_;
}

// The writer alone waits here, for as long as it takes.
bool OutputLane::write_rest(int fd, std::string_view text) {
  for (const size_t whole = text.size(); !text.empty();) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written > 0) {
      text.remove_prefix(static_cast<size_t>(written));
    } else if (written < 0 && errno == EAGAIN) {  // another process that shares it made it non-blocking
      pollfd one{fd, POLLOUT, 0};
      ::poll(&one, 1, -1);
    } else if (written == 0 || errno != EINTR) {
      torn_ = torn_ || text.size() < whole;
      return false;
    }
  }
  torn_ = false;
  return true;
}

void OutputLane::tell_missing(int fd) {
  uint64_t told[kLogLevels];
  {
    const std::lock_guard lock(mutex_);
    std::copy(std::begin(missing_), std::end(missing_), told);
  }
  char memory[kLogLineBytesMax];
  const std::string_view line = missing_line(told, memory);
  if (line.empty() || !write_all(fd, line)) return;
  const std::lock_guard lock(mutex_);
  for (size_t i = 0; i < kLogLevels; ++i) missing_[i] -= told[i];
}

}  // namespace weir
