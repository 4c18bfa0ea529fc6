// TraceLines: the lines of a trace with their numbers, each bounded. Private to the trace readers; one thread.
#pragma once

#include <fmt/format.h>

#include <istream>
#include <string>

#include "sim/trace.h"

namespace weir::sim {

class TraceLines {
 public:
  TraceLines(std::istream* text, std::string where) : text_(text), where_(std::move(where)) {}

  // The next line that is not empty, without its end. RETURNS: false at the end, or when status() is not ok.
  bool next(std::string* line) {
    line->clear();
    for (int c = text_->get(); c != std::istream::traits_type::eof(); c = text_->get()) {
      if (c != '\n') {
        if (line->size() == kTraceLineBytesMax) return too_long();
        line->push_back(static_cast<char>(c));
        continue;
      }
      ++number_;
      strip(line);
      if (!line->empty()) return true;
    }
    ++number_;
    strip(line);
    return !line->empty();
  }
  const Status& status() const { return status_; }
  Status error(const std::string& what) const {
    return invalid_argument(fmt::format("{}:{}: {}", where_, number_, what));
  }
  Status empty() const { return invalid_argument(where_ + ": the trace holds no request"); }

 private:
  static void strip(std::string* line) {
    while (!line->empty() && (line->back() == '\r' || line->back() == ' ')) line->pop_back();
  }
  bool too_long() {
    ++number_;
    status_ = error(fmt::format("the line is longer than {} bytes; this is no trace", kTraceLineBytesMax));
    return false;
  }

  std::istream* const text_;
  const std::string where_;
  int64_t number_ = 0;
  Status status_;
};

// What every trace's request must keep: times in order and not negative, lengths in range. Appends it to the load.
// previous_us: of the trace's own clock, before the speed is applied; moved on.
inline Status append_request(const TraceLines& lines, const TraceOptions& options, int64_t time_us, int64_t prompt,
                             int64_t output, int64_t* previous_us, Load* load) {
  if (time_us < 0) return lines.error("the time is negative");
  if (time_us < *previous_us) {
    return lines.error(fmt::format("the time goes back by {} us; sort the trace by time", *previous_us - time_us));
  }
  if (prompt < 1 || prompt > kRequestTokensMax) {
    return lines.error(fmt::format("a prompt of {} tokens; write 1 to {}", prompt, kRequestTokensMax));
  }
  if (output < 1 || output > kRequestTokensMax) {
    return lines.error(fmt::format("an answer of {} tokens; write 1 to {}", output, kRequestTokensMax));
  }
  if (static_cast<int64_t>(load->requests.size()) >= kRequestsMax) {
    return lines.error(fmt::format("more than {} requests; use --requests or a shorter trace", kRequestsMax));
  }
  *previous_us = time_us;
  SimRequest request;
  request.arrival_us = static_cast<Micros>(static_cast<double>(time_us) / options.speed);
  request.prompt_tokens = static_cast<int32_t>(prompt);
  request.output_tokens = static_cast<int32_t>(output);
  load->requests.push_back(request);
  return ok_status();
}

}  // namespace weir::sim
