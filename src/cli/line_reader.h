// LineReader: the user's input from a file descriptor, a line or a pasted block at a time.
//
// Thread: one, the caller's; blocks, but looks at `interrupted` five times a second. On a terminal, lines that
// arrive together (a paste) are one input. An input is at most 1 MiB; what is longer is cut there.
#pragma once

#include <atomic>
#include <string>

namespace weir {

class LineReader {
 public:
  enum class Event { kInput, kEnd, kInterrupted };

  LineReader(int fd, bool terminal, const std::atomic<bool>* interrupted)
      : fd_(fd), terminal_(terminal), interrupted_(interrupted) {}

  // MODIFIES: input, on kInput, without its last newline.
  Event next(std::string* input);

 private:
  Event fill();                       // kInput: more bytes are in buffer_
  bool more_within_ms(int ms) const;  // bytes wait to be read
  bool take_line(std::string* line);

  const int fd_;
  const bool terminal_;
  const std::atomic<bool>* interrupted_;
  std::string buffer_;
  bool ended_ = false;
};

}  // namespace weir
