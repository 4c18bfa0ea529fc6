#include "memory/monitor/pressure.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "base/check.h"
#include "base/units.h"
#include "memory/monitor/proc_text.h"

namespace weir {
namespace {

constexpr char kMachineStalls[] = "/proc/pressure/memory";
constexpr double kSomeFull = 40;  // percent of `some` at which the level is 1
constexpr double kFullFull = 20;  // percent of `full`

struct FieldNames {
  const char* limits[2];
  const char* current;
  const char* inactive_file;
  const char* active_file;
  const char* dirty;
  const char* writeback;
};
constexpr FieldNames kV2 = {{"/memory.max", "/memory.high"},
                            "/memory.current",
                            "inactive_file",
                            "active_file",
                            "file_dirty",
                            "file_writeback"};
// The total_ lines count the groups below too, as usage_in_bytes does.
constexpr FieldNames kV1 = {{"/memory.limit_in_bytes", nullptr},
                            "/memory.usage_in_bytes",
                            "total_inactive_file",
                            "total_active_file",
                            "total_dirty",
                            "total_writeback"};

std::optional<uint64_t> whole_file(const std::string& path) {
  return as_limit(parse_whole(trim(read_proc_file(path).value_or(""))));
}

// File pages that the kernel can drop without writing anything. Locked pages stand on a list of their own
// (`unevictable`), shared memory among the anonymous ones, so neither is in these two.
// RETURNS: nothing when the file does not say, for use alone would take page cache for pressure.
std::optional<uint64_t> reclaimable_bytes(std::string_view stat, const FieldNames& names) {
  const std::optional<uint64_t> inactive = stat_line(stat, names.inactive_file);
  const std::optional<uint64_t> active = stat_line(stat, names.active_file);
  uint64_t files = 0, kept = 0;
  if (!inactive || !active || __builtin_add_overflow(*inactive, *active, &files)) return {};
  if (__builtin_add_overflow(stat_line(stat, names.dirty).value_or(0), stat_line(stat, names.writeback).value_or(0),
                             &kept)) {
    return {};
  }
  return files - std::min(files, kept);
}

// "some avg10=1.53 avg60=0.87 avg300=0.73 total=1234" -> 1.53. RETURNS: nothing unless it is a percentage.
std::optional<double> stall_percent(std::string_view text, std::string_view kind) {
  for (const std::string_view line : lines_of(text)) {
    const std::vector<std::string_view> words = words_of(line);
    if (words.size() < 2 || words[0] != kind || !words[1].starts_with("avg10=")) continue;
    const std::string_view number = words[1].substr(6);
    double percent = 0;
    const auto [end, error] =
        std::from_chars(number.data(), number.data() + number.size(), percent, std::chars_format::fixed);
    const bool whole = error == std::errc() && end == number.data() + number.size();
    return whole && percent >= 0 && percent <= 100 ? std::optional(percent) : std::nullopt;
  }
  return {};
}

}  // namespace

uint64_t default_reserve_bytes(uint64_t limit_bytes) {
  const uint64_t share = std::clamp(limit_bytes / 25, 64 * kMiB, 2 * kGiB);
  return std::max<uint64_t>(1, std::min(share, limit_bytes / 8));
}

PressureReader::PressureReader(PressureOptions options)
    : options_{without_slash(std::move(options.root)), options.reserve_bytes} {
  WEIR_CHECK(options_.reserve_bytes > 0);
}

void PressureReader::add_room(uint64_t room, const std::string& source) {
  if (reading_.room_bytes && *reading_.room_bytes <= room) return;
  reading_.room_bytes = room;
  const double reserves = static_cast<double>(room) / static_cast<double>(options_.reserve_bytes);
  reading_.limit_level = std::clamp(1 - reserves / 2, 0.0, 1.0);
  limit_source_ = source;
}

void PressureReader::add_limit(uint64_t limit, uint64_t used, const std::string& source) {
  add_room(limit - std::min(limit, used), source);
}

void PressureReader::add_sign(double level, const std::string& source) {
  if (!sign_source_.empty() && level <= reading_.sign_level) return;
  reading_.sign_level = std::clamp(level, 0.0, 1.0);
  sign_source_ = source;
}

void PressureReader::follow_cgroup() {
  std::string text = read_proc_file(options_.root + "/proc/self/cgroup").value_or("");
  if (text == groups_text_ && !chain_.empty()) return;
  groups_text_ = std::move(text);
  chain_ = cgroup_chain(options_.root, "memory");
}

void PressureReader::read_group(const CgroupDir& dir) {
  const std::string at = options_.root + dir.path;
  const FieldNames& names = dir.v2 ? kV2 : kV1;
  std::optional<uint64_t> limits[2];
  for (size_t i = 0; i < 2; ++i) {
    if (names.limits[i] != nullptr) limits[i] = whole_file(at + names.limits[i]);
  }
  if (dir.v2 && !limits[0] && !limits[1]) return;
  const std::string stat = read_proc_file(at + "/memory.stat").value_or("");
  const std::optional<uint64_t> current = whole_file(at + names.current);
  const std::optional<uint64_t> reclaimable = reclaimable_bytes(stat, names);
  if (!current || !reclaimable) return;
  const uint64_t used = *current - std::min(*current, *reclaimable);
  for (size_t i = 0; i < 2; ++i) {
    if (limits[i]) add_limit(*limits[i], used, dir.path + names.limits[i]);
  }
  if (dir.v2) return;
  // Version 1 tells of the limits of ancestors that this process cannot see.
  const std::optional<uint64_t> above = as_limit(stat_line(stat, "hierarchical_memory_limit"));
  if (above) add_limit(*above, used, dir.path + "/memory.stat");
}

// The own group's stalls where it tells of them, else the machine's.
void PressureReader::read_stalls() {
  const bool grouped = !chain_.empty() && chain_.front().v2;
  const std::string own = grouped ? chain_.front().path + "/memory.pressure" : "";
  for (const std::string& file : {own, std::string(kMachineStalls)}) {
    if (file.empty()) continue;
    const std::string text = read_proc_file(options_.root + file).value_or("");
    const std::optional<double> some = stall_percent(text, "some");
    const std::optional<double> full = stall_percent(text, "full");
    if (!some && !full) continue;
    return add_sign(std::max(some.value_or(0) / kSomeFull, full.value_or(0) / kFullFull), file);
  }
}

PressureReading PressureReader::read(const HostFacts& facts, uint64_t plan_bytes) {
  reading_ = {};
  limit_source_.clear();
  sign_source_.clear();
  const auto total = facts.mem_total_bytes, available = facts.mem_available_bytes;
  if (available && (!total || *available <= *total)) add_room(*available, "MemAvailable");
  follow_cgroup();
  for (const CgroupDir& dir : chain_) read_group(dir);
  read_stalls();
  if (plan_bytes > 0 && facts.rss_bytes) {
    const double over = static_cast<double>(*facts.rss_bytes) - static_cast<double>(plan_bytes);
    const double reserves = over / static_cast<double>(options_.reserve_bytes);
    add_sign(over > 0 ? 0.5 + reserves / 2 : 0, "resident memory above the plan");
  }
  const bool limit_decides = !limit_source_.empty() && reading_.limit_level >= reading_.sign_level;
  const std::string& source = limit_decides || sign_source_.empty() ? limit_source_ : sign_source_;
  if (!source.empty()) reading_.source = printable_ascii(source);
  return std::move(reading_);
}

}  // namespace weir
