#include "api/fake_http_test.h"

namespace weir::api {

void FakeLoop::post(http::Callback callback) {
  const AllocatingFor fakes = for_fakes();
  std::lock_guard lock(mutex_);
  queue_.push_back(std::move(callback));
}

int FakeLoop::run() {
  std::deque<http::Callback> now;
  {
    std::lock_guard lock(mutex_);
    now.swap(queue_);
  }
  const AllocatingFor code = for_code();
  for (auto& callback : now) std::exchange(callback, http::Callback())();  // what it held goes at once, as in http
  return static_cast<int>(now.size());
}

void FakeExchange::respond(int code, std::string_view type, std::string text, http::Headers more, http::ChargedBy by) {
  const AllocatingFor fakes = for_fakes();
  if (gone_ != http::Gone::kNo) return;
  EXPECT_EQ(++answers, 1);
  status = code;
  content_type = type;
  body = std::move(text);
  headers = std::move(more);
  charged_by = by;
  ended = true;
  if (!hold_last_byte_) finish();
}

void FakeExchange::begin_stream(int code, std::string_view type, http::Headers more) {
  const AllocatingFor fakes = for_fakes();
  if (gone_ != http::Gone::kNo) return;
  EXPECT_EQ(++answers, 1);
  status = code;
  content_type = type;
  headers = std::move(more);
}

bool FakeExchange::write(std::string_view bytes) {
  const AllocatingFor fakes = for_fakes();
  if (gone_ != http::Gone::kNo) return true;
  EXPECT_EQ(answers, 1);
  EXPECT_FALSE(ended);
  if (refuses_long_writes && bytes.size() > 500) return false;
  body.append(bytes);
  return true;
}

void FakeExchange::end_stream() {
  const AllocatingFor fakes = for_fakes();
  if (gone_ != http::Gone::kNo) return;
  EXPECT_FALSE(ended);
  ended = true;
  if (!hold_last_byte_) finish();
}

void FakeExchange::post(http::Callback callback) {
  loop_->post([self = shared_from_this(), callback = std::move(callback)]() mutable { callback(); });
}

void FakeExchange::finish() {
  const AllocatingFor fakes = for_fakes();
  if (finishing_) return;
  finishing_ = true;
  loop_->post([self = shared_from_this()] {
    self->done = true;
    http::Callback callback = std::move(self->on_done_);
    if (callback) callback();
    self->on_gone_ = nullptr;
  });
}

void FakeExchange::leave(http::Gone why) {
  const AllocatingFor fakes = for_fakes();
  if (finishing_ || gone_ != http::Gone::kNo) return;
  gone_ = why;
  loop_->post([self = shared_from_this(), why] {
    http::GoneCallback callback = std::move(self->on_gone_);
    if (callback) callback(why);
  });
  finish();
}

void FakeExchange::send_last_byte() {
  EXPECT_TRUE(ended);
  finish();
}

std::string FakeExchange::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

std::vector<boost::json::value> FakeExchange::events() const {
  std::vector<boost::json::value> out;
  std::string_view rest = body;
  while (!rest.empty()) {
    const size_t end = rest.find("\n\n");
    EXPECT_NE(end, std::string_view::npos) << rest;
    if (end == std::string_view::npos) break;
    if (rest[0] == ':') {
      rest.remove_prefix(end + 2);
      continue;
    }
    EXPECT_EQ(rest.substr(0, 6), "data: ");
    const std::string_view data = rest.substr(6, end - 6);
    EXPECT_EQ(data.find('\n'), std::string_view::npos);
    out.push_back(data == "[DONE]" ? boost::json::value("[DONE]") : boost::json::parse({data.data(), data.size()}));
    rest.remove_prefix(end + 2);
  }
  return out;
}

}  // namespace weir::api
