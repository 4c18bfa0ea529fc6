#include "server/storm_client.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "server/client.h"

namespace weir::testing {
namespace {

constexpr int64_t kPatienceMs = 120'000;  // an answer that takes longer is a fault
constexpr int kSmallBuffer = 4096;        // of those that read slowly, so that the kernel does not hide it

int status_of(const std::string& answer) {
  return answer.rfind("HTTP/1.1 ", 0) == 0 ? std::atoi(answer.c_str() + 9) : 0;
}

}  // namespace

StormClient::StormClient(StormRequest request, int port, int64_t now_ms)
    : request_(std::move(request)), begun_ms_(now_ms) {
  fd_ = connect_to(port, request_.bytes_per_read > 0 ? kSmallBuffer : 0);
  if (fd_ >= 0) fcntl(fd_, F_SETFL, fcntl(fd_, F_GETFL) | O_NONBLOCK);
}

StormClient::StormClient(StormClient&& other) noexcept { *this = std::move(other); }

StormClient& StormClient::operator=(StormClient&& other) noexcept {
  close(false);
  request_ = std::move(other.request_);
  fd_ = std::exchange(other.fd_, -1);
  sent_ = other.sent_;
  answer_ = std::move(other.answer_);
  closed_ = other.closed_;
  lost_ = other.lost_;
  begun_ms_ = other.begun_ms_;
  sent_ms_ = other.sent_ms_;
  next_read_ms_ = other.next_read_ms_;
  outcome_ = other.outcome_;
  return *this;
}

void StormClient::close(bool reset) {
  if (fd_ < 0) return;
  const linger now{1, 0};  // unread and unsent bytes are dropped, RST instead of FIN
  if (reset) setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  ::close(std::exchange(fd_, -1));
}

short StormClient::wants(int64_t now_ms) const {
  short events = 0;
  if (!all_sent()) events |= POLLOUT;
  if (request_.reads && now_ms >= next_read_ms_) events |= POLLIN;
  return events;
}

void StormClient::send_more(int64_t now_ms) {
  while (!all_sent()) {
    const ssize_t count = ::send(fd_, request_.bytes.data() + sent_, request_.send_bytes - sent_, MSG_NOSIGNAL);
    if (count > 0) sent_ += static_cast<size_t>(count);
    if (count > 0) continue;
    if (errno != EAGAIN) sent_ = request_.send_bytes;  // the server has closed; it may have answered before
    break;
  }
  if (all_sent()) sent_ms_ = now_ms;
}

void StormClient::read_more(int64_t now_ms) {
  char buffer[16384];
  const size_t most =
      request_.bytes_per_read > 0 ? std::min(request_.bytes_per_read, sizeof buffer) : sizeof buffer;
  const ssize_t count = recv(fd_, buffer, most, 0);
  if (count > 0) answer_.append(buffer, static_cast<size_t>(count));
  if (count == 0) closed_ = true;
  if (count < 0 && errno != EAGAIN) lost_ = true;
  next_read_ms_ = now_ms + request_.read_pause_ms;
}

bool StormClient::must_leave(int64_t now_ms) const {
  if (request_.leave_after_ms >= 0 && sent_ms_ >= 0 && now_ms >= sent_ms_ + request_.leave_after_ms) return true;
  return request_.leave_after_bytes >= 0 && static_cast<int64_t>(answer_.size()) >= request_.leave_after_bytes;
}

bool StormClient::end(StormOutcome outcome) {
  outcome_ = outcome;
  close(outcome == StormOutcome::kLeft && request_.reset);
  return true;
}

bool StormClient::turn(short events, int64_t now_ms) {
  if (!all_sent() && (events & (POLLOUT | POLLERR | POLLHUP))) send_more(now_ms);
  if (must_leave(now_ms)) return end(StormOutcome::kLeft);
  if (!request_.reads) return (events & (POLLERR | POLLHUP)) ? end(StormOutcome::kCutOff) : false;
  if ((events & (POLLIN | POLLERR | POLLHUP)) && now_ms >= next_read_ms_) read_more(now_ms);
  if (closed_ || lost_) return end(judge());
  if (must_leave(now_ms)) return end(StormOutcome::kLeft);
  return now_ms - begun_ms_ > kPatienceMs ? end(StormOutcome::kFault) : false;
}

// 200: a stream ends with its mark or names an error; a whole body is as long as it was announced.
StormOutcome StormClient::judge_success() const {
  if (!request_.may_succeed) return StormOutcome::kFault;
  const size_t head = answer_.find("\r\n\r\n");
  if (head == std::string::npos) return StormOutcome::kFault;
  if (!request_.stream) {
    const size_t at = answer_.find("ontent-Length: ");
    if (at > head) return StormOutcome::kFault;
    return answer_.size() - head - 4 == std::strtoull(answer_.c_str() + at + 15, nullptr, 10)
               ? StormOutcome::kAnswered
               : StormOutcome::kFault;
  }
  if (answer_.find("data: {\"error\"") != std::string::npos) return StormOutcome::kEndedByError;
  return answer_.find("data: [DONE]") != std::string::npos ? StormOutcome::kAnswered : StormOutcome::kFault;
}

StormOutcome StormClient::judge() const {
  const int status = status_of(answer_);
  if (request_.bytes_per_read > 0 && (lost_ || status == 0)) return StormOutcome::kCutOff;
  if (status == 200) return lost_ ? StormOutcome::kFault : judge_success();
  if (status == 429) return StormOutcome::kRefused;
  if (status == 501 && !request_.may_succeed) return StormOutcome::kBad;  // a method nobody knows
  if (status == 503) return StormOutcome::kUnavailable;
  if (status >= 400 && status < 500 &&
      !(request_.asks_tokens && all_sent() && request_.leave_after_ms < 0 &&
        request_.send_bytes == request_.bytes.size())) {
    return StormOutcome::kBad;
  }
  // Closed with bytes of ours unread, the answer is lost on the way: a body that is too large.
  if (status == 0 && !request_.may_succeed && lost_) return StormOutcome::kCutOff;
  return StormOutcome::kFault;
}

std::string StormClient::fault() const {
  return std::string(request_.kind) +
         (closed_ ? ", closed"
          : lost_ ? ", connection lost"
                  : ", no end") +
         " after " + std::to_string(answer_.size()) + " bytes: " + answer_.substr(0, 15) + " ... " +
         answer_.substr(answer_.size() - std::min<size_t>(answer_.size(), 300));
}

}  // namespace weir::testing
