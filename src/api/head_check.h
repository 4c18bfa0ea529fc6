// What a request's head alone says: for what it is, who sends it, and whether it comes in at all. Between the
// routes, the keys and http::Hooks::judge_head.
//
// Any io thread; takes microseconds and keeps nothing.
#pragma once

#include "api/error.h"
#include "http/hooks.h"

namespace weir::http {
struct Request;
}

namespace weir::api {

class Service;

// A request that is refused here has been counted. The handler looks at keys again: it must not depend on who asked
// first.
http::HeadVerdict judge_head(const Service& service, const http::Request& head);

// The same answer, for http to give.
http::Fault fault_of(const ApiError& error);

}  // namespace weir::api
