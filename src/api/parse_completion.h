// POST /v1/completions: body to GenerateRequest. Private to .cc files (boost). Pure; io thread.
#pragma once

#include "api/params.h"

namespace weir::api {

// REQUIRES: request->params holds the defaults. ERRORS: stick in fields.
void parse_completion(const ParamLimits& limits, Fields* fields, GenerateRequest* request);

}  // namespace weir::api
