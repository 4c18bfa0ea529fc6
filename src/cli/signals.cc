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

void block_reload_signal() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

int wait_for_stop_signal(const std::function<void()>& on_reload) {
  sigset_t set = stop_signals();
  if (on_reload) sigaddset(&set, SIGHUP);
  for (int signal = 0;;) {
    if (sigwait(&set, &signal) != 0) continue;
    if (signal != SIGHUP) return signal;
    on_reload();
  }
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
