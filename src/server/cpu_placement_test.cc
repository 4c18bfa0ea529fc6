#include "server/cpu_placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "memory/monitor/fake_root.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::FakeRoot;

// Two nodes of two cores with two hardware threads each: CPU n and n + 4 share a core; 0, 1, 4, 5 lie on node 0.
struct TwoNodes {
  FakeRoot root;
  CpuQuestion question;
  TwoNodes() {
    const std::string sys = "/sys/devices/system/";
    root.file(sys + "node/online", "0-1\n").file(sys + "node/node0/cpulist", "0-1,4-5\n").file(sys + "node/node1/cpulist", "2-3,6-7\n");
    for (int cpu = 0; cpu < 8; ++cpu) {
      root.file(sys + "cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list",
                std::to_string(cpu % 4) + "," + std::to_string(cpu % 4 + 4) + "\n");
    }
    question = {.allowed = {0, 1, 2, 3, 4, 5, 6, 7}, .root = root.path()};
  }
  CpuPlacement place() const { return place_threads(question).value(); }
};

TEST(CpuPlacement, OneThreadACoreNodeByNode) {
  TwoNodes machine;
  const CpuPlacement all = machine.place();
  EXPECT_EQ(all.threads, 4);
  EXPECT_TRUE(all.pin);
  EXPECT_TRUE(all.spin);
  EXPECT_THAT(all.cpus, ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(all.nodes, ElementsAre(0, 1));
  EXPECT_THAT(all.warnings, IsEmpty());
  EXPECT_EQ(all.text, "4 threads pinned to CPUs 0-3, memory spread over NUMA nodes 0-1");
  machine.question.threads = 6;  // asked for: second hardware threads come last
  EXPECT_THAT(machine.place().cpus, ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(machine.place().warnings, IsEmpty());
}

TEST(CpuPlacement, ACpuSetIsTakenCoreByCore) {
  TwoNodes machine;
  machine.question.cpu_set = "2,3,6,7";
  CpuPlacement placement = machine.place();
  EXPECT_EQ(placement.threads, 2);
  EXPECT_THAT(placement.cpus, ElementsAre(2, 3));
  EXPECT_THAT(placement.nodes, ElementsAre(1));
  machine.question.cpu_set = "4-7";  // hardware threads whose cores are otherwise not ours
  EXPECT_THAT(machine.place().cpus, ElementsAre(4, 5, 6, 7));
  machine.question.threads = 1;
  placement = machine.place();
  EXPECT_TRUE(placement.pin);
  EXPECT_EQ(placement.text, "1 thread pinned to CPU 4");
  machine.question.pin = false;
  placement = machine.place();
  EXPECT_FALSE(placement.pin);
  EXPECT_EQ(placement.text, "1 thread on any of CPUs 4-7, memory spread over NUMA nodes 0-1");
}

TEST(CpuPlacement, AQuotaBoundsTheThreadsAndLeavesThemUnpinned) {
  TwoNodes machine;
  machine.question.quota = 2.5;
  const CpuPlacement placement = machine.place();
  EXPECT_EQ(placement.threads, 2);
  EXPECT_FALSE(placement.pin) << "others have the rest of these CPUs, and would be pinned to the same";
  EXPECT_THAT(placement.warnings, IsEmpty());
  for (const double quota : {0.1, 1.0, 1.99}) {
    machine.question.quota = quota;
    EXPECT_EQ(machine.place().threads, 1) << quota;
  }
  machine.question.quota = 1e300;
  EXPECT_EQ(machine.place().threads, 4);
  EXPECT_TRUE(machine.place().pin);
}

TEST(CpuPlacement, APartOfTheMachineIsNotPinned) {
  TwoNodes machine;
  machine.question.threads = 2;
  EXPECT_FALSE(machine.place().pin);
  machine.question.cpu_set = "0-3";
  EXPECT_TRUE(machine.place().pin);
}

TEST(CpuPlacement, CrowdingIsSaidWithWhatToDo) {
  TwoNodes machine;
  machine.question.threads = 9;
  CpuPlacement placement = machine.place();
  EXPECT_THAT(placement.warnings, ElementsAre(HasSubstr("more than the 8 CPUs that this process may use")));
  EXPECT_THAT(placement.warnings, ElementsAre(HasSubstr("lower --threads to 8")));
  EXPECT_FALSE(placement.pin);
  EXPECT_FALSE(placement.spin);
  machine.question = {.cpu_set = "3", .threads = 2, .allowed = {0, 1, 2, 3}, .quota = 1.5, .root = machine.root.path()};
  placement = machine.place();
  EXPECT_THAT(placement.warnings, ElementsAre(HasSubstr("the 1 CPU that --cpu-set gives them"),
                                              HasSubstr("more than the 1.5 CPUs of time that the cgroup allows")));
  machine.question = {.threads = 4, .allowed = {0, 1, 2, 3}, .quota = 2.0, .root = machine.root.path()};
  EXPECT_FALSE(machine.place().spin) << "nobody is to spin on time that another needs";
}

TEST(CpuPlacement, ABadSetIsOneLine) {
  TwoNodes machine;
  machine.question.cpu_set = "0-8";
  EXPECT_EQ(place_threads(machine.question).status().message(), "--cpu-set: this process may not use CPU 8; it may use 0-7");
  machine.question.cpu_set = "0-";
  EXPECT_THAT(place_threads(machine.question).status().message(), HasSubstr("--cpu-set"));
  EXPECT_EQ(place_threads(machine.question).status().code(), Code::kInvalidArgument);
}

TEST(CpuPlacement, WithoutATopologyEachCpuIsACore) {
  FakeRoot empty;
  const CpuPlacement placement = place_threads({.allowed = {3, 5, 9}, .root = empty.path()}).value();
  EXPECT_THAT(placement.cpus, ElementsAre(3, 5, 9));
  EXPECT_THAT(placement.nodes, ElementsAre(0));
}

}  // namespace
}  // namespace weir
