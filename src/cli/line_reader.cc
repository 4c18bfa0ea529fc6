#include "cli/line_reader.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace weir {
namespace {

constexpr size_t kInputBytesMax = 1 << 20;
constexpr int kSliceMs = 200;
constexpr int kPasteMs = 20;  // a paste arrives faster than anyone types the next line

}  // namespace

bool LineReader::more_within_ms(int ms) const {
  pollfd watched{fd_, POLLIN, 0};
  return ::poll(&watched, 1, ms) > 0;
}

LineReader::Event LineReader::fill() {
  for (;;) {
    if (interrupted_->load()) return Event::kInterrupted;
    if (!more_within_ms(kSliceMs)) continue;
    char chunk[4096];
    const ssize_t count = ::read(fd_, chunk, sizeof chunk);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      ended_ = true;
      return Event::kEnd;
    }
    buffer_.append(chunk, static_cast<size_t>(count));
    return Event::kInput;
  }
}

bool LineReader::take_line(std::string* line) {
  size_t end = buffer_.find('\n');
  if (end == std::string::npos && buffer_.size() < kInputBytesMax && !(ended_ && !buffer_.empty())) return false;
  if (end == std::string::npos || end > kInputBytesMax) end = std::min(buffer_.size(), kInputBytesMax);
  *line = buffer_.substr(0, end);
  buffer_.erase(0, end + 1);
  if (!line->empty() && line->back() == '\r') line->pop_back();
  return true;
}

LineReader::Event LineReader::next(std::string* input) {
  while (!take_line(input)) {
    if (ended_) return Event::kEnd;
    const Event event = fill();
    if (event == Event::kInterrupted) return event;
  }
  std::string line;
  while (terminal_ && !ended_ && input->size() < kInputBytesMax) {
    if (take_line(&line)) {
      *input += "\n" + line;
    } else if (!more_within_ms(kPasteMs) || fill() != Event::kInput) {
      break;
    }
  }
  return Event::kInput;
}

}  // namespace weir
