// POST /tokenize and /detokenize, with vLLM's field names. They use no place: the text pool bounds them.
// io thread; the work runs on the text pool. A client that left is noticed when the result comes back.
#pragma once

#include "api/reply.h"

namespace weir::api {

class Service;

void answer_tokenize(Service* service, int32_t tenant, http::Request request, Reply reply);
void answer_detokenize(Service* service, int32_t tenant, http::Request request, Reply reply);

}  // namespace weir::api
