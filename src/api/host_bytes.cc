#include "api/host_bytes.h"

#include <fmt/format.h>

#include "admission/front_door.h"

namespace weir::api {
namespace {

HostKind kind_of(http::ByteUse use) {
  return use == http::ByteUse::kBody ? HostKind::kBody : HostKind::kSocket;
}

class LedgerAccount final : public http::ByteAccount {
 public:
  explicit LedgerAccount(std::shared_ptr<Account> account) : account_(std::move(account)) {}
  http::Granted take(http::ByteUse use, size_t bytes) override {
    switch (account_->take(kind_of(use), bytes)) {
      case Grant::kYes: return http::Granted::kYes;
      case Grant::kTotalFull:
        return http::Granted::kTotalFull;
      case Grant::kGroupFull:
        return http::Granted::kGroupFull;
      case Grant::kOverGroup:
        return http::Granted::kOverGroup;
      case Grant::kRequestFull:
        break;
    }
    return http::Granted::kRequestFull;
  }
  void give(http::ByteUse use, size_t bytes) override { account_->give(kind_of(use), bytes); }
  uint64_t bytes_max() const override { return account_->ledger().options().request_bytes_max; }
  const std::shared_ptr<Account>& account() const { return account_; }

 private:
  const std::shared_ptr<Account> account_;
};

class LedgerBook final : public http::ByteBook {
 public:
  explicit LedgerBook(std::shared_ptr<Ledger> ledger) : ledger_(std::move(ledger)) {}
  // An empty account joins whatever its group holds.
  std::shared_ptr<http::ByteAccount> open(int group) override {
    auto account = ledger_->open();
    if (group >= 0) WEIR_CHECK(join_tenant(account.get(), group) == Grant::kYes);
    return std::make_shared<LedgerAccount>(std::move(account));
  }

 private:
  const std::shared_ptr<Ledger> ledger_;
};

}  // namespace

std::shared_ptr<http::ByteBook> make_byte_book(std::shared_ptr<Ledger> ledger) {
  return std::make_shared<LedgerBook>(std::move(ledger));
}

std::shared_ptr<Account> account_of(const http::Request& request, Ledger* ledger) {
  const auto* account = dynamic_cast<const LedgerAccount*>(request.charge.account().get());
  return account != nullptr ? account->account() : ledger->open();
}

uint64_t held_bytes(const SamplingParams& params) {
  return params.stop_token_ids.capacity() * sizeof(int32_t) + params.logit_bias.capacity() * sizeof(LogitBias);
}

uint64_t held_bytes(const GenerateRequest& request) {
  uint64_t bytes = text_bytes(request.context_json) + held_bytes(request.params) +
                   request.stop.capacity() * sizeof(std::string) + request.prompts.capacity() * sizeof(Prompt);
  for (const std::string& stop : request.stop) bytes += text_bytes(stop);
  for (const Prompt& prompt : request.prompts) {
    bytes += text_bytes(prompt.text) + prompt.tokens.capacity() * sizeof(int32_t);
  }
  return bytes;
}

Grant join_tenant(Account* account, int32_t tenant) {
  if (account->group() == tenant || tenant >= account->ledger().options().groups) return Grant::kYes;
  return account->join(tenant);
}

namespace {

ApiError tenant_refusal(Grant why, bool midway, uint64_t max) {
  if (why == Grant::kOverGroup) {
    return {.status = {midway ? Code::kInvalidArgument : Code::kTooLarge,
                       fmt::format("the request takes more than the {} bytes of host memory that all requests of this key's "
                                   "tenant may take; {}",
                                   max, midway ? "ask for fewer choices, tokens or logprobs, or stream it" : "send it in parts"),
                       refusal_name(Refusal::kTenantHostBytes)}};
  }
  return {.status = {midway ? Code::kUnavailable : Code::kResourceExhausted,
                     fmt::format("the requests of this key's tenant hold all of its {} bytes of host memory{}; try again later",
                                 max, midway ? ", so this answer could not be completed" : ""),
                     refusal_name(Refusal::kTenantHostBytes)}};
}

}  // namespace

ApiError host_refusal(Grant why, HostMoment when, const Ledger& ledger, int group) {
  const bool midway = when == HostMoment::kMidway;
  if (why == Grant::kGroupFull || why == Grant::kOverGroup) return tenant_refusal(why, midway, ledger.group_max(group));
  if (why == Grant::kRequestFull) {
    const auto max = ledger.options().request_bytes_max;
    return {.status = {midway ? Code::kInvalidArgument : Code::kTooLarge,
                       midway ? fmt::format("the answer takes more than the {} bytes of host memory that one request may "
                                            "take (--host-bytes-per-request); ask for fewer choices, tokens or logprobs, "
                                            "or stream it",
                                            max)
                              : fmt::format("the request takes more than the {} bytes of host memory that one request may "
                                            "take (--host-bytes-per-request); send it in parts",
                                            max),
                       refusal_name(Refusal::kOverHostBytes)}};
  }
  return {.status = {midway ? Code::kUnavailable : Code::kResourceExhausted,
                     fmt::format("requests hold all of the {} bytes of host memory that they share "
                                 "(--host-request-bytes){}; try again later",
                                 ledger.options().total_bytes_max,
                                 midway ? ", so this answer could not be completed" : ""),
                     refusal_name(Refusal::kHostBytesFull)}};
}

}  // namespace weir::api
