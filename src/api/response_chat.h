// chat.completion and chat.completion.chunk. See ResponseFormat.
#pragma once

#include "api/response.h"

namespace weir::api {

class ChatFormat final : public ResponseFormat {
 public:
  explicit ChatFormat(const ResponseIdentity& identity)
      : ResponseFormat("chat.completion", "chat.completion.chunk", identity) {}
  void open_chunk(int index, std::string* out) const override;
  void text_chunk(int index, std::string_view text, const LogprobText& logprobs, std::string* out) const override;
  void finish_chunk(int index, const char* reason, std::string* out) const override;

 private:
  void append_choice(int index, const FinishedChoice& choice, std::string* out) const override;
  void append_logprobs(const LogprobText& logprobs, std::string* out) const;
};

}  // namespace weir::api
