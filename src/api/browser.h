// What browsers may do here: which names the server answers to, which pages may ask, and CORS for those.
//
// Without keys any page that a person visits could spend this machine's time, and with a name that it points here
// (DNS rebinding) read the answers. So a server without keys answers to names that no stranger can point here,
// takes bodies that a page cannot send without asking first, and nothing from a page of another origin unless
// --allow-origins names it. With keys a page has nothing to send that it does not know, and only CORS remains.
//
// Pure functions over rules that never change; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/error.h"
#include "http/hooks.h"

namespace weir::http {
struct Request;
}

namespace weir {

struct BrowserRules {
  std::vector<std::string> hosts;    // --allowed-hosts and --server-name; "*": any
  std::vector<std::string> origins;  // --allow-origins, "https://app.example.com"; "*": any; empty: no CORS
  std::vector<std::string> methods;  // --allow-methods; "*": those that the routes take
  std::vector<std::string> headers;  // --allow-headers; "*": whatever is asked for
  bool credentials = false;          // --allow-credentials; never with "*" among the origins
};

namespace api {

// Why the request is refused where no key is asked for; open routes are for anybody who finds them.
std::optional<ApiError> browser_refusal(const BrowserRules& rules, const http::Request& head);

// For an answer to a request with this Origin ("": none). Empty where there is no CORS at all.
http::Headers cors_headers(const BrowserRules& rules, std::string_view origin);

bool is_preflight(const BrowserRules& rules, const http::Request& head);
// The headers of the 204. REQUIRES: is_preflight; the origin is allowed.
http::Headers preflight_headers(const BrowserRules& rules, const http::Request& head);
bool allows_origin(const BrowserRules& rules, std::string_view origin);
ApiError origin_not_allowed(std::string_view origin);

}  // namespace api
}  // namespace weir
