#include "server/child_group.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <thread>

#include "memory/monitor/cgroup.h"
#include "memory/monitor/proc_text.h"

namespace weir::testing {
namespace {

bool write_line(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text << std::flush;
  return file.good();
}

}  // namespace

ChildGroup::ChildGroup() {
  const std::vector<CgroupDir> chain = cgroup_chain("/", "memory");
  for (const CgroupDir& dir : chain) {
    // The first of each tree is our own group; a version 1 tree of the memory controller goes before a bare
    // version 2.
    if (parent_.empty() || (v2_ && !dir.v2)) {
      parent_ = dir.path;
      v2_ = dir.v2;
    }
  }
  if (parent_.empty()) {
    why_not_ = "no cgroup tree with memory is mounted";
    return;
  }
  path_ = parent_ + "/weir-test-" + std::to_string(getpid());
  if (mkdir(path_.c_str(), 0755) != 0) {
    why_not_ = "cannot make " + path_ + ": " + std::strerror(errno);
    path_.clear();
    return;
  }
  if (!set_limit(uint64_t{1} << 40)) why_not_ = "cannot set a memory limit in " + path_;
}

ChildGroup::~ChildGroup() {
  for (int i = 0; !path_.empty() && rmdir(path_.c_str()) != 0 && errno == EBUSY && i < 100; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

bool ChildGroup::set_limit(uint64_t bytes) const {
  return write_line(path_ + (v2_ ? "/memory.max" : "/memory.limit_in_bytes"), std::to_string(bytes));
}

uint64_t ChildGroup::used() const {
  const std::string stat = read_proc_file(path_ + "/memory.stat").value_or("");
  const std::string usage =
      read_proc_file(path_ + (v2_ ? "/memory.current" : "/memory.usage_in_bytes")).value_or("");
  const uint64_t files = stat_line(stat, "inactive_file").value_or(0) + stat_line(stat, "active_file").value_or(0);
  const uint64_t all = parse_whole(trim(usage)).value_or(0);
  return all > files ? all - files : 0;
}

void ChildGroup::enter() const { write_line(path_ + "/cgroup.procs", std::to_string(getpid())); }
void ChildGroup::leave() const { write_line(parent_ + "/cgroup.procs", std::to_string(getpid())); }

int64_t ChildGroup::oom_kills() const {
  std::ifstream file(path_ + (v2_ ? "/memory.events" : "/memory.oom_control"));
  std::string name;
  for (int64_t count = 0; file >> name >> count;) {
    if (name == "oom_kill") return count;
  }
  return -1;
}

}  // namespace weir::testing
