#include "api/rate_limit.h"

#include <fmt/format.h>

namespace weir::api {
namespace {

void append(const std::optional<TenantView::Limit>& limit, const char* what, http::Headers* headers) {
  if (!limit) return;
  headers->emplace_back(fmt::format("x-ratelimit-limit-{}", what), std::to_string(limit->most));
  headers->emplace_back(fmt::format("x-ratelimit-remaining-{}", what), std::to_string(limit->left));
  headers->emplace_back(fmt::format("x-ratelimit-reset-{}", what), format_reset(limit->reset_us));
}

}  // namespace

std::string format_reset(Micros time) {
  if (time == 0) return "0s";
  const int64_t ms = (time + 999) / 1000;
  if (ms < 1000) return fmt::format("{}ms", ms);
  const int64_t seconds = (ms + 999) / 1000;
  if (seconds < 60) return fmt::format("{}s", seconds);
  if (seconds < 3600) return fmt::format("{}m{}s", seconds / 60, seconds % 60);
  return fmt::format("{}h{}m{}s", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

void append_rate_limits(const TenantView& view, http::Headers* headers) {
  append(view.sequences, "requests", headers);
  append(view.tokens, "tokens", headers);
}

}  // namespace weir::api
