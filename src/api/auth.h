// Authentication: "Authorization: Bearer <key>" against the configured keys. Any thread; immutable.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace weir::api {

class Auth {
 public:
  explicit Auth(std::vector<std::string> keys) : keys_(std::move(keys)) {}

  // Takes the same time for every wrong key of a length, and looks at every key. ERRORS: kUnauthenticated.
  Status check(std::string_view authorization) const;

 private:
  const std::vector<std::string> keys_;  // empty: everybody may
};

// The key of a header that Auth took; empty where there is none.
std::string_view bearer_key(std::string_view authorization);
// Compares in time that depends on the lengths alone.
bool equal_in_constant_time(std::string_view a, std::string_view b);

}  // namespace weir::api
