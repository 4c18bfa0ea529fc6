// Output: the one way to stdout and stderr for log lines, progress, the plan and what a drain says.
//
// Without an OutputScope a write is a plain write, which waits for its reader as any Unix tool does. Within one, as
// `weir serve` has it, no thread waits but a writer: each descriptor has a lane with one (base/output_lane.h), so
// that a descriptor without a reader does not hold up the other; two that lead to the same place share a lane and
// their lines keep their order.
//
// Thread: any, sealed ones too; OutputScope: main.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/log.h"
#include "base/output_lane.h"

namespace weir {

// level: what the text is counted as where it is dropped; kOff for what is no log line. fd: STDOUT_FILENO or
// STDERR_FILENO.
void write_output(int fd, LogLevel level, std::string_view text);

// Plain text for a person or a script: whole lines, but for a terminal's progress, which is redrawn in place.
void print_text(int fd, std::string_view text);

// Waits until all that was said is written. RETURNS: false after patience_ms; true at once outside of a scope.
bool flush_output(int patience_ms);

// The last words of a process that ends now: lines in the lanes get a moment, then the text is written without
// waiting for ever.
void write_last_words(std::string_view text);

// From its beginning output is never waited for; at its end the lines that are left get kExitPatienceMs to be
// written. One at a time. REQUIRES: at its end no other thread writes.
class [[nodiscard]] OutputScope {
 public:
  static constexpr int kExitPatienceMs = 500;

  OutputScope();
  ~OutputScope();
  OutputScope(const OutputScope&) = delete;
  OutputScope& operator=(const OutputScope&) = delete;

 private:
  std::shared_ptr<OutputLane> err_, out_;  // shared with their writers, which may outlive the scope
};

}  // namespace weir
