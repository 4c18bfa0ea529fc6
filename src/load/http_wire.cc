#include "load/http_wire.h"

#include <algorithm>
#include <charconv>

namespace weir {
namespace {

constexpr size_t kLineBytesMax = 4096;  // chunk sizes and trailers
constexpr int kInterimMax = 16;         // 1xx heads before the answer

std::string lower(std::string_view text) {
  std::string result;
  for (char c : text) result += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return result;
}

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

// reason: the WireFault that load tests count.
Status broken(const char* what, std::string_view reason) {
  return Status(Code::kDataLoss, std::string("the server's answer is broken: ") + what, reason);
}

// "HTTP/1.1 200 OK" -> 200, or 0.
int status_of(std::string_view line) {
  if (line.substr(0, 7) != "HTTP/1." || line.size() < 12 || line[8] != ' ') return 0;
  int status = 0;
  const auto [end, error] = std::from_chars(line.data() + 9, line.data() + 12, status);
  return error == std::errc() && end == line.data() + 12 && status >= 100 && status < 600 ? status : 0;
}

// RETURNS: false when the text is no number in the base, or does not end where it should.
bool parse_size(std::string_view text, int base, uint64_t* size) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *size, base);
  return error == std::errc() && end == text.data() + text.size() && *size < (uint64_t{1} << 62);
}

}  // namespace

std::string ReplyHead::field(const std::string& name) const {
  const auto found = fields.find(name);
  return found == fields.end() ? "" : found->second;
}

Status ReplyParser::parse_head(std::string_view text) {
  head_ = {};
  delimited_ = text.substr(0, 8) == "HTTP/1.1";
  size_t end = text.find('\n');
  head_.status = status_of(trimmed(text.substr(0, end)));
  if (head_.status == 0) return broken("it does not begin with an HTTP/1 status line", wire_fault::kStatusLine);
  while (end != std::string_view::npos) {
    const size_t begin = end + 1;
    end = text.find('\n', begin);
    const std::string_view line = text.substr(begin, end == std::string_view::npos ? end : end - begin);
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    head_.fields[lower(trimmed(line.substr(0, colon)))] = std::string(trimmed(line.substr(colon + 1)));
  }
  return choose_body();
}

Status ReplyParser::choose_body() {
  if (head_.status < 200) {  // the state stays kHead
    if (++interim_count_ > kInterimMax)
      return broken("it holds nothing but interim heads", wire_fault::kStatusLine);
    return ok_status();
  }
  if (head_.status == 204 || head_.status == 304) {
    state_ = State::kDone;
  } else if (lower(head_.field("transfer-encoding")) == "chunked") {
    state_ = State::kChunkSize;
  } else if (head_.fields.count("content-length") != 0) {
    if (!parse_size(head_.field("content-length"), 10, &left_))
      return broken("Content-Length is no number", wire_fault::kContentLength);
    state_ = left_ == 0 ? State::kDone : State::kCounted;
  } else {
    state_ = State::kUntilClose;
    delimited_ = false;
  }
  return ok_status();
}

Result<size_t> ReplyParser::step_head(std::string_view input) {
  const size_t crlf = input.find("\r\n\r\n");
  if (crlf == std::string_view::npos || crlf > kReplyHeadBytesMax) {
    if (input.size() > kReplyHeadBytesMax)
      return broken("its head is larger than 64 KiB", wire_fault::kHeadTooLarge);
    return size_t{0};
  }
  WEIR_RETURN_IF_ERROR(parse_head(input.substr(0, crlf)));
  return crlf + 4;
}

Status ReplyParser::take_line(std::string_view line) {
  if (state_ == State::kChunkEnd) {
    state_ = State::kChunkSize;
    return line.empty() ? ok_status() : broken("a chunk is longer than its size", wire_fault::kChunk);
  }
  if (state_ == State::kTrailers) {
    if (line.empty()) state_ = State::kDone;
    return ok_status();
  }
  if (!parse_size(trimmed(line.substr(0, line.find(';'))), 16, &left_))
    return broken("a chunk size is no number", wire_fault::kChunk);
  state_ = left_ == 0 ? State::kTrailers : State::kChunkData;
  return ok_status();
}

Result<size_t> ReplyParser::step_line(std::string_view input) {
  const size_t end = input.find('\n');
  if (end == std::string_view::npos || end > kLineBytesMax) {
    if (input.size() > kLineBytesMax) return broken("a chunk's line is longer than 4 KiB", wire_fault::kChunk);
    return size_t{0};
  }
  WEIR_RETURN_IF_ERROR(take_line(trimmed(input.substr(0, end))));
  return end + 1;
}

size_t ReplyParser::step_data(std::string_view input) {
  if (state_ == State::kUntilClose) {
    body_(input);
    return input.size();
  }
  const size_t count = static_cast<size_t>(std::min<uint64_t>(left_, input.size()));
  body_(input.substr(0, count));
  left_ -= count;
  if (left_ == 0) state_ = state_ == State::kCounted ? State::kDone : State::kChunkEnd;
  return count;
}

Result<size_t> ReplyParser::step(std::string_view input) {
  switch (state_) {
    case State::kHead:
      return step_head(input);
    case State::kCounted:
    case State::kUntilClose:
    case State::kChunkData:
      return step_data(input);
    case State::kChunkSize:
    case State::kChunkEnd:
    case State::kTrailers:
      return step_line(input);
    case State::kDone:
      overrun_ = true;
      break;
  }
  return input.size();  // what follows a complete answer is not looked at
}

Status ReplyParser::feed(std::string_view bytes) {
  if (!pending_.empty()) {  // rare: a head or a chunk's line came in pieces
    pending_.append(bytes);
    bytes = pending_;
  }
  size_t used = 0;
  while (used < bytes.size()) {
    WEIR_ASSIGN_OR_RETURN(const size_t taken, step(bytes.substr(used)));
    if (taken == 0) break;
    used += taken;
  }
  if (pending_.empty()) {
    pending_.assign(bytes.substr(used));
  } else {
    pending_.erase(0, used);
  }
  return ok_status();
}

bool ReplyParser::reusable() const {
  return state_ == State::kDone && delimited_ && !overrun_ && lower(head_.field("connection")) != "close";
}

Status ReplyParser::end() {
  if (state_ == State::kUntilClose) state_ = State::kDone;
  if (state_ == State::kDone) return ok_status();
  return Status(Code::kDataLoss, "the server closed the connection before its answer was complete",
                wire_fault::kCut);
}

Status EventSplitter::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    if (after_cr_ && bytes[0] == '\n') bytes.remove_prefix(1);
    after_cr_ = false;
    const size_t end = std::min(bytes.find_first_of("\r\n"), bytes.size());
    if (line_.size() + data_.size() + end > kEventBytesMax) {
      return broken("an event is larger than 1 MiB", wire_fault::kEventTooLarge);
    }
    if (end == bytes.size()) {
      line_.append(bytes);
      return ok_status();
    }
    after_cr_ = bytes[end] == '\r';
    if (line_.empty()) {
      take_line(bytes.substr(0, end));
    } else {
      line_.append(bytes.substr(0, end));
      take_line(line_);
      line_.clear();
    }
    bytes.remove_prefix(end + 1);
  }
  return ok_status();
}

void EventSplitter::take_line(std::string_view line) {
  if (line.empty()) {
    if (has_data_) event_(data_);
    data_.clear();
    has_data_ = false;
    return;
  }
  const std::string_view name = line.substr(0, line.find(':'));
  if (name == "data") {
    std::string_view value = line.substr(std::min(line.size(), name.size() + 1));
    if (!value.empty() && value[0] == ' ') value.remove_prefix(1);
    if (has_data_) data_ += '\n';
    data_ += value;
    has_data_ = true;
  }
}

}  // namespace weir
