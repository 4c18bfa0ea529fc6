#include "device/host/cpu_topology.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace weir {
namespace {

// A machine made of files.
struct FakeSys : testing::Test {
  std::string root;
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "weir-sys-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(root); }
  void file(const std::string& name, const std::string& text) {
    const std::filesystem::path at = root + "/sys/devices/system/" + name;
    std::filesystem::create_directories(at.parent_path());
    std::ofstream(at, std::ios::binary) << text;
  }
  void siblings(int cpu, const std::string& list) {
    file("cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list", list);
  }
};

TEST_F(FakeSys, TwoNodesOfTwoCoresWithTwoThreads) {
  file("node/online", "0-1\n");
  file("node/node0/cpulist", "0-1,4-5\n");
  file("node/node1/cpulist", "2-3,6-7\n");
  for (int cpu = 0; cpu < 8; ++cpu) siblings(cpu, std::to_string(cpu % 4) + "," + std::to_string(cpu % 4 + 4) + "\n");
  const std::vector<CpuPlace> places = read_cpu_places(root, {0, 1, 2, 3, 4, 5, 6, 7});
  ASSERT_EQ(places.size(), 8u);
  EXPECT_EQ(places[0], (CpuPlace{.cpu = 0, .node = 0, .sibling = 0}));
  EXPECT_EQ(places[3], (CpuPlace{.cpu = 3, .node = 1, .sibling = 0}));
  EXPECT_EQ(places[4], (CpuPlace{.cpu = 4, .node = 0, .sibling = 1}));
  EXPECT_EQ(places[6], (CpuPlace{.cpu = 6, .node = 1, .sibling = 1}));
  EXPECT_EQ(read_cpu_places(root, {2, 4})[1], (CpuPlace{.cpu = 4, .node = 0, .sibling = 0}))
      << "whose sibling is not among those asked for has its core alone";
}

TEST_F(FakeSys, NonsenseIsTheSimplestMachine) {
  file("node/online", "0-1,99999999\n");
  file("node/node0/cpulist", "\n");
  siblings(0, "0-");
  siblings(1, "2-3");  // not even itself
  siblings(2, std::string(100'000, '1'));
  for (const CpuPlace& place : read_cpu_places(root, {0, 1, 2, 3})) {
    EXPECT_EQ(place, (CpuPlace{.cpu = place.cpu, .node = 0, .sibling = 0}));
  }
  EXPECT_EQ(read_cpu_places(root + "/nowhere", {5, 9}).size(), 2u);
}

TEST(CpuTopology, ThisMachineHasAFirstThreadOnSomeCore) {
  const std::vector<int> cpus = process_cpus();
  ASSERT_FALSE(cpus.empty());
  EXPECT_TRUE(std::is_sorted(cpus.begin(), cpus.end()));
  EXPECT_EQ(read_cpu_places("/", cpus)[0].sibling, 0);
}

}  // namespace
}  // namespace weir
