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

}  // namespace

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  volatile unsigned char difference = 0;  // volatile: the compiler may not leave the loop early
  for (size_t i = 0; i < a.size(); ++i) difference = difference | static_cast<unsigned char>(a[i] ^ b[i]);
  return difference == 0;
}

std::string_view bearer_key(std::string_view authorization) {
  return has_scheme(authorization) ? trim(authorization.substr(kScheme.size())) : std::string_view();
}

Status Auth::check(std::string_view authorization) const {
  if (keys_.empty()) return ok_status();
  if (!has_scheme(authorization)) return refuse("this server needs a key; send the header \"Authorization: Bearer KEY\"");
  const std::string_view key = bearer_key(authorization);
  bool known = false;
  for (const std::string& good : keys_) known = equal_in_constant_time(key, good) || known;
  return known ? ok_status() : refuse("the key is not one of this server's keys");
}

}  // namespace weir::api
