// FakeRoot: a machine made of files, for tests of whatever reads /proc and /sys/fs/cgroup. Test thread only. A file
// is replaced in one step (written beside, then renamed), so that a process that reads meanwhile sees the old text
// or the new one. The folder goes with the object.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "memory/monitor/host_facts.h"

namespace weir::testing {

class FakeRoot {
 public:
  FakeRoot() {
    std::string pattern = (std::filesystem::temp_directory_path() / "weir-root-XXXXXX").string();
    path_ = mkdtemp(pattern.data()) != nullptr ? pattern : "";
  }
  ~FakeRoot() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  FakeRoot(const FakeRoot&) = delete;
  FakeRoot& operator=(const FakeRoot&) = delete;

  FakeRoot& file(const std::string& name, const std::string& text) {
    const std::filesystem::path at = path_ + name;
    std::filesystem::create_directories(at.parent_path());
    const std::filesystem::path beside = path_ + "/being-written";
    std::ofstream(beside, std::ios::binary) << text;
    std::filesystem::rename(beside, at);
    return *this;
  }
  FakeRoot& remove(const std::string& name) {
    std::filesystem::remove_all(path_ + name);
    return *this;
  }

  // MemTotal of 16 GiB and so much available.
  FakeRoot& available(uint64_t bytes) {
    return file("/proc/meminfo",
                "MemTotal:       16777216 kB\nMemAvailable: " + std::to_string(bytes / 1024) + " kB\n");
  }
  // This process in group "/own" of a cgroup 2 tree.
  FakeRoot& cgroup2(const std::string& own) {
    return file("/proc/self/mountinfo", "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n")
        .file("/proc/self/cgroup", "0::" + own + "\n");
  }
  FakeRoot& cgroup1(const std::string& own) {
    return file("/proc/self/mountinfo", "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n")
        .file("/proc/self/cgroup", "4:memory:" + own + "\n");
  }
  FakeRoot& group(const std::string& dir, const std::string& name, const std::string& text) {
    return file("/sys/fs/cgroup" + dir + "/" + name, text + "\n");
  }
  FakeRoot& group(const std::string& dir, const std::string& name, uint64_t number) {
    return group(dir, name, std::to_string(number));
  }

  const std::string& path() const { return path_; }
  HostFacts read() const { return read_host_facts(path_); }

 private:
  std::string path_;
};

}  // namespace weir::testing
