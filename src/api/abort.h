// POST /admin/abort {"id": "..."}: ends every request of that x-request-id, wherever it is, on whatever io thread.
//
// io thread. The requests of other io threads are ended there: the answer waits for all of them, and for nothing else.
#pragma once

#include "api/reply.h"

namespace weir::api {

class Service;

// REQUIRES: the admin key was checked.
void answer_abort(Service* service, const http::Request& request, Reply reply);

}  // namespace weir::api
