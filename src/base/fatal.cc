#include "base/fatal.h"

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string_view>

#include "base/output.h"
#include "base/write_now.h"

namespace weir {
namespace {

constexpr int kPatienceMs = 100;

std::string_view signal_text(int signal) {
  switch (signal) {
    case SIGSEGV:
      return "weir: bug: SIGSEGV, an address that is not there\n";
    case SIGBUS:
      return "weir: SIGBUS: a file that was mapped became shorter, or memory is broken\n";
    case SIGFPE:
      return "weir: bug: SIGFPE, a division that has no result\n";
    default:
      return "weir: SIGILL: an instruction that this processor does not have\n";
  }
}

// The handler is gone by now (SA_RESETHAND): the signal comes again when it returns, and ends the process.
void on_fatal_signal(int signal) {
  (void)write_now(STDERR_FILENO, signal_text(signal), kPatienceMs);
  ::raise(signal);
}

void end_with(const char* reason) {
  char line[1024];
  const int size = std::snprintf(line, sizeof line, "weir: bug: nothing caught an exception: %.900s\n", reason);
  write_last_words({line, static_cast<size_t>(size)});
  std::abort();
}

void on_terminate() {
  try {
    if (const std::exception_ptr current = std::current_exception()) std::rethrow_exception(current);
  } catch (const std::exception& error) {
    end_with(error.what());
  } catch (...) {
    end_with("not a std::exception");
  }
  end_with("std::terminate was called without one");
}

void install(int signal) {
  struct sigaction before {};
  if (sigaction(signal, nullptr, &before) != 0 || before.sa_handler != SIG_DFL) return;
  struct sigaction action {};
  action.sa_handler = on_fatal_signal;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(signal, &action, nullptr);
}

}  // namespace

void install_fatal_lines() {
  std::set_terminate(on_terminate);
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) install(signal);
}

}  // namespace weir
