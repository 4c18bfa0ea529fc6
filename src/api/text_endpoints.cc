#include "api/text_endpoints.h"

#include <atomic>

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

struct TextJob;
using ReadFields = void (*)(const ApiContext&, Fields*, TextJob*);
using MakeBody = std::string (*)(const ApiContext&, TextJob*);

// One request of either endpoint between its threads.
struct TextJob {
  TextJob(Reply r, const std::shared_ptr<Account>& account)
      : reply(std::move(r)), text_charge(account, HostKind::kRequest), ids_charge(account, HostKind::kPromptIds),
        body_charge(account, HostKind::kOutput) {}

  Reply reply;
  Charge text_charge, ids_charge, body_charge;
  ReadFields read = nullptr;
  MakeBody work = nullptr;
  std::string unread;  // a large body, until the pool has read it
  http::ByteCharge unread_charge;
  uint64_t work_bytes = 0;     // planned for it (text_work.h)
  std::string text;            // prompt, or the template's context
  bool is_chat = false;
  bool add_special_tokens = true;
  bool parse_special = true;
  bool open = false;            // the last message of a chat is to be continued
  std::vector<int32_t> tokens;  // in or out
  std::optional<ApiError> error;
  TextQuota::Ticket ticket;
  std::atomic<bool> unwanted{false};  // the client left
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

// The body's charge stays, and as much again is charged, until what was made from it is counted. MODIFIES: job; its
// error where the body cannot be read. RETURNS: whether it could.
bool read_body(const ApiContext& context, std::string body, http::ByteCharge charge, TextJob* job) {
  if (!granted(job->text_charge.try_grow(sizeof(TextJob) + body.size()), job)) return false;
  auto json = JsonBody::parse(body);
  std::string().swap(body);
  if (!json.ok()) {
    job->error = ApiError{.status = json.status()};
    return false;
  }
  Fields fields(json->object());
  job->read(context, &fields, job);
  charge.release();
  if (!fields.ok()) {
    job->error = *fields.error();
  } else if (granted(job->text_charge.try_settle(sizeof(TextJob) + text_bytes(job->text)), job)) {
    (void)granted(job->ids_charge.try_grow(job->tokens.capacity() * sizeof(int32_t)), job);
  }
  return !job->error;
}

std::variant<std::vector<int32_t>, ApiError> encode_job(const ApiContext& context, TextJob* job) {
  if (job->is_chat) {
    return encode_chat(context, job->text,
                       {.open = job->open,
                        .add_special_tokens = job->add_special_tokens,
                        .parse_special = job->parse_special,
                        .work_bytes = job->work_bytes},
                       &job->text_charge);
  }
  const uint64_t beyond = tokenising_beyond(job->text.size(), job->work_bytes);
  if (const Grant grant = job->text_charge.try_grow(beyond); grant != Grant::kYes) {
    return host_refusal(grant, HostMoment::kBeforeWork, *job->text_charge.account());
  }
  auto ids = context.tokenizer->encode(job->text, job->add_special_tokens, job->parse_special);
  job->text_charge.shrink(beyond);
  if (!ids.ok()) return bad_param("prompt", ids.status().message());
  return std::move(*ids);
}

void tokenize(const ApiContext& context, TextJob* job) {
  auto made = encode_job(context, job);
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

// On the pool: reads the body where that is still to be done, and makes the answer's.
std::string make_body(const ApiContext& context, TextJob* job) {
  if (job->unwanted.load(std::memory_order_relaxed)) return {};
  if (!job->unread.empty() && !read_body(context, std::move(job->unread), std::move(job->unread_charge), job))
    return {};
  return job->work(context, job);
}

// The answer goes out on the io thread.
void run_on_pool(Service* service, int32_t tenant, const std::shared_ptr<TextJob>& job) {
  job->ticket = service->text_quota.try_enter(tenant, !service->context.tenants->directory()->asks_for_keys());
  job->reply.exchange().on_gone([weak = std::weak_ptr<TextJob>(job)](http::Gone) {
    if (const auto left = weak.lock()) left->unwanted.store(true, std::memory_order_relaxed);
  });
  http::Callback task = [service, job] {
    auto body = std::make_shared<std::string>();
    const Thrown thrown = contain([&] { *body = make_body(service->context, job.get()); });
    std::string().swap(job->text);
    std::vector<int32_t>().swap(job->tokens);
    job->text_charge.release();
    job->ids_charge.release();
    job->ticket = {};
    job->reply.exchange().post([job, body, thrown] { finish(job.get(), std::move(*body), thrown); });
  };
  if (job->ticket && service->text_pool.try_run(std::move(task), tenant, job->work_bytes)) return;
  job->reply.error({.status = {Code::kResourceExhausted, "too many texts wait to be tokenised; try again later",
                               refusal_name(Refusal::kTextPoolFull)}});
}

void answer_text(Service* service, int32_t tenant, http::Request request, Reply reply, ReadFields read,
                 MakeBody work) {
  const std::shared_ptr<Account> account = account_of(request, &service->ledger());
  auto job = std::make_shared<TextJob>(std::move(reply), account);
  if (const Grant grant = join_tenant(account.get(), tenant); grant != Grant::kYes) {
    return job->reply.error(host_refusal(grant, HostMoment::kBeforeWork, service->ledger(), tenant));
  }
  job->read = read;
  job->work = work;
  job->work_bytes = service->text_bytes(request.body.size());
  if (request.body.size() > kInlineBodyBytes) {
    job->unread = std::move(request.body);
    job->unread_charge = std::move(request.charge);
  } else if (!read_body(service->context, std::move(request.body), std::move(request.charge), job.get())) {
    return job->reply.error(*job->error);
  }
  run_on_pool(service, tenant, job);
}

}  // namespace

void answer_tokenize(Service* service, int32_t tenant, http::Request request, Reply reply) {
  answer_text(service, tenant, std::move(request), std::move(reply), read_tokenize, tokenized_body);
}

void answer_detokenize(Service* service, int32_t tenant, http::Request request, Reply reply) {
  answer_text(service, tenant, std::move(request), std::move(reply), read_detokenize, detokenized_body);
}

}  // namespace weir::api
