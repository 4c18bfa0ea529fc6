// The endpoints that answer at once, whatever the queue does: index, models, health, metrics, plan.
// io thread. They never pass the front door and never wait.
#pragma once

#include <string_view>

#include "api/reply.h"
#include "api/routes.h"

namespace weir::api {

class Service;

// REQUIRES: is_control(route).
void answer_control(const Service& service, Route route, const http::Request& request, Reply* reply);
bool is_control(Route route);

}  // namespace weir::api
