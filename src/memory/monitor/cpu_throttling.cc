#include "memory/monitor/cpu_throttling.h"

#include <algorithm>

#include "memory/monitor/cgroup.h"
#include "memory/monitor/proc_text.h"

namespace weir {

std::optional<uint64_t> read_throttled_periods(const std::string& root_dir) {
  const std::string root = without_slash(root_dir);
  std::optional<uint64_t> sum;
  for (const CgroupDir& dir : cgroup_chain(root, "cpu")) {
    const auto periods = stat_line(read_proc_file(root + dir.path + "/cpu.stat").value_or(""), "nr_throttled");
    if (periods) sum = sum.value_or(0) + std::min(*periods, UINT64_MAX - sum.value_or(0));
  }
  return sum;
}

std::optional<CpuTimes> read_cpu_times(std::span<const int> thread_ids, const std::string& root_dir) {
  const std::string root = without_slash(root_dir);
  CpuTimes sum;
  bool any = false;
  for (const int id : thread_ids) {
    if (id == 0) continue;
    const std::string path = root + "/proc/self/task/" + std::to_string(id) + "/schedstat";
    const std::string text = read_proc_file(path).value_or("");
    const std::vector<std::string_view> words = words_of(trim(text));
    if (words.size() != 3) return {};
    const std::optional<uint64_t> run = parse_whole(words[0]), wait = parse_whole(words[1]);
    if (!run || !wait) return {};
    if (__builtin_add_overflow(sum.run_ns, *run, &sum.run_ns) ||
        __builtin_add_overflow(sum.wait_ns, *wait, &sum.wait_ns))
      return {};
    any = true;
  }
  return any && sum.run_ns > 0 ? std::optional(sum) : std::nullopt;  // all 0: the kernel does not count
}

}  // namespace weir
