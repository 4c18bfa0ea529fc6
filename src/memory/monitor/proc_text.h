// Reading the small text files of /proc and /sys/fs/cgroup. Private to memory/monitor. Any thread.
// At most 1 MiB of a file is read, regular files alone are opened, and whatever cannot be read or understood is
// "unknown" (an empty optional), never zero.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir {

std::optional<std::string> read_proc_file(const std::string& path);

// The text of one line without its end, blanks around it cut.
std::vector<std::string_view> lines_of(std::string_view text);
std::vector<std::string_view> words_of(std::string_view line);
std::string_view trim(std::string_view text);

// Digits alone, whole text. RETURNS: nothing on anything else and above 2^63-1.
std::optional<uint64_t> parse_whole(std::string_view text);

// The value of "key: 123 kB" in bytes, as /proc/meminfo and /proc/self/status write it; zero counts as known.
std::optional<uint64_t> kib_line(std::string_view text, std::string_view key);

// The value of "key 123" in bytes or counts, as memory.stat of both cgroup versions writes it.
std::optional<uint64_t> stat_line(std::string_view text, std::string_view key);

// A number of bytes taken as a limit. RETURNS: nothing for zero and for version 1's "no limit" (2^63 rounded down
// to a page; no machine comes near 2^60).
std::optional<uint64_t> as_limit(std::optional<uint64_t> bytes);

// The text with every byte that is not printable ASCII as '?', for logs and metric labels.
std::string printable_ascii(std::string text);

// A root directory as prefix of an absolute path: "/" -> "".
std::string without_slash(std::string root);

// "0-3,8" -> 5. RETURNS: nothing for an empty, reversed or malformed list or an id above 65535.
std::optional<int> count_cpu_list(std::string_view list);

}  // namespace weir
