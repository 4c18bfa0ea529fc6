// Which CPUs this process may use, and how they lie: on which NUMA node, and which of them share a core.
//
// Reads /sys at start. Any thread; values. What cannot be read or makes no sense is taken for the simplest machine:
// one node, a core for each CPU. It decides nothing; server/cpu_placement does.
#pragma once

#include <string>
#include <vector>

namespace weir {

struct CpuPlace {
  int cpu = 0;
  int node = 0;
  int sibling = 0;  // how many CPUs of the same core stand before it among those asked for; 0: the first
  bool operator==(const CpuPlace&) const = default;
};

// The affinity mask (cpusets of cgroups are in it), ascending; at least one entry.
std::vector<int> process_cpus();

// One entry for each of `cpus`, in their order. root: "/" on a real machine; tests give a directory with its own
// sys/.
std::vector<CpuPlace> read_cpu_places(const std::string& root, const std::vector<int>& cpus);

}  // namespace weir
