// The part of /metrics that has a line for each tenant. Any thread. It takes the front door's lock once for every
// FrontDoor::kLevelsPerLock tenants and no other lock of the door.
#pragma once

#include "api/api.h"
#include "api/prom_text.h"

namespace weir::api {

void write_tenants(const ApiContext& context, PromText* out);

}  // namespace weir::api
