#include "memory/monitor/host_facts.h"

#include <algorithm>

#include "memory/monitor/cgroup.h"
#include "memory/monitor/proc_text.h"

namespace weir {
namespace {

std::optional<uint64_t> positive(std::optional<uint64_t> number) { return number == 0u ? std::nullopt : number; }

void add_limit(const std::string& file, std::optional<uint64_t> bytes, HostFacts* facts) {
  if (bytes) facts->cgroup_limits.push_back({printable_ascii(file), *bytes});
}

void read_memory_limits(const std::string& root, HostFacts* facts) {
  for (const CgroupDir& dir : cgroup_chain(root, "memory")) {
    for (const char* name : {"memory.max", "memory.high", "memory.limit_in_bytes"}) {
      if (dir.v2 == std::string_view(name).ends_with("in_bytes")) continue;
      const std::string file = dir.path + "/" + name;
      add_limit(file, as_limit(parse_whole(trim(read_proc_file(root + file).value_or("")))), facts);
    }
    if (dir.v2) continue;
    const std::string stat = dir.path + "/memory.stat";
    add_limit(stat, as_limit(stat_line(read_proc_file(root + stat).value_or(""), "hierarchical_memory_limit")),
              facts);
  }
}

std::optional<double> ratio(std::optional<uint64_t> quota_us, std::optional<uint64_t> period_us) {
  if (!positive(quota_us) || !positive(period_us)) return {};
  return static_cast<double>(*quota_us) / static_cast<double>(*period_us);
}

// "max 100000" or "250000 100000"; version 1 keeps the two in files and writes -1 for no quota.
std::optional<double> quota_of(const std::string& root, const CgroupDir& dir) {
  const std::string at = root + dir.path;
  if (dir.v2) {
    const std::string text = read_proc_file(at + "/cpu.max").value_or("");
    const std::vector<std::string_view> words = words_of(trim(text));
    return words.size() == 2 ? ratio(parse_whole(words[0]), parse_whole(words[1])) : std::nullopt;
  }
  const std::string quota = read_proc_file(at + "/cpu.cfs_quota_us").value_or("");
  const std::string period = read_proc_file(at + "/cpu.cfs_period_us").value_or("");
  return ratio(parse_whole(trim(quota)), parse_whole(trim(period)));
}

void read_cpus(const std::string& root, std::string_view status, HostFacts* facts) {
  constexpr std::string_view kKey = "Cpus_allowed_list:";
  for (const std::string_view line : lines_of(status)) {
    if (line.starts_with(kKey)) facts->cpus_allowed = count_cpu_list(line.substr(kKey.size()));
  }
  for (const CgroupDir& dir : cgroup_chain(root, "cpu")) {
    const std::optional<double> quota = quota_of(root, dir);
    if (quota && (!facts->cgroup_cpus || *quota < *facts->cgroup_cpus)) facts->cgroup_cpus = quota;
  }
}

}  // namespace

HostFacts read_host_facts(const std::string& root_dir) {
  const std::string root = without_slash(root_dir);
  HostFacts facts = read_memory_facts(root);
  read_memory_limits(root, &facts);
  read_cpus(root, read_proc_file(root + "/proc/self/status").value_or(""), &facts);
  return facts;
}

HostFacts read_memory_facts(const std::string& root_dir) {
  const std::string root = without_slash(root_dir);
  HostFacts facts;
  const std::string meminfo = read_proc_file(root + "/proc/meminfo").value_or("");
  facts.mem_total_bytes = positive(kib_line(meminfo, "MemTotal"));
  facts.mem_available_bytes = kib_line(meminfo, "MemAvailable");
  const std::string status = read_proc_file(root + "/proc/self/status").value_or("");
  facts.rss_bytes = positive(kib_line(status, "VmRSS"));
  facts.rss_peak_bytes = positive(kib_line(status, "VmHWM"));
  facts.rss_file_bytes = kib_line(status, "RssFile");
  facts.rss_anon_bytes = kib_line(status, "RssAnon");
  return facts;
}

std::optional<uint64_t> rss_without_files(const HostFacts& facts) {
  if (!facts.rss_bytes || !facts.rss_file_bytes || *facts.rss_file_bytes > *facts.rss_bytes) return {};
  return *facts.rss_bytes - *facts.rss_file_bytes;
}

Result<MemoryLimit> effective_limit(const HostFacts& facts, std::optional<uint64_t> memory_limit_flag) {
  std::optional<MemoryLimit> out;
  const auto lower_to = [&](std::optional<uint64_t> bytes, const std::string& source) {
    if (bytes && (!out || *bytes < out->bytes)) out = MemoryLimit{*bytes, source};
  };
  lower_to(facts.mem_total_bytes, "physical memory");
  for (const CgroupLimit& limit : facts.cgroup_limits) lower_to(limit.bytes, limit.file);
  lower_to(memory_limit_flag, "--memory-limit");
  if (!out) {
    return failed_precondition(
        "neither /proc/meminfo nor a cgroup says how much memory there is; give --memory-limit");
  }
  return *out;
}

}  // namespace weir
