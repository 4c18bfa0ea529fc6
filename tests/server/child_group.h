// ChildGroup: a memory cgroup of the test's own, below the one this process is in (so no limit above it is
// escaped), where the machine allows to make one: version 1, or version 2 with the memory controller enabled for
// children. Test thread only. The destructor removes it; whoever was put in must be gone by then.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace weir::testing {

class ChildGroup {
 public:
  ChildGroup();
  ~ChildGroup();
  ChildGroup(const ChildGroup&) = delete;
  ChildGroup& operator=(const ChildGroup&) = delete;

  const std::string& why_not() const { return why_not_; }  // empty: it works
  const std::string& path() const { return path_; }

  bool set_limit(uint64_t bytes) const;
  uint64_t used() const;  // now, without file pages; 0: the kernel does not say
  void enter() const;         // this process, and what it forks from now on
  void leave() const;         // back to where it came from
  int64_t oom_kills() const;  // -1: the kernel does not say

 private:
  std::string parent_, path_, why_not_;
  bool v2_ = false;
};

}  // namespace weir::testing
