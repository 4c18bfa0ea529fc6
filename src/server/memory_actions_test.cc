#include "server/memory_actions.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace weir {
namespace {

using ::testing::ElementsAre;

constexpr FrontDoorOptions kOptions{
    .running_max = 1, .queued_max = 0, .queued_tokens_max = 100, .session_tokens = 64, .pool_tokens = 48};

struct Folder {
  std::string path;
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "weir-actions-XXXXXX").string();
    path = mkdtemp(pattern.data()) != nullptr ? pattern : "";
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

TEST(MemoryActions, EachMeasureReachesWhoHasIt) {
  Gateway gateway{1, 1, 1, 8};
  FrontDoor door(kOptions, &gateway);
  door.set_ready();
  std::vector<std::string> calls;
  MemoryActions actions(&door, "/nowhere",
                        {.stop_growing = [&](bool on) { calls.push_back(on ? "stop" : "grow"); },
                         .drop_caches = [&] { calls.push_back("drop"); },
                         .shrink_work = [&](bool on) { calls.push_back(on ? "shrink" : "widen"); },
                         .cancel_newest = [&] { calls.push_back("cancel"); }});
  carry_out({.from = Stage::kCalm, .to = Stage::kCancelNewest, .drop_caches = true, .cancel_newest = true},
            &actions);
  EXPECT_THAT(calls, ElementsAre("stop", "drop", "shrink", "cancel"));
  EXPECT_TRUE(door.refusing_for_memory());
  EXPECT_EQ(door.knock().status().reason(), "memory_pressure");
  calls.clear();
  carry_out({.from = Stage::kCancelNewest, .to = Stage::kCalm}, &actions);
  EXPECT_THAT(calls, ElementsAre("widen", "grow"));
  EXPECT_FALSE(door.refusing_for_memory());
  EXPECT_TRUE(door.knock().ok());
}

TEST(MemoryActions, AnEngineWithoutTheseMeasures) {
  Gateway gateway{1, 1, 1, 8};
  FrontDoor door(kOptions, &gateway);
  MemoryActions actions(&door, "/nowhere", {});
  carry_out({.from = Stage::kCalm, .to = Stage::kCancelNewest, .drop_caches = true, .cancel_newest = true},
            &actions);
  EXPECT_TRUE(door.refusing_for_memory());
}

TEST(MemoryActions, TheModelsPagesLeaveThePageCache) {
  constexpr size_t kBytes = 1 << 20;
  const Folder folder;
  const std::string path = folder.path + "/model.safetensors";
  std::ofstream(path) << std::string(kBytes, 'w');
  std::ofstream(folder.path + "/config.json") << "{}";
  std::filesystem::create_directory(folder.path + "/not-a-file.safetensors");
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(fsync(fd), 0);
  struct statfs where {};
  ASSERT_EQ(fstatfs(fd, &where), 0);
  void* at = mmap(nullptr, kBytes, PROT_READ, MAP_SHARED, fd, 0);
  ASSERT_NE(at, MAP_FAILED);
  const auto resident = [&] {
    std::vector<unsigned char> pages(kBytes / 4096);
    EXPECT_EQ(mincore(at, kBytes, pages.data()), 0);
    size_t count = 0;
    for (const unsigned char page : pages) count += page & 1;
    return count;
  };
  const size_t before = resident();
  EXPECT_GE(drop_file_pages(folder.path), 1);
  constexpr long kTmpfs = 0x01021994;  // its pages have no other home and stay
  const size_t after = resident();
  EXPECT_TRUE(after < before || where.f_type == kTmpfs) << after << " of " << before << " pages stayed";
  munmap(at, kBytes);
  close(fd);
  EXPECT_EQ(drop_file_pages(folder.path + "/none"), 0);
}

}  // namespace
}  // namespace weir
