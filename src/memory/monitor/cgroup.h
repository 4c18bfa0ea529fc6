// Where this process sits in the cgroup trees: found through /proc/self/cgroup and /proc/self/mountinfo, since
// both versions can be mounted anywhere and side by side. Private to memory/monitor. Any thread.
// Kernel documentation: admin-guide/cgroup-v2.rst, admin-guide/cgroup-v1/memory.rst; proc(5) for mountinfo.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace weir {

struct CgroupDir {
  std::string path;  // on the machine, without the reader's root: "/sys/fs/cgroup/user.slice"
  bool v2 = false;
};

// RETURNS: own group first, then every ancestor that is visible up to the mount point; the v2 tree and the v1 tree
// of `controller` ("memory", "cpu") where each is mounted. Empty when nothing can be found. Limits: 16 mounts.
std::vector<CgroupDir> cgroup_chain(const std::string& root, std::string_view controller);

}  // namespace weir
