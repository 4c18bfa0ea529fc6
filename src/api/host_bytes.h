// Between the ledger and the rooms that charge it: the ledger as http/ sees it, the account of a request, the sizes of
// what a request keeps, and what a client is told when bytes are refused.
//
// Pure functions but for the accounts; any thread.
#pragma once

#include <memory>
#include <string_view>

#include "api/error.h"
#include "api/generate_request.h"
#include "http/server.h"
#include "memory/ledger/ledger.h"

namespace weir::api {

// For http::Server::create: every account that it opens is one of the ledger's.
std::shared_ptr<http::ByteBook> make_byte_book(std::shared_ptr<Ledger> ledger);

// The account on which the request's body was charged, so that one limit holds for body and answer; a new one for a
// request that came without.
std::shared_ptr<Account> account_of(const http::Request& request, Ledger* ledger);

// The tenant's host_bytes bound it from here on, what it has taken already included. Where the ledger has no
// groups, and where it has joined already, this asks nothing.
[[nodiscard]] Grant join_tenant(Account* account, int32_t tenant);

// What an ordinary request holds while it waits, beside its token ids: one sequence, no stop strings, streamed or
// not, an id of any length. The plan's line "requests" has so many for each that may wait
// (Faults.waiting_streams_refused).
inline constexpr uint64_t kWaitingRequestBytes = 4096;

// What the request keeps on the heap, by capacity.
uint64_t held_bytes(const SamplingParams& params);
uint64_t held_bytes(const GenerateRequest& request);

enum class HostMoment : uint8_t {
  kBeforeWork,  // nothing was computed: 429 host_bytes_full, or 413 over_host_bytes
  kMidway,      // the answer was under way: 503 host_bytes_full, or 400 over_host_bytes
};
// group: of the account that was refused. REQUIRES: why is not kYes.
ApiError host_refusal(Grant why, HostMoment when, const Ledger& ledger, int group);
inline ApiError host_refusal(Grant why, HostMoment when, const Account& account) {
  return host_refusal(why, when, account.ledger(), account.group());
}

}  // namespace weir::api
