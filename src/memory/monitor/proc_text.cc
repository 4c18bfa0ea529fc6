#include "memory/monitor/proc_text.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <utility>

namespace weir {
namespace {

constexpr size_t kFileBytesMax = size_t{1} << 20;
constexpr std::string_view kBlank = " \t\r\n";

std::vector<std::string_view> split(std::string_view text, std::string_view at) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of(at), text.size());
    if (end > 0) out.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

}  // namespace

std::optional<std::string> read_proc_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return {};
  struct stat facts {};
  bool good = fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode);
  std::string out;
  char buffer[4096];
  while (good && out.size() < kFileBytesMax) {
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    good = got >= 0;
    if (got <= 0) break;
    out.append(buffer, static_cast<size_t>(got));
  }
  ::close(fd);
  return good ? std::optional(std::move(out)) : std::nullopt;
}

std::string_view trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

std::vector<std::string_view> lines_of(std::string_view text) { return split(text, "\n"); }
std::vector<std::string_view> words_of(std::string_view line) { return split(line, " \t"); }

std::optional<uint64_t> parse_whole(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0 || text.starts_with('-')) return {};
  return static_cast<uint64_t>(number);
}

std::optional<uint64_t> kib_line(std::string_view text, std::string_view key) {
  for (const std::string_view line : lines_of(text)) {
    if (!line.starts_with(key) || line.substr(key.size(), 1) != ":") continue;
    const std::vector<std::string_view> words = words_of(line.substr(key.size() + 1));
    if (words.size() != 2 || words[1] != "kB") return {};
    const std::optional<uint64_t> number = parse_whole(words[0]);
    uint64_t bytes = 0;
    if (!number || __builtin_mul_overflow(*number, uint64_t{1024}, &bytes)) return {};
    return bytes;
  }
  return {};
}

std::optional<uint64_t> stat_line(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.starts_with(key) && line.substr(key.size(), 1) == " ")
      return parse_whole(trim(line.substr(key.size())));
  }
  return {};
}

std::optional<uint64_t> as_limit(std::optional<uint64_t> bytes) {
  return bytes && *bytes > 0 && *bytes < (uint64_t{1} << 60) ? bytes : std::nullopt;
}

std::string printable_ascii(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  return text;
}

std::string without_slash(std::string root) {
  if (root.ends_with('/')) root.pop_back();
  return root;
}

std::optional<int> count_cpu_list(std::string_view list) {
  uint64_t total = 0;
  for (const std::string_view part : split(trim(list), ",")) {
    const size_t dash = part.find('-');
    const std::optional<uint64_t> first = parse_whole(part.substr(0, dash));
    const std::optional<uint64_t> last =
        dash == std::string_view::npos ? first : parse_whole(part.substr(dash + 1));
    if (!first || !last || *first > *last || *last > 65535) return {};
    total += *last - *first + 1;
  }
  return total == 0 || total > 65536 ? std::nullopt : std::optional(static_cast<int>(total));
}

}  // namespace weir
