// CpuPlacement: how many threads compute, on which CPUs, and over which NUMA nodes memory is spread.
//
// A pure function of the settings and of what the machine allows; `weir plan` and `weir serve` both start from it.
// Main thread, at start.
//
// Threads where --threads does not say: one for each core of the CPU set, but no more than the cgroup's quota pays
// for. Not one for each hardware thread: the kernels keep the multiply-add units and the memory channels of a core
// busy from one thread, and a second one on the same core takes from the first. CPUs are used core by core, node by
// node, second hardware threads last.
//
// Workers are pinned where they have the CPUs to themselves as far as weir can know: with --cpu-set, or when there
// is one for every core and no quota below that. A server that uses a part of a machine is not pinned: two of them
// would be pinned to the same CPUs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/status.h"

namespace weir {

struct CpuQuestion {
  std::string cpu_set;          // --cpu-set; empty: all that are allowed
  int threads = 0;              // --threads; 0: as above
  bool pin = true;              // --pin-threads
  std::vector<int> allowed;     // process_cpus(): ascending, not empty
  std::optional<double> quota;  // CPUs of time that the cgroups allow
  std::string root = "/";       // where the topology is read
};

struct CpuPlacement {
  int threads = 1;
  bool pin = false;
  bool spin = true;                   // false: fewer CPUs, or less CPU time, than threads
  std::vector<int> cpus;              // where they run; worker i on cpus[i] where it is pinned
  std::vector<int> nodes;             // of the CPUs that are used, ascending; memory is spread over them if several
  std::vector<std::string> warnings;  // one line each: what is wrong and what to do
  std::string text;                   // "2 threads pinned to CPUs 0-1"
};

// ERRORS: kInvalidArgument for a bad --cpu-set, or one with CPUs that this process may not use.
Result<CpuPlacement> place_threads(const CpuQuestion& question);

}  // namespace weir
