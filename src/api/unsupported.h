// Parameters that other servers know and weir does not serve. Silently ignoring one would give a wrong answer with
// status 200, so a value that asks for it is a 400 that names the parameter; the default value passes.
// Fields that weir has never heard of are ignored, as OpenAI-compatible servers do.
#pragma once

#include "api/fields.h"
#include "api/generate_request.h"

namespace weir::api {

void reject_unsupported(Endpoint endpoint, Fields* fields);

}  // namespace weir::api
