#include "api/auth.h"

#include <algorithm>
#include <cctype>

#include "admission/front_door.h"

namespace weir::api {
namespace {

constexpr std::string_view kScheme = "bearer ";

bool has_scheme(std::string_view header) {
  return header.size() > kScheme.size() &&
         std::equal(kScheme.begin(), kScheme.end(), header.begin(),
                    [](char a, char b) { return a == std::tolower(static_cast<unsigned char>(b)); });
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

Status refuse(std::string message) {
  return {Code::kUnauthenticated, std::move(message), refusal_name(Refusal::kUnauthenticated)};
}

constexpr char kWrongKey[] = "the key is not one of this server's keys";

Result<std::string_view> key_of(std::string_view authorization) {
  if (has_scheme(authorization)) return trim(authorization.substr(kScheme.size()));
  return refuse("this server needs a key; send the header \"Authorization: Bearer KEY\"");
}

}  // namespace

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  volatile unsigned char difference = 0;  // volatile: the compiler may not leave the loop early
  for (size_t i = 0; i < a.size(); ++i) difference = difference | static_cast<unsigned char>(a[i] ^ b[i]);
  return difference == 0;
}

Result<Caller> identify(const TenantDirectory& directory, std::string_view authorization) {
  if (!directory.asks_for_keys()) return directory.everybody();
  WEIR_ASSIGN_OR_RETURN(const std::string_view key, key_of(authorization));
  if (const Caller* caller = directory.find(key)) return *caller;
  return refuse(kWrongKey);
}

Status Auth::check(std::string_view authorization) const {
  WEIR_ASSIGN_OR_RETURN(const std::string_view key, key_of(authorization));
  return !key_.empty() && equal_in_constant_time(key, key_) ? ok_status() : refuse(kWrongKey);
}

}  // namespace weir::api
