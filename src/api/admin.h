// GET and PATCH /admin/limits, POST /admin/reload: what an operator changes while the server serves. Needs the admin key.
//
// Thread: an io thread; the change itself waits for the engine, or for the disk, on the service's admin thread.
#pragma once

#include <optional>
#include <string_view>

#include "api/reply.h"
#include "api/routes.h"
#include "api/service.h"
#include "http/server.h"

namespace weir::api {

// Why this header does not open the admin routes, or nothing where it does.
std::optional<ApiError> admin_refusal(const Service& service, std::string_view authorization);

// REQUIRES: is_admin(route).
void answer_admin(Service* service, Route route, http::Request request, Reply reply);

}  // namespace weir::api
