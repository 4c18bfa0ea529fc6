// POST /admin/abort {"id": "...", "tenant": "..."}: ends every request of that tenant with that x-request-id,
// wherever it is, on whatever io thread. Clients choose their ids, so two tenants may use the same one: an order
// that names no tenant is carried out where one tenant alone has the id, and is a 409 that lists the tenants where
// several have it.
//
// io thread. The requests of other io threads are ended there: the answer waits for all of them, and for nothing
// else.
#pragma once

#include "api/reply.h"

namespace weir::api {

class Service;

// REQUIRES: the admin key was checked.
void answer_abort(Service* service, const http::Request& request, Reply reply);

}  // namespace weir::api
