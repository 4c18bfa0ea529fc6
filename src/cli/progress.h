// ProgressLine: how far loading has come, on stderr.
//
// Thread: one, the caller's; it waits for the reader no more than print_text() does (base/output.h). On a terminal
// one line is rewritten in place, at most ten times a second; elsewhere (a log file, a service manager) a line
// appears at each tenth of the way, so that logs stay short. A new text is a new stage: it is shown at once.
#pragma once

#include <string>

#include "base/clock.h"

namespace weir {

class ProgressLine {
 public:
  ProgressLine(int fd, bool in_place) : fd_(fd), in_place_(in_place) {}
  ~ProgressLine() { done(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  // fraction: [0, 1], others are clipped; text: a few words. now_us: monotonic, in microseconds.
  void show(double fraction, const std::string& text, Micros now_us);
  void done();  // clears the line; nothing may be shown afterwards

 private:
  const int fd_;
  const bool in_place_;
  bool line_open_ = false;
  int last_percent_ = -1;
  std::string last_text_;
  Micros last_us_ = 0;
};

}  // namespace weir
