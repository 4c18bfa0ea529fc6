#include "device/host/cpu_topology.h"

#include <sched.h>

#include <algorithm>
#include <map>
#include <thread>
#include <utility>

#include "base/cpu_list.h"
#include "base/files.h"
#include "device/host/host_device.h"

namespace weir {
namespace {

constexpr uint64_t kListBytesMax = 1 << 16;

// Empty where there is no such list.
std::vector<int> read_list(const std::string& path) {
  const auto text = read_small_file(path, kListBytesMax);
  if (!text.ok()) return {};
  auto list = parse_cpu_list(*text);
  return list.ok() ? std::move(list).value() : std::vector<int>{};
}

std::map<int, int> read_nodes(const std::string& sys) {
  std::map<int, int> node_of;
  for (const int node : read_list(sys + "/node/online")) {
    if (node >= kNumaNodesMax) break;
    for (const int cpu : read_list(sys + "/node/node" + std::to_string(node) + "/cpulist"))
      node_of.emplace(cpu, node);
  }
  return node_of;
}

}  // namespace

std::vector<int> process_cpus() {
  std::vector<int> cpus;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    }
  }
  if (cpus.empty()) {  // more CPUs than cpu_set_t holds: count them
    const unsigned count = std::max(1u, std::thread::hardware_concurrency());
    for (unsigned cpu = 0; cpu < count; ++cpu) cpus.push_back(static_cast<int>(cpu));
  }
  return cpus;
}

std::vector<CpuPlace> read_cpu_places(const std::string& root, const std::vector<int>& cpus) {
  const std::string sys = (root == "/" ? "" : root) + "/sys/devices/system";
  const std::map<int, int> node_of = read_nodes(sys);
  std::vector<CpuPlace> places;
  for (const int cpu : cpus) {
    CpuPlace place{.cpu = cpu};
    if (const auto found = node_of.find(cpu); found != node_of.end()) place.node = found->second;
    const std::vector<int> core =
        read_list(sys + "/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list");
    if (std::binary_search(core.begin(), core.end(), cpu)) {
      place.sibling = static_cast<int>(std::count_if(core.begin(), core.end(), [&](int other) {
        return other < cpu && std::find(cpus.begin(), cpus.end(), other) != cpus.end();
      }));
    }
    places.push_back(place);
  }
  return places;
}

}  // namespace weir
