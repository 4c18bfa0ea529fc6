// text_completion, whole and streamed (both have the same shape). See ResponseFormat.
#pragma once

#include "api/response.h"

namespace weir::api {

class CompletionFormat final : public ResponseFormat {
 public:
  explicit CompletionFormat(const ResponseIdentity& identity)
      : ResponseFormat("text_completion", "text_completion", identity) {}
  void open_chunk(int, std::string*) const override {}
  void text_chunk(int index, std::string_view text, const LogprobText& logprobs, std::string* out) const override;
  void finish_chunk(int index, const char* reason, std::string* out) const override;

 private:
  void append_choice(int index, const FinishedChoice& choice, std::string* out) const override;
  void append_logprobs(const LogprobText& logprobs, std::string* out) const;
};

}  // namespace weir::api
