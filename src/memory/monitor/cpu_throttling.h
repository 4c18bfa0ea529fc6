// How often the kernel stopped this process because its cgroup's CPU quota was used up, and how long given threads
// waited for a CPU. Beside the memory's monitor because the same files tell it.
//
// Reads files on every call: the monitor thread, never a hot path. Any thread; values. What cannot be read is an
// empty optional, never zero.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace weir {

// nr_throttled of cpu.stat: enforcement periods (usually 100 ms) in which the quota ran out, summed over own group
// and every visible ancestor (each has a quota of its own), cgroup versions 2 and 1. Counts up as long as the groups stay.
std::optional<uint64_t> read_throttled_periods(const std::string& root = "/");

struct CpuTimes {
  uint64_t run_ns = 0;   // on a CPU
  uint64_t wait_ns = 0;  // could have run, and had none
};

// Sums over threads of this process, from /proc/self/task/<id>/schedstat (kernel: scheduler/sched-stats). An id
// that is 0 is left out. RETURNS: nothing when one of the files cannot be read, none is asked for or the kernel counts nothing.
std::optional<CpuTimes> read_cpu_times(std::span<const int> thread_ids, const std::string& root = "/");

}  // namespace weir
