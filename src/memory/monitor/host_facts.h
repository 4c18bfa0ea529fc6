// What the machine and its containers allow this process, and what the process uses now.
//
// Reads files on every call: the monitor thread or startup, never a hot path. Any thread; values. What cannot be
// read, or reads as nonsense, is an empty optional: unknown is never zero and never "unlimited". It decides
// nothing; memory/plan and the pressure monitor do.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"

namespace weir {

// One limit that some cgroup sets; groups without a limit are not listed.
struct CgroupLimit {
  std::string file;  // "/sys/fs/cgroup/user.slice/memory.max"; printable ASCII
  uint64_t bytes = 0;
};

struct HostFacts {
  std::optional<uint64_t> mem_total_bytes;      // MemTotal
  std::optional<uint64_t> mem_available_bytes;  // MemAvailable: free plus what the kernel could reclaim
  // Own group and every visible ancestor: v2 memory.max and memory.high; v1 memory.limit_in_bytes and the
  // hierarchical_memory_limit of memory.stat, which also tells of ancestors outside a container's view.
  std::vector<CgroupLimit> cgroup_limits;
  std::optional<uint64_t> rss_bytes;       // VmRSS = anon + file + shmem
  std::optional<uint64_t> rss_peak_bytes;  // VmHWM
  std::optional<uint64_t> rss_file_bytes;  // RssFile: touched pages of mapped files, such as weights
  std::optional<uint64_t> rss_anon_bytes;  // RssAnon
  std::optional<int> cpus_allowed;         // of the affinity mask, cpusets included
  std::optional<double> cgroup_cpus;       // the smallest quota of the chain in CPUs: v2 cpu.max, v1 cpu.cfs_*
};

// root: "/" on a real machine; tests give a directory with its own proc/ and sys/.
HostFacts read_host_facts(const std::string& root = "/");

// The same without cgroups and CPUs, which stay empty: two files, cheap enough for every turn of the monitor.
HostFacts read_memory_facts(const std::string& root = "/");

// What the process would use if every page of a mapped file were dropped. The plan counts mapped weights in a line
// of their own, so adding this (and never rss_bytes) counts the page cache once.
// RETURNS: nothing when either number is unknown or they contradict each other.
std::optional<uint64_t> rss_without_files(const HostFacts& facts);

struct MemoryLimit {
  uint64_t bytes = 0;
  std::string source;  // "physical memory", "--memory-limit", or the cgroup file
};

// The smallest of physical memory, every cgroup limit, and --memory-limit where it is given.
// ERRORS: kFailedPrecondition when none is known; the message says to give --memory-limit.
Result<MemoryLimit> effective_limit(const HostFacts& facts, std::optional<uint64_t> memory_limit_flag);

}  // namespace weir
