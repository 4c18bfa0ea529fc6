#include "api/browser.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cctype>

#include "admission/front_door.h"
#include "http/server.h"

namespace weir::api {
namespace {

constexpr std::string_view kExposed =
    "x-request-id, retry-after, x-ratelimit-limit-requests, x-ratelimit-remaining-requests, "
    "x-ratelimit-reset-requests, "
    "x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens";
constexpr std::string_view kMethods = "GET, HEAD, POST, PATCH, OPTIONS";
constexpr size_t kShownBytes = 100;  // of what a client sent, in a message
constexpr const char* kPreflightSeconds = "600";

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

std::string shown(std::string_view text) {
  std::string out(text.substr(0, kShownBytes));
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return out;
}

bool has(const std::vector<std::string>& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}
bool has_any(const std::vector<std::string>& list) { return has(list, "*"); }

std::string joined(const std::vector<std::string>& list) {
  std::string out;
  for (const std::string& one : list) out += (out.empty() ? "" : ", ") + one;
  return out;
}

// "[::1]:80" and "example.com:80" without the port.
std::string_view without_port(std::string_view host) {
  if (!host.empty() && host.front() == '[') return host.substr(0, host.find(']') + 1);
  return host.substr(0, host.find(':'));
}

bool is_address(const std::string& name) {
  in_addr v4{};
  if (inet_pton(AF_INET, name.c_str(), &v4) == 1) return true;
  in6_addr v6{};
  return name.size() > 2 && name.front() == '[' &&
         inet_pton(AF_INET6, name.substr(1, name.size() - 2).c_str(), &v6) == 1;
}

// Names that nobody outside can point at this machine: addresses, "localhost", and names without a dot, which no
// public zone has.
bool is_own_name(std::string_view host) {
  const std::string name = lower(without_port(host));
  return name.find('.') == std::string::npos || is_address(name) || name.ends_with(".localhost");
}

bool knows_host(const BrowserRules& rules, std::string_view host) {
  return host.empty() || is_own_name(host) || has_any(rules.hosts) || has(rules.hosts, lower(without_port(host)));
}

bool is_json(std::string_view type) {
  std::string essence = lower(type.substr(0, type.find(';')));
  while (!essence.empty() && essence.back() == ' ') essence.pop_back();
  return essence.empty() || essence == "application/json" ||
         (essence.starts_with("application/") && essence.ends_with("+json"));
}

bool has_body(const http::Request& head) {
  const std::string_view length = head.header("content-length");
  return !head.header("transfer-encoding").empty() || (!length.empty() && length != "0");
}

// The page was loaded from this very server.
bool is_same_origin(std::string_view origin, std::string_view host) {
  const size_t scheme = origin.find("://");
  return scheme != std::string_view::npos && lower(origin.substr(scheme + 3)) == lower(host);
}

ApiError refusal(Refusal reason, int http, std::string message) {
  return {.status = {Code::kInvalidArgument, std::move(message), refusal_name(reason)},
          .code = refusal_name(reason),
          .http = http};
}

}  // namespace

ApiError origin_not_allowed(std::string_view origin) {
  return refusal(
      Refusal::kOriginNotAllowed, 403,
      "pages of " + shown(origin) + " may not use this server; start it with --allow-origins, or with keys");
}

bool allows_origin(const BrowserRules& rules, std::string_view origin) {
  return has_any(rules.origins) || has(rules.origins, lower(origin));
}

std::optional<ApiError> browser_refusal(const BrowserRules& rules, const http::Request& head) {
  const std::string_view host = head.header("host"), origin = head.header("origin");
  if (!knows_host(rules, host)) {
    return refusal(Refusal::kUnknownHost, 403,
                   "this server asks for no key and is not known as " + shown(without_port(host)) +
                       "; use its address, or start it with --allowed-hosts " + shown(without_port(host)) +
                       " or with keys");
  }
  if (!origin.empty() && !is_same_origin(origin, host) && !allows_origin(rules, origin))
    return origin_not_allowed(origin);
  if (has_body(head) && !is_json(head.header("content-type"))) {
    return refusal(
        Refusal::kNotJson, 415,
        "send the body as JSON and say so: the header \"Content-Type: application/json\" (curl -H), not " +
            shown(head.header("content-type")));
  }
  return std::nullopt;
}

http::Headers cors_headers(const BrowserRules& rules, std::string_view origin) {
  if (rules.origins.empty()) return {};
  const bool for_all = has_any(rules.origins);
  http::Headers headers;
  if (!for_all) headers.emplace_back("Vary", "Origin");
  if (origin.empty() || !allows_origin(rules, origin)) return headers;
  headers.emplace_back("Access-Control-Allow-Origin", for_all ? "*" : std::string(origin));
  if (rules.credentials && !for_all) headers.emplace_back("Access-Control-Allow-Credentials", "true");
  headers.emplace_back("Access-Control-Expose-Headers", kExposed);
  return headers;
}

bool is_preflight(const BrowserRules& rules, const http::Request& head) {
  return head.method == "OPTIONS" && !rules.origins.empty() && !head.header("origin").empty() &&
         !head.header("access-control-request-method").empty();
}

// With credentials "*" would mean the letter, so what is asked for is said back.
http::Headers preflight_headers(const BrowserRules& rules, const http::Request& head) {
  http::Headers headers = cors_headers(rules, head.header("origin"));
  const std::string_view asked = head.header("access-control-request-headers");
  headers.emplace_back("Access-Control-Allow-Methods",
                       has_any(rules.methods) ? std::string(kMethods) : joined(rules.methods));
  const std::string allowed = has_any(rules.headers) ? std::string(asked) : joined(rules.headers);
  if (!allowed.empty()) headers.emplace_back("Access-Control-Allow-Headers", allowed);
  headers.emplace_back("Access-Control-Max-Age", kPreflightSeconds);
  headers.emplace_back("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers");
  return headers;
}

}  // namespace weir::api
