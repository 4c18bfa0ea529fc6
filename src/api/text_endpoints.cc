#include "api/text_endpoints.h"

#include "api/json_in.h"
#include "api/json_out.h"
#include "api/parse_chat.h"
#include "api/prompts.h"
#include "api/service.h"
#include "text/tokenizer.h"

namespace weir::api {
namespace {

// One request of either endpoint between its threads.
struct TextJob {
  Reply reply;
  http::BodyCharge charge;
  std::string text;            // prompt, or the template's context
  bool is_chat = false;
  bool add_special_tokens = true;
  std::vector<int32_t> tokens;  // in or out
  std::optional<ApiError> error;
};

void read_tokenize(const ApiContext& context, Fields* f, TextJob* job) {
  job->is_chat = f->has("messages");
  if (job->is_chat == f->has("prompt")) return f->fail("prompt", "or messages is required, and not both");
  job->add_special_tokens = f->flag("add_special_tokens", !job->is_chat);
  if (job->is_chat) {
    job->text = chat_context({context.bos_token, context.eos_token}, f);
  } else {
    job->text = f->text("prompt").value_or("");
  }
}

void read_detokenize(const ApiContext& context, Fields* f, TextJob* job) {
  const auto* tokens = f->array("tokens");
  if (tokens == nullptr) return f->fail("tokens", "is required");
  job->tokens = read_token_ids(*tokens, "tokens", context.tokenizer->vocab_size(), f);
}

// RETURNS: false after it has answered with the error.
template <class Read>
bool read_body(const std::string& body, Reply* reply, Read read) {
  auto json = JsonBody::parse(body);
  if (!json.ok()) {
    reply->error({.status = json.status()});
    return false;
  }
  Fields fields(json->object());
  read(&fields);
  if (!fields.ok()) reply->error(*fields.error());
  return fields.ok();
}

void tokenize(const ApiContext& context, TextJob* job) {
  auto ids = job->is_chat ? encode_chat(context, job->text, job->add_special_tokens)
                          : context.tokenizer->encode(job->text, job->add_special_tokens);
  if (ids.ok()) {
    job->tokens = std::move(*ids);
  } else {
    job->error = bad_param(job->is_chat ? "messages" : "prompt", ids.status().message());
  }
}

std::string tokens_body(const std::vector<int32_t>& tokens, int64_t session_tokens) {
  std::string out = R"({"count":)";
  append_integer(static_cast<int64_t>(tokens.size()), &out);
  out.append(R"(,"max_model_len":)");
  append_integer(session_tokens, &out);
  out.append(R"(,"tokens":[)");
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0) out.push_back(',');
    append_integer(tokens[i], &out);
  }
  out.append("]}");
  return out;
}

// Runs `work` on the pool; it makes the body, unless it sets job->error. The answer goes out on the io thread.
template <class Work>
void run_on_pool(Service* service, std::shared_ptr<TextJob> job, Work work) {
  http::Callback task = [service, job, work] {
    auto body = std::make_shared<std::string>(work(service->context, job.get()));
    job->charge = {};
    job->reply.exchange().post([job, body] {
      if (job->error) return job->reply.error(*job->error);
      job->reply.json(200, std::move(*body));
    });
  };
  if (service->text_pool.try_run(std::move(task))) return;
  job->reply.error({.status = {Code::kResourceExhausted, "too many texts wait to be tokenised; try again later",
                               refusal_name(Refusal::kTextPoolFull)}});
}

}  // namespace

void answer_tokenize(Service* service, http::Request request, Reply reply) {
  auto job = std::make_shared<TextJob>(TextJob{.reply = std::move(reply), .charge = std::move(request.charge)});
  const auto read = [&](Fields* f) { read_tokenize(service->context, f, job.get()); };
  if (!read_body(request.body, &job->reply, read)) return;
  run_on_pool(service, job, [](const ApiContext& context, TextJob* j) {
    tokenize(context, j);
    return j->error ? std::string() : tokens_body(j->tokens, context.session_tokens);
  });
}

void answer_detokenize(Service* service, http::Request request, Reply reply) {
  auto job = std::make_shared<TextJob>(TextJob{.reply = std::move(reply), .charge = std::move(request.charge)});
  const auto read = [&](Fields* f) { read_detokenize(service->context, f, job.get()); };
  if (!read_body(request.body, &job->reply, read)) return;
  run_on_pool(service, job, [](const ApiContext& context, TextJob* j) {
    std::string out = R"({"prompt":)";
    append_json_string(context.tokenizer->decode(j->tokens, false), &out);
    out.push_back('}');
    return out;
  });
}

}  // namespace weir::api
