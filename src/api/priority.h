// "priority" of a request: the name of a class. Private to .cc files (boost). Pure; io thread.
//
// vLLM's integers order requests by any number of levels; classes are few and named, so an integer has no class
// that would mean the same: 0, its default, is the tenant's class, every other one is an error that names the
// classes.
#pragma once

#include <vector>

#include "admission/tenants.h"
#include "api/fields.h"
#include "message/classes.h"

namespace weir::api {

// RETURNS: the class of the request; the caller's own where none is named. ERRORS: stick in fields: 400 for a class
// that there is not, 403 for one that the caller's tenant may not ask for.
int32_t read_priority(const std::vector<PriorityClass>& classes, const Caller& caller, Fields* fields);

}  // namespace weir::api
