#include "api/routes.h"

#include <algorithm>

namespace weir::api {
namespace {

constexpr const char* kRead = "GET, HEAD";
constexpr const char* kSend = "POST";
constexpr const char* kAdmin = "GET, HEAD, PATCH";

struct Row {
  std::string_view path;
  Route route;
  const char* allow;
};

constexpr Row kTable[] = {
    {"/", Route::kIndex, kRead},
    {"/v1/chat/completions", Route::kChat, kSend},
    {"/v1/completions", Route::kCompletion, kSend},
    {"/v1/models", Route::kModels, kRead},
    {"/tokenize", Route::kTokenize, kSend},
    {"/detokenize", Route::kDetokenize, kSend},
    {"/health/live", Route::kLive, kRead},
    {"/health/ready", Route::kReady, kRead},
    {"/health", Route::kHealth, kRead},
    {"/metrics", Route::kMetrics, kRead},
    {"/plan", Route::kPlan, kRead},
    {"/admission", Route::kAdmission, kRead},
    {"/admin/limits", Route::kReadLimits, kAdmin},
    {"/admin/abort", Route::kAbort, kSend},
    {"/admin/reload", Route::kReload, kSend},
};

RouteMatch with_method(const Row& row, std::string_view method) {
  const bool reads = method == "GET" || method == "HEAD";
  if (row.allow == kAdmin && method == "PATCH") return {Route::kPatchLimits};
  const bool fits = row.allow == kSend ? method == "POST" : reads;
  return fits ? RouteMatch{row.route} : RouteMatch{Route::kWrongMethod, row.allow};
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

RouteMatch match_route(std::string_view method, std::string_view path) {
  for (const Row& row : kTable) {
    if (row.path == path) return with_method(row, method);
  }
  if (path.size() > kModelPrefix.size() && path.substr(0, kModelPrefix.size()) == kModelPrefix) {
    return with_method({path, Route::kModel, kRead}, method);
  }
  return {};
}

bool is_admin(Route route) {
  return route == Route::kReadLimits || route == Route::kPatchLimits || route == Route::kAbort || route == Route::kReload;
}

bool needs_key(Route route) {
  if (is_admin(route) || route == Route::kAdmission) return false;  // they look at keys themselves
  return route != Route::kLive && route != Route::kReady && route != Route::kHealth && route != Route::kMetrics;
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
    if (low < 0) {
      out.push_back(text[i]);
      continue;
    }
    out.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return out;
}

namespace {

// Cuts the first "name=value" off the query.
std::string_view next_pair(std::string_view* query) {
  const std::string_view pair = query->substr(0, query->find('&'));
  query->remove_prefix(std::min(query->size(), pair.size() + 1));
  return pair;
}

}  // namespace

std::string query_value(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const std::string_view pair = next_pair(&query);
    const size_t equals = pair.find('=');
    if (pair.substr(0, equals) == name && equals != std::string_view::npos) return percent_decoded(pair.substr(equals + 1));
  }
  return {};
}

std::string unknown_query_word(std::string_view query, std::initializer_list<std::string_view> known) {
  constexpr size_t kShown = 60;
  while (!query.empty()) {
    const std::string_view pair = next_pair(&query);
    const std::string name = percent_decoded(pair.substr(0, pair.find('=')));
    if (pair.empty() || std::find(known.begin(), known.end(), name) != known.end()) continue;
    return name.empty() ? "=" : name.substr(0, kShown);
  }
  return {};
}

}  // namespace weir::api
