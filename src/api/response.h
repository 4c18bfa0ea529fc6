// ResponseFormat: the exact JSON of OpenAI's answers, whole or as SSE chunks, for one request.
//
// Immutable after construction; the request's io thread. Everything that stays the same within a request is built
// once, so a chunk is a few appends. It formats; it decides nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "api/generate_request.h"
#include "api/logprobs.h"

namespace weir::api {

struct Usage {
  int64_t prompt_tokens = 0;      // each prompt once, whatever n is
  int64_t cached_tokens = 0;      // of these, shared with an earlier text and not computed
  int64_t completion_tokens = 0;  // the token that ended a sequence included
};

// What stays the same in every chunk.
struct ResponseIdentity {
  std::string id;  // "chatcmpl-..." or "cmpl-..."
  std::string model;
  int64_t created = 0;  // unix seconds
  bool with_usage = false;     // stream_options.include_usage
  bool with_logprobs = false;
};

struct FinishedChoice {
  std::string_view text;
  const LogprobText* logprobs;
  const char* finish_reason;  // "stop", "length"
};

class ResponseFormat {
 public:
  static std::unique_ptr<ResponseFormat> create(Endpoint endpoint, const ResponseIdentity& identity);
  virtual ~ResponseFormat() = default;

  // SSE events, appended to *out.
  virtual void open_chunk(int index, std::string* out) const = 0;  // chat: the role; completions: nothing
  virtual void text_chunk(int index, std::string_view text, const LogprobText& logprobs, std::string* out) const = 0;
  virtual void finish_chunk(int index, const char* reason, std::string* out) const = 0;
  void end_of_stream(const Usage& usage, std::string* out) const;  // the usage chunk if asked for, and [DONE]

  // What one turn of the calls above appends for a choice at most, and end_of_stream.
  size_t chunks_bytes_max(std::string_view text, const LogprobText& logprobs) const;
  size_t end_bytes_max() const;

  std::string body(std::span<const FinishedChoice> choices, const Usage& usage) const;
  size_t body_bytes_max(std::span<const FinishedChoice> choices) const;  // body() takes so many bytes, and uses nearly all

 protected:
  ResponseFormat(std::string_view object, std::string_view chunk_object, const ResponseIdentity& identity);
  virtual void append_choice(int index, const FinishedChoice& choice, std::string* out) const = 0;
  void open_event(int index, std::string* out) const;  // up to and with {"index":N,
  void close_event(std::string* out) const;                    // after the choice's closing brace
  const bool with_logprobs_;

 private:
  std::string head(std::string_view object, const ResponseIdentity& identity) const;
  const std::string body_head_;   // {"id":..,"object":..,"created":..,"model":..,"choices":[
  const std::string event_head_;  // data: and the same
  const std::string event_tail_;
  const bool with_usage_;
};

}  // namespace weir::api
