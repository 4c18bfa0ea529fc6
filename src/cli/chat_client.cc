#include "cli/chat_client.h"

#include <poll.h>

#include <algorithm>
#include <charconv>

#include "base/clock.h"

namespace weir {
namespace {

bool stopped(const ChatTarget& target) { return target.stop != nullptr && target.stop->load(); }

HttpCall call_for(const ChatTarget& target) {
  HttpCall call;
  call.api_key = target.api_key;
  call.stop = target.stop;
  return call;
}

// One answer while it comes in.
struct Incoming {
  const std::function<void(std::string_view)>& piece;
  const SteadyClock clock = {};
  Answer answer = {};
  Status status = {};
  bool complete = false;
  Micros first_us = 0;

  // RETURNS: false when nothing more is wanted.
  bool take(std::string_view data) {
    if (data == "[DONE]") {
      complete = true;
      return false;
    }
    Result<ChatPiece> parsed = parse_chat_piece(data);
    if (!parsed.ok()) {
      status = parsed.status();
      return false;
    }
    if (!parsed->finish_reason.empty()) answer.finish_reason = parsed->finish_reason;
    if (parsed->output_tokens >= 0) answer.output_tokens = parsed->output_tokens;
    if (!parsed->text.empty()) take_text(parsed->text);
    return true;
  }

  void take_text(const std::string& text) {
    const Micros now_us = clock.now_us();
    if (first_us == 0) first_us = now_us;
    answer.seconds = static_cast<double>(now_us - first_us) / 1e6;
    answer.text += text;
    piece(text);
  }
};

// Sleeps in slices so that Ctrl-C ends the pause. RETURNS: false when stopped.
bool pause_ms(const ChatTarget& target, int64_t ms) {
  const SteadyClock clock;
  const Micros until_us = clock.now_us() + ms * 1000;
  while (clock.now_us() < until_us) {
    if (stopped(target)) return false;
    ::poll(nullptr, 0, 50);
  }
  return true;
}

Result<Answer> finish(const HttpReply& reply, Incoming* incoming) {
  if (reply.status != 200) return Status(Code::kUnavailable, error_text(reply.status, reply.body));
  WEIR_RETURN_IF_ERROR(incoming->status);
  const bool ended = incoming->complete || !incoming->answer.finish_reason.empty();
  if (!ended) return data_loss("the server closed the stream before the answer was complete");
  return std::move(incoming->answer);
}

}  // namespace

int64_t retry_pause_ms(const std::string& retry_after) {
  int64_t seconds = 1;
  const char* end = retry_after.data() + retry_after.size();
  const auto [at, error] = std::from_chars(retry_after.data(), end, seconds);
  if (error != std::errc() || at != end) return 1000;
  return std::clamp<int64_t>(seconds, 1, 120) * 1000;
}

Result<std::string> ask_model_name(const ChatTarget& target) {
  HttpCall call = call_for(target);
  call.path = "/models";
  call.silence_ms = 10'000;
  WEIR_ASSIGN_OR_RETURN(const HttpReply reply,
                        http_call(target.server, call, [](std::string_view) { return false; }));
  if (reply.status != 200) return Status(Code::kUnavailable, error_text(reply.status, reply.body));
  return first_model(reply.body);
}

Result<Answer> ask_server(const ChatTarget& target, const std::vector<ChatMessage>& messages,
                          const std::function<void(std::string_view)>& piece) {
  HttpCall call = call_for(target);
  call.method = "POST";
  call.path = "/chat/completions";
  call.json = chat_request_json(target.model, messages, target.sampling);
  for (int attempt = 0;; ++attempt) {
    Incoming incoming{piece};
    const Result<HttpReply> reply =
        http_call(target.server, call, [&](std::string_view data) { return incoming.take(data); });
    if (!reply.ok() && reply.status().code() == Code::kCancelled) {
      incoming.answer.finish_reason = "stopped";
      return std::move(incoming.answer);
    }
    if (!reply.ok()) return reply.status();
    const bool busy = reply->status == 429 || (reply->status == 503 && !reply->retry_after.empty());
    if (!busy || attempt > 0) return finish(*reply, &incoming);
    const int64_t wait_ms = retry_pause_ms(reply->retry_after);
    target.notice(error_text(reply->status, reply->body) + "; trying once more in " +
                  std::to_string(wait_ms / 1000) + " s");
    if (!pause_ms(target, wait_ms)) return Status(Code::kCancelled, "stopped");
  }
}

}  // namespace weir
