// Routes: path and method to one name. A pure function over a table; any thread.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace weir::api {

enum class Route : uint8_t {
  kIndex,
  kChat,
  kCompletion,
  kModels,
  kModel,  // the id is what follows "/v1/models/"
  kTokenize,
  kDetokenize,
  kLive,
  kReady,
  kHealth,
  kMetrics,
  kPlan,
  kAdmission,    // GET /admission: who runs, who waits, why and until when
  kReadLimits,   // GET /admin/limits
  kPatchLimits,  // PATCH /admin/limits
  kAbort,        // POST /admin/abort
  kReload,       // POST /admin/reload
  kUnknownPath,
  kWrongMethod,
};

struct RouteMatch {
  Route route = Route::kUnknownPath;
  const char* allow = "";  // kWrongMethod: the Allow header
};

RouteMatch match_route(std::string_view method, std::string_view path);

// Needs the admin key, and no other.
bool is_admin(Route route);
// Probes and scrapers carry no keys: health and metrics are open. What they read names tenants, and nothing else of theirs.
bool needs_key(Route route);

inline constexpr std::string_view kModelPrefix = "/v1/models/";
std::string percent_decoded(std::string_view text);  // a broken escape stays as it is
// RETURNS: the value of `name` in "a=1&b=2", decoded; empty when absent.
std::string query_value(std::string_view query, std::string_view name);
// RETURNS: the first name in the query, decoded and cut short, that is not among `known`; empty when there is none.
std::string unknown_query_word(std::string_view query, std::initializer_list<std::string_view> known);

}  // namespace weir::api
