#include "api/response_completion.h"

#include "api/json_out.h"

namespace weir::api {

void CompletionFormat::append_logprobs(const LogprobText& logprobs, std::string* out) const {
  if (!with_logprobs_) {
    out->append(R"("logprobs":null)");
    return;
  }
  out->append(R"("logprobs":{"tokens":[)");
  out->append(logprobs.entries);
  out->append(R"(],"token_logprobs":[)");
  out->append(logprobs.numbers);
  out->append(R"(],"top_logprobs":[)");
  out->append(logprobs.tops);
  out->append(R"(],"text_offset":[)");
  out->append(logprobs.offsets);
  out->append("]}");
}

void CompletionFormat::text_chunk(int index, std::string_view text, const LogprobText& logprobs,
                                  std::string* out) const {
  open_event(index, out);
  out->append(R"("text":)");
  append_json_string(text, out);
  out->push_back(',');
  append_logprobs(logprobs, out);
  out->append(R"(,"finish_reason":null})");
  close_event(out);
}

void CompletionFormat::finish_chunk(int index, const char* reason, std::string* out) const {
  open_event(index, out);
  out->append(R"("text":"","logprobs":null,"finish_reason":)");
  append_json_string(reason, out);
  out->push_back('}');
  close_event(out);
}

void CompletionFormat::append_choice(int index, const FinishedChoice& choice, std::string* out) const {
  out->append(R"({"index":)");
  append_integer(index, out);
  out->append(R"(,"text":)");
  append_json_string(choice.text, out);
  out->push_back(',');
  append_logprobs(*choice.logprobs, out);
  out->append(R"(,"finish_reason":)");
  append_json_string(choice.finish_reason, out);
  out->push_back('}');
}

}  // namespace weir::api
