#include "cli/signals.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <ctime>

namespace weir {
namespace {

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

void leave_now(int signal) { _exit(128 + signal); }  // async-signal-safe: no destructors, no buffers

}  // namespace

void block_stop_signals() {
  const sigset_t set = stop_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

int wait_for_stop_signal(int64_t timeout_ms) {
  const sigset_t set = stop_signals();
  const timespec timeout{static_cast<time_t>(timeout_ms / 1000), static_cast<long>(timeout_ms % 1000) * 1'000'000};
  const int signal = sigtimedwait(&set, nullptr, &timeout);
  return signal > 0 ? signal : 0;  // an interrupted wait counts as one whose time ran out
}

int take_stop_signal() {
  const sigset_t set = stop_signals();
  const timespec now{0, 0};
  const int signal = sigtimedwait(&set, nullptr, &now);
  return signal > 0 ? signal : 0;
}

void exit_on_next_stop_signal() {
  struct sigaction action {};
  action.sa_handler = leave_now;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  const sigset_t set = stop_signals();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);  // in this thread alone; the others keep them blocked
}

}  // namespace weir
