#include "sim/abort_note.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstring>

namespace weir::sim {
namespace {

constexpr size_t kTextMax = 1024;
char command[kTextMax];
std::atomic<uint64_t> step_now{0};
std::atomic<int64_t> time_now{0};
struct sigaction before {};

void put(const char* text) {
  if (::write(STDERR_FILENO, text, std::strlen(text)) < 0) return;
}

void put_number(uint64_t number) {
  char digits[24];
  size_t at = sizeof digits - 1;
  digits[at] = 0;
  do digits[--at] = static_cast<char>('0' + number % 10);
  while ((number /= 10) != 0);
  put(digits + at);
}

void on_abort(int signal) {
  put("weir: simulate: aborted in step ");
  put_number(step_now.load(std::memory_order_relaxed));
  put(" at ");
  put_number(static_cast<uint64_t>(std::max<int64_t>(0, time_now.load(std::memory_order_relaxed))));
  put(" us; replay: ");
  put(command);
  put("\n");
  ::sigaction(signal, &before, nullptr);
  ::raise(signal);
}

}  // namespace

AbortNote::AbortNote(const std::string& replay_command) {
  const size_t length = std::min(replay_command.size(), kTextMax - 1);
  std::memcpy(command, replay_command.data(), length);
  command[length] = 0;
  at_step(0, 0);
  struct sigaction action {};
  action.sa_handler = on_abort;
  ::sigaction(SIGABRT, &action, &before);
}

AbortNote::~AbortNote() { ::sigaction(SIGABRT, &before, nullptr); }

void AbortNote::at_step(uint64_t step, int64_t simulated_us) {
  step_now.store(step, std::memory_order_relaxed);
  time_now.store(simulated_us, std::memory_order_relaxed);
}

}  // namespace weir::sim
