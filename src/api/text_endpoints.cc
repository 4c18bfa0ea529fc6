#include "api/text_endpoints.h"

#include "api/contain.h"
#include "api/host_bytes.h"
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
  TextJob(Reply r, const std::shared_ptr<Account>& account)
      : reply(std::move(r)), text_charge(account, HostKind::kRequest), ids_charge(account, HostKind::kPromptIds),
        body_charge(account, HostKind::kOutput) {}

  Reply reply;
  Charge text_charge, ids_charge, body_charge;
  std::string text;            // prompt, or the template's context
  bool is_chat = false;
  bool add_special_tokens = true;
  bool parse_special = true;
  bool open = false;  // the last message of a chat is to be continued
  std::vector<int32_t> tokens;  // in or out
  std::optional<ApiError> error;
  TextQuota::Ticket ticket;
};

void read_tokenize(const ApiContext& context, Fields* f, TextJob* job) {
  job->is_chat = f->has("messages");
  if (job->is_chat == f->has("prompt")) return f->fail("prompt", "or messages is required, and not both");
  job->add_special_tokens = f->flag("add_special_tokens", f->flag("add_special", !job->is_chat));
  job->parse_special = f->flag("parse_special", !job->is_chat || context.parse_special_in_content);
  if (job->is_chat) {
    ChatInput input = chat_input({context.bos_token, context.eos_token}, f);
    job->text = std::move(input.context_json);
    job->open = input.open;
  } else {
    job->text = f->text("prompt").value_or("");
  }
}

void read_detokenize(const ApiContext& context, Fields* f, TextJob* job) {
  const auto* tokens = f->array("tokens");
  if (tokens == nullptr) return f->fail("tokens", "is required");
  job->tokens = read_token_ids(*tokens, "tokens", context.tokenizer->vocab_size(), f);
}

// Sets the job's error where bytes were refused. RETURNS: true where they were granted.
bool granted(Grant grant, TextJob* job) {
  if (grant == Grant::kYes) return true;
  job->error = host_refusal(grant, HostMoment::kBeforeWork, *job->ids_charge.account());
  return false;
}

// The body's charge stays until what was made from it is counted.
// RETURNS: null after it has answered with the error.
template <class Read>
std::shared_ptr<TextJob> read_job(Service* service, int32_t tenant, http::Request* request, Reply reply, Read read) {
  const std::shared_ptr<Account> account = account_of(*request, &service->ledger());
  auto job = std::make_shared<TextJob>(std::move(reply), account);
  if (const Grant grant = join_tenant(account.get(), tenant); grant != Grant::kYes) {
    job->reply.error(host_refusal(grant, HostMoment::kBeforeWork, service->ledger(), tenant));
    return nullptr;
  }
  auto json = JsonBody::parse(request->body);
  if (!json.ok()) {
    job->reply.error({.status = json.status()});
    return nullptr;
  }
  std::string().swap(request->body);
  Fields fields(json->object());
  read(&fields, job.get());
  request->charge.release();
  if (!fields.ok()) {
    job->error = *fields.error();
  } else if (granted(job->text_charge.try_grow(sizeof(TextJob) + text_bytes(job->text)), job.get())) {
    (void)granted(job->ids_charge.try_grow(job->tokens.capacity() * sizeof(int32_t)), job.get());
  }
  if (!job->error) return job;
  job->reply.error(*job->error);
  return nullptr;
}

// The plan's line "parsing" has room to tokenise what a session can hold; what a longer text takes is the request's.
uint64_t tokenising_bytes(const ApiContext& context, size_t text_bytes) {
  const uint64_t planned = static_cast<uint64_t>(context.session_tokens) * context.token_bytes_max;
  return text_bytes > planned ? (text_bytes - planned) * kTokenisingFactor : 0;
}

std::variant<std::vector<int32_t>, ApiError> encode_job(const ApiContext& context, const TextJob& job) {
  if (job.is_chat) {
    return encode_chat(context, job.text,
                       {.open = job.open, .add_special_tokens = job.add_special_tokens, .parse_special = job.parse_special});
  }
  auto ids = context.tokenizer->encode(job.text, job.add_special_tokens, job.parse_special);
  if (!ids.ok()) return bad_param("prompt", ids.status().message());
  return std::move(*ids);
}

void tokenize(const ApiContext& context, TextJob* job) {
  const uint64_t work = tokenising_bytes(context, job->text.size());
  if (!granted(job->text_charge.try_grow(work), job)) return;
  auto made = encode_job(context, *job);
  job->text_charge.shrink(work);
  if (auto* error = std::get_if<ApiError>(&made)) {
    job->error = std::move(*error);
    return;
  }
  auto& ids = std::get<std::vector<int32_t>>(made);
  if (granted(job->ids_charge.try_settle(ids.capacity() * sizeof(int32_t)), job)) job->tokens = std::move(ids);
}

std::string tokens_body(int64_t session_tokens, TextJob* job) {
  constexpr size_t kTokenJsonBytes = 12, kFrameBytes = 128;
  std::string out;
  if (!granted(make_room(&out, kFrameBytes + kTokenJsonBytes * job->tokens.size(), &job->body_charge), job)) return out;
  out.append(R"({"count":)");
  append_integer(static_cast<int64_t>(job->tokens.size()), &out);
  out.append(R"(,"max_model_len":)");
  append_integer(session_tokens, &out);
  out.append(R"(,"tokens":[)");
  for (size_t i = 0; i < job->tokens.size(); ++i) {
    if (i > 0) out.push_back(',');
    append_integer(job->tokens[i], &out);
  }
  out.append("]}");
  return out;
}

std::string tokenized_body(const ApiContext& context, TextJob* job) {
  tokenize(context, job);
  return job->error ? std::string() : tokens_body(context.session_tokens, job);
}

// No token gives more text than three times what stands in the vocabulary for it (a byte that is no character becomes
// U+FFFD), so the decoder's room can be charged before it works.
std::string detokenized_body(const ApiContext& context, TextJob* job) {
  constexpr size_t kFrameBytes = 64;
  uint64_t most = 0;
  for (const int32_t id : job->tokens) most += 3 * context.tokenizer->id_to_token(id).size();
  if (!granted(job->text_charge.try_grow(most), job)) return {};
  const std::string text = context.tokenizer->decode(job->tokens, false);
  std::string out;
  if (!granted(make_room(&out, kFrameBytes + json_string_bytes(text), &job->body_charge), job)) return out;
  out.append(R"({"prompt":)");
  append_json_string(text, &out);
  out.push_back('}');
  return out;
}

// Only the charge of the body waits for the last byte; the callback must not hold the exchange that holds it.
void answer(TextJob* job, std::string body) {
  if (job->error) return job->reply.error(*job->error);
  job->reply.exchange().on_done([charge = std::move(job->body_charge)]() mutable { charge.release(); });
  job->reply.json(200, std::move(body), http::ChargedBy::kCaller);
}

void finish(TextJob* job, std::string body, Thrown thrown) {
  if (thrown == Thrown::kNothing) thrown = contain([&] { answer(job, std::move(body)); });
  if (thrown != Thrown::kNothing) job->reply.end_after_throw(thrown);
}

// Runs `work` on the pool; it makes the body, unless it sets job->error. The answer goes out on the io thread.
template <class Work>
void run_on_pool(Service* service, int32_t tenant, std::shared_ptr<TextJob> job, Work work) {
  job->ticket = service->text_quota.try_enter(tenant, !service->context.tenants->directory()->asks_for_keys());
  http::Callback task = [service, job, work] {
    auto body = std::make_shared<std::string>();
    const Thrown thrown = contain([&] { *body = work(service->context, job.get()); });
    std::string().swap(job->text);
    std::vector<int32_t>().swap(job->tokens);
    job->text_charge.release();
    job->ids_charge.release();
    job->ticket = {};
    job->reply.exchange().post([job, body, thrown] { finish(job.get(), std::move(*body), thrown); });
  };
  if (job->ticket && service->text_pool.try_run(std::move(task))) return;
  job->reply.error({.status = {Code::kResourceExhausted, "too many texts wait to be tokenised; try again later",
                               refusal_name(Refusal::kTextPoolFull)}});
}

}  // namespace

void answer_tokenize(Service* service, int32_t tenant, http::Request request, Reply reply) {
  const auto read = [&](Fields* f, TextJob* job) { read_tokenize(service->context, f, job); };
  if (auto job = read_job(service, tenant, &request, std::move(reply), read)) run_on_pool(service, tenant, std::move(job), tokenized_body);
}

void answer_detokenize(Service* service, int32_t tenant, http::Request request, Reply reply) {
  const auto read = [&](Fields* f, TextJob* job) { read_detokenize(service->context, f, job); };
  if (auto job = read_job(service, tenant, &request, std::move(reply), read)) run_on_pool(service, tenant, std::move(job), detokenized_body);
}

}  // namespace weir::api
