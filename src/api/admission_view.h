// GET /admission: who runs and who waits, why and until when; what the limits, the ladder and the predictions are at.
//
// io thread; it never passes the front door and never waits, so it answers while everything is full. With the admin key
// it shows everybody; with any other, or without keys, only what is of the same tenant. Limits: kShownMax sequences in
// one answer, about 100 KiB; ?limit=N asks for fewer or more than kShownDefault.
#pragma once

#include "api/reply.h"
#include "api/service.h"
#include "http/server.h"

namespace weir::api {

inline constexpr size_t kShownDefault = 100, kShownMax = 256;

void answer_admission(const Service& service, const http::Request& request, Reply reply);

}  // namespace weir::api
