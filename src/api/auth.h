// Authentication: "Authorization: Bearer <key>" against the tenants' keys, and against the admin key. Any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "admission/tenants.h"
#include "base/status.h"

namespace weir::api {

// Who sends this header; everybody is "default" where no key is asked for. ERRORS: kUnauthenticated.
Result<Caller> identify(const TenantDirectory& directory, std::string_view authorization);

// One key, kept as it is: the admin key.
class Auth {
 public:
  explicit Auth(std::string key) : key_(std::move(key)) {}

  // Takes the same time for every wrong key of a length. ERRORS: kUnauthenticated.
  Status check(std::string_view authorization) const;

 private:
  const std::string key_;  // empty: nobody may
};

// Compares in time that depends on the lengths alone.
bool equal_in_constant_time(std::string_view a, std::string_view b);

}  // namespace weir::api
