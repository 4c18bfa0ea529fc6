#include "memory/monitor/cgroup.h"

#include <algorithm>
#include <optional>

#include "memory/monitor/proc_text.h"

namespace weir {
namespace {

constexpr size_t kMountsMax = 16;

struct Mount {
  std::string root;   // the part of the tree that is mounted
  std::string point;  // where
  bool v2 = false;
};

// mountinfo writes blank, tab, newline and backslash as three octal digits.
std::string unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto octal = [&](size_t at) { return at < text.size() && text[at] >= '0' && text[at] <= '7'; };
    if (text[i] == '\\' && octal(i + 1) && octal(i + 2) && octal(i + 3)) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

bool in_comma_list(std::string_view list, std::string_view word) {
  while (!list.empty()) {
    const size_t end = std::min(list.find(','), list.size());
    if (list.substr(0, end) == word) return true;
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return false;
}

// "36 35 98:0 /root /point rw,noatime master:1 - cgroup2 cgroup2 rw"
std::optional<Mount> cgroup_mount(std::string_view line, std::string_view controller) {
  const std::vector<std::string_view> words = words_of(line);
  const auto dash = std::find(words.begin(), words.end(), "-");
  if (words.end() - dash < 4 || dash - words.begin() < 6) return {};
  const bool v2 = dash[1] == "cgroup2";
  if (!v2 && (dash[1] != "cgroup" || !in_comma_list(dash[3], controller))) return {};
  return Mount{unescape(words[3]), unescape(words[4]), v2};
}

// "0::/path" is version 2, "4:memory,cpu:/path" version 1.
std::optional<std::string> own_path(std::string_view text, std::string_view controller, bool v2) {
  for (const std::string_view line : lines_of(text)) {
    const size_t first = line.find(':');
    const size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const bool match =
        v2 ? line.substr(0, first) == "0" && controllers.empty() : in_comma_list(controllers, controller);
    if (match) return std::string(line.substr(second + 1));
  }
  return {};
}

// RETURNS: the path below the mount point, "" for the mount point itself. A path outside the mounted part (a
// namespace seen from elsewhere) or with ".." in it says nothing about what lies below, so it is "" too.
std::string below_mount(const Mount& mount, const std::string& path) {
  const std::string prefix = mount.root == "/" ? "" : mount.root;
  const bool inside = path == prefix || path.starts_with(prefix + "/");
  if (!inside || (path + "/").find("/../") != std::string::npos) return "";
  const std::string below = path.substr(prefix.size());
  return below == "/" ? "" : below;
}

void add_chain(const Mount& mount, std::string below, std::vector<CgroupDir>* out) {
  while (!below.empty()) {
    out->push_back({mount.point + below, mount.v2});
    below.resize(std::min(below.rfind('/'), below.size() - 1));
  }
  out->push_back({mount.point, mount.v2});
}

}  // namespace

std::vector<CgroupDir> cgroup_chain(const std::string& root, std::string_view controller) {
  const std::optional<std::string> groups = read_proc_file(root + "/proc/self/cgroup");
  const std::optional<std::string> mounts = read_proc_file(root + "/proc/self/mountinfo");
  std::vector<CgroupDir> out;
  if (!groups || !mounts) return out;
  size_t used = 0;
  for (const std::string_view line : lines_of(*mounts)) {
    const std::optional<Mount> mount = cgroup_mount(line, controller);
    if (!mount || used == kMountsMax) continue;
    const std::optional<std::string> path = own_path(*groups, controller, mount->v2);
    if (!path) continue;
    ++used;
    add_chain(*mount, below_mount(*mount, *path), &out);
  }
  return out;
}

}  // namespace weir
