// signals: SIGINT and SIGTERM as something main waits for, not as something that interrupts a thread.
//
// Thread: main alone. block_stop_signals() comes before any other thread is started, so that all inherit the mask
// and only main ever sees the two signals.
#pragma once

#include <cstdint>

namespace weir {

void block_stop_signals();

// Sleeps until SIGINT or SIGTERM, or so long. RETURNS: the signal's number, or 0 when the time ran out.
// REQUIRES: block_stop_signals().
int wait_for_stop_signal(int64_t timeout_ms);

// RETURNS: the number of a stop signal that has arrived (it is then taken), or 0.
int take_stop_signal();

// From here on a stop signal ends the process at once with status 128 + its number (130, 143).
void exit_on_next_stop_signal();

}  // namespace weir
