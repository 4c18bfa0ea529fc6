// From the bytes of a generation request's body to a validated GenerateRequest.
//
// Thread: the io thread for bodies up to kInlineBodyBytes, a text thread for larger ones; one at a time. Limits:
// the JSON's heap is planned (text_work.h); what is made from it is charged.
#pragma once

#include <optional>
#include <string>

#include "admission/tenants.h"
#include "api/error.h"
#include "api/generate_request.h"
#include "http/byte_charge.h"
#include "memory/ledger/ledger.h"

namespace weir::api {

class Service;

// A body as it came, and whose it is.
struct RequestBody {
  Endpoint endpoint = Endpoint::kChat;
  Caller caller;
  std::string bytes;
  http::ByteCharge charge;  // of `bytes`, and then of what is being made from them
};

// MODIFIES: body, which is empty and uncharged afterwards; *held, which then has `fixed_bytes` and what *request
// keeps. RETURNS: nothing, or why the request cannot be served.
std::optional<ApiError> read_request(const Service& service, uint64_t fixed_bytes, RequestBody* body, Charge* held,
                                     GenerateRequest* request);

}  // namespace weir::api
