#include "base/output.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>

#include "base/check.h"
#include "base/write_now.h"

namespace weir {
namespace {

constexpr int kLastWordsPatienceMs = 100;

std::atomic<OutputLane*> g_err{nullptr}, g_out{nullptr};

OutputLane* lane_of(int fd) { return (fd == STDOUT_FILENO ? g_out : g_err).load(std::memory_order_acquire); }

bool lead_to_the_same_place(int one, int other) {
  struct stat a {
  }, b{};
  return ::fstat(one, &a) == 0 && ::fstat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

void write_and_wait(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<size_t>(written));
  }
}

// Cut at the end of a line where there is one.
std::string_view first_lines(std::string_view text) {
  if (text.size() <= kLogLineBytesMax) return text;
  const size_t end = text.substr(0, kLogLineBytesMax).rfind('\n');
  return text.substr(0, end == std::string_view::npos ? kLogLineBytesMax : end + 1);
}

}  // namespace

void write_output(int fd, LogLevel level, std::string_view text) {
  OutputLane* const lane = lane_of(fd);
  if (lane == nullptr) return write_and_wait(fd, text);
  while (!text.empty()) {
    const std::string_view piece = first_lines(text);
    lane->put(fd, level, piece);
    text.remove_prefix(piece.size());
  }
}

void print_text(int fd, std::string_view text) { write_output(fd, LogLevel::kOff, text); }

bool flush_output(int patience_ms) {
  const auto begin = std::chrono::steady_clock::now();
  OutputLane* const err = g_err.load(std::memory_order_acquire);
  OutputLane* const out = g_out.load(std::memory_order_acquire);
  const bool said = err == nullptr || err->flush(patience_ms);
  if (out == nullptr || out == err) return said;
  const auto spent =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
  return out->flush(std::max(0, patience_ms - static_cast<int>(spent.count()))) && said;
}

void write_last_words(std::string_view text) {
  (void)flush_output(kLastWordsPatienceMs);
  (void)write_now(STDERR_FILENO, text, kLastWordsPatienceMs);
}

OutputScope::OutputScope() : err_(std::make_shared<OutputLane>()), out_(err_) {
  WEIR_CHECK(g_err.load() == nullptr && g_out.load() == nullptr);
  err_->start();
  if (!lead_to_the_same_place(STDOUT_FILENO, STDERR_FILENO)) {
    out_ = std::make_shared<OutputLane>();
    out_->start();
  }
  g_err.store(err_.get(), std::memory_order_release);
  g_out.store(out_.get(), std::memory_order_release);
}

// Lanes that could not be emptied stay in place: a plain write would wait now.
OutputScope::~OutputScope() {
  if (!flush_output(kExitPatienceMs)) return;
  g_err.store(nullptr, std::memory_order_release);
  g_out.store(nullptr, std::memory_order_release);
  err_->end();
  out_->end();
}

}  // namespace weir
