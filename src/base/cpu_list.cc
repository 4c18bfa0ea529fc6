#include "base/cpu_list.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace weir {
namespace {

constexpr size_t kTextMax = 1 << 16;

std::optional<int> parse_id(std::string_view text) {
  int id = 0;
  const bool digits = !text.empty() && text[0] >= '0' && text[0] <= '9';
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (!digits || error != std::errc() || end != text.data() + text.size() || id > kCpuIdMax) return {};
  return id;
}

Status no_list(std::string_view text) {
  std::string shown(text.substr(0, 40));
  std::replace_if(
      shown.begin(), shown.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return invalid_argument("'" + shown +
                          "' is no list of CPUs; write numbers and ranges between commas, such as 0-3,8");
}

}  // namespace

Result<std::vector<int>> parse_cpu_list(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || text.size() > kTextMax) return no_list(text);
  text = text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
  std::vector<bool> in(kCpuIdMax + 1, false);
  for (std::string_view rest = text;;) {
    const std::string_view part = rest.substr(0, rest.find(','));
    const size_t dash = part.find('-');
    const std::optional<int> from = parse_id(part.substr(0, dash));
    const std::optional<int> to = dash == std::string_view::npos ? from : parse_id(part.substr(dash + 1));
    if (!from || !to || *from > *to) return no_list(text);
    std::fill(in.begin() + *from, in.begin() + *to + 1, true);
    if (part.size() == rest.size()) break;
    rest.remove_prefix(part.size() + 1);
  }
  std::vector<int> ids;
  for (int id = 0; id <= kCpuIdMax; ++id) {
    if (in[static_cast<size_t>(id)]) ids.push_back(id);
  }
  return ids;
}

std::string format_cpu_list(const std::vector<int>& ids) {
  std::string out;
  for (size_t i = 0; i < ids.size();) {
    size_t last = i;
    while (last + 1 < ids.size() && ids[last + 1] == ids[last] + 1) ++last;
    out += (out.empty() ? "" : ",") + std::to_string(ids[i]);
    if (last > i) out += "-" + std::to_string(ids[last]);
    i = last + 1;
  }
  return out;
}

}  // namespace weir
