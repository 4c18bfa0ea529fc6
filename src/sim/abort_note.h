// AbortNote: while it lives, an abort (a WEIR_CHECK of any room) first prints which seed and step it happened in,
// and the command that replays it.
//
// One at a time, in the thread that simulates; static state, because a signal handler sees nothing else. It writes
// with write(2) alone.
#pragma once

#include <cstdint>
#include <string>

namespace weir::sim {

class AbortNote {
 public:
  explicit AbortNote(const std::string& replay_command);
  ~AbortNote();
  AbortNote(const AbortNote&) = delete;
  AbortNote& operator=(const AbortNote&) = delete;

  static void at_step(uint64_t step, int64_t simulated_us);  // where the run is now
};

}  // namespace weir::sim
