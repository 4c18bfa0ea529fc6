// signals: SIGINT, SIGTERM and SIGHUP as something main waits for, not as something that interrupts a thread.
//
// Thread: main alone. block_stop_signals() and block_reload_signal() come before any other thread is started, so that all
// inherit the mask and only main ever sees the signals.
#pragma once

#include <functional>

namespace weir {

void block_stop_signals();

void block_reload_signal();  // SIGHUP; until then it ends the process, as it does by default

// Sleeps until SIGINT or SIGTERM, and calls on_reload for every SIGHUP until then. RETURNS: the stop signal's number.
// REQUIRES: block_stop_signals(); with on_reload block_reload_signal() too.
int wait_for_stop_signal(const std::function<void()>& on_reload = {});

// RETURNS: the number of a stop signal that has arrived (it is then taken), or 0.
int take_stop_signal();

// From here on a stop signal ends the process at once with status 128 + its number (130, 143).
void exit_on_next_stop_signal();

}  // namespace weir
