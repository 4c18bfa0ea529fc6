// OutputLane: lines on their way to one place (a terminal, a file, a pipe), written by a thread of the lane's own,
// so that no thread that has something to say waits for the place's reader.
//
// Bounded: kBytes of lines, taken in the constructor. A line that finds no room, or that the place refuses (a full
// disk, a closed pipe), is dropped and counted; as soon as the place takes lines again, one line says how many are
// missing. The last quarter is kept for warnings, errors and plain text, so that a flood of other lines cannot
// drown them. The descriptors stay blocking: O_NONBLOCK would be set for every process that shares them. The writer
// may therefore block for ever; it is detached, holds the lane alive by itself and is left behind when the process
// ends. Owner: OutputScope (base/output.h). Threads: any, sealed ones too; a mutex is held for a copy of a line,
// never for a write (but where there was no thread to be had: see start()).
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>

#include "base/log_text.h"

namespace weir {

inline constexpr size_t kLogLevels = 5;  // kOff, the last, stands for plain text

class OutputLane : public std::enable_shared_from_this<OutputLane> {
 public:
  static constexpr size_t kBytes = 128 * 1024;

  OutputLane();
  OutputLane(const OutputLane&) = delete;
  OutputLane& operator=(const OutputLane&) = delete;

  // Starts the writer. Without a thread to be had, put() writes as much as the descriptor takes without waiting.
  // REQUIRES: owned by a shared_ptr. Once.
  void start();
  void end();  // the writer ends when all is written, or is left behind where that never happens

  // text: whole lines, at most kLogLineBytesMax.
  void put(int fd, LogLevel level, std::string_view text);
  // Waits until everything is written or dropped. RETURNS: false after patience_ms.
  bool flush(int patience_ms);

 private:
  struct Record {
    uint32_t bytes;
    int32_t fd;
    LogLevel level;
    bool after_gap;  // lines between the one before and this one were dropped
  };
  void run();
  bool take(Record* record);
  void deliver(const Record& record);
  bool write_all(int fd, std::string_view text);
  bool write_rest(int fd, std::string_view text);
  bool is_empty();
  void tell_missing(int fd);
  bool fits(LogLevel level, size_t bytes) const;                           // REQUIRES: mutex_ held
  void drop(LogLevel level, std::string_view text);                        // REQUIRES: mutex_ held
  void put_without_thread(int fd, LogLevel level, std::string_view text);  // REQUIRES: mutex_ held
  void copy_in(const void* from, size_t bytes);                            // REQUIRES: mutex_ held, and room
  void copy_out(void* to, size_t bytes);                                   // REQUIRES: mutex_ held

  const std::unique_ptr<char[]> ring_;     // [kBytes]
  const std::unique_ptr<char[]> in_hand_;  // [kLogLineBytesMax], the writer's: the line that it writes
  bool torn_ = false;                      // the writer's: the last write broke off within a line
  bool may_tell_ = false;                  // the writer's: the last write was taken

  std::mutex mutex_;  // of what follows
  std::condition_variable wake_, written_;
  size_t begin_ = 0, used_ = 0;
  uint64_t missing_[kLogLevels] = {};  // dropped, and no line has told of them yet
  bool gap_ = false;                   // a line was dropped since the last one that was taken in
  bool has_thread_ = false, writing_ = false, ending_ = false;
};

// Lines that were dropped since the process began, by level; kOff: plain text. Any thread.
uint64_t dropped_lines(LogLevel level);

}  // namespace weir
