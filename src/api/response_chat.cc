#include "api/response_chat.h"

#include "api/json_out.h"

namespace weir::api {

void ChatFormat::append_logprobs(const LogprobText& logprobs, std::string* out) const {
  if (!with_logprobs_) {
    out->append(R"("logprobs":null)");
    return;
  }
  out->append(R"("logprobs":{"content":[)");
  out->append(logprobs.entries);
  out->append(R"(],"refusal":null})");
}

void ChatFormat::open_chunk(int index, std::string* out) const {
  open_event(index, out);
  out->append(R"("delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null})");
  close_event(out);
}

void ChatFormat::text_chunk(int index, std::string_view text, const LogprobText& logprobs, std::string* out) const {
  open_event(index, out);
  out->append(R"("delta":{"content":)");
  append_json_string(text, out);
  out->append("},");
  append_logprobs(logprobs, out);
  out->append(R"(,"finish_reason":null})");
  close_event(out);
}

void ChatFormat::finish_chunk(int index, const char* reason, std::string* out) const {
  open_event(index, out);
  out->append(R"("delta":{},"logprobs":null,"finish_reason":)");
  append_json_string(reason, out);
  out->push_back('}');
  close_event(out);
}

void ChatFormat::append_choice(int index, const FinishedChoice& choice, std::string* out) const {
  out->append(R"({"index":)");
  append_integer(index, out);
  out->append(R"(,"message":{"role":"assistant","content":)");
  append_json_string(choice.text, out);
  out->append(R"(,"refusal":null},)");
  append_logprobs(*choice.logprobs, out);
  out->append(R"(,"finish_reason":)");
  append_json_string(choice.finish_reason, out);
  out->push_back('}');
}

}  // namespace weir::api
