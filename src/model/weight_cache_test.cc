// The cache file by itself: hits, every kind of bad file, writers at once, and what cannot be written.
#include "model/weight_cache.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "checkpoint/test_files.h"
#include "model/chunk_team.h"

namespace weir {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr uint64_t kBytes = 2 * kCacheChunkBytes + 1000;  // two whole chunks and a short one
constexpr char kFile[] = "m-int8-avx2-0123456789abcdef.weights";

WeightCacheKey key_of(uint8_t model, uint64_t bytes = kBytes) {
  WeightCacheKey key{.order_version = 3, .pack_version = 7, .isa = "avx2", .format = "int8", .bytes = bytes};
  key.model.fill(model);
  return key;
}

std::vector<std::byte> bytes_of(uint8_t model, uint64_t bytes = kBytes) {
  std::vector<std::byte> out(bytes);
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::byte>((i >> 22) * 101 + (i >> 12) * 31 + i + model);
  return out;
}

// A folder, most often with one good file; sizes that differ from test to test.
struct Folder {
  ScratchDir dir;
  WeightCachePlace place{dir.path(), kFile};

  std::string path() const { return place.folder + "/" + place.file; }
  Status write(uint8_t model = 1) const { return write_weight_cache(place, key_of(model), bytes_of(model), {.threads = 2}); }
  // RETURNS: what reading says; ok only where the bytes are right too.
  Status read(const WeightCacheKey& key = key_of(1)) const {
    std::vector<std::byte> into(key.bytes);
    const Status status = read_weight_cache(place, key, into, {.threads = 2});
    if (status.ok() && into != bytes_of(static_cast<uint8_t>(key.model[0]), key.bytes)) return internal_error("wrong bytes");
    return status;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& entry : fs::directory_iterator(dir.path())) out.push_back(entry.path().filename().string());
    std::sort(out.begin(), out.end());
    return out;
  }
  void flip_bit(uint64_t offset) const {
    std::fstream file(path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(offset));
    const int byte = file.get();
    file.seekp(static_cast<std::streamoff>(offset));
    file.put(static_cast<char>(byte ^ 4));
  }
};

// Root may read and write everything, so the tests of rights give that up for a moment.
struct AsNobody {
  AsNobody() {
    EXPECT_TRUE(!root || seteuid(65534) == 0);
  }
  ~AsNobody() {
    EXPECT_TRUE(!root || seteuid(0) == 0);
  }
  const bool root = geteuid() == 0;
};

TEST(WeightCache, ReadsWhatWasWritten) {
  const Folder folder;
  EXPECT_EQ(folder.read().code(), Code::kNotFound);
  ASSERT_TRUE(folder.write().ok());
  EXPECT_EQ(folder.read().message(), "");
  EXPECT_TRUE(check_weight_cache(folder.place, key_of(1)).ok());
  struct stat facts {};
  ASSERT_EQ(stat(folder.path().c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 07777, 0600u);
  EXPECT_EQ(static_cast<uint64_t>(facts.st_size), cache_file_bytes(kBytes));
  EXPECT_THAT(folder.names(), ElementsAre(kFile));
  ASSERT_TRUE(folder.write(9).ok()) << "another model takes its place";
  EXPECT_EQ(folder.read().code(), Code::kFailedPrecondition);
  EXPECT_TRUE(folder.read(key_of(9)).ok());
}

// Whole pages of memory, as a region has them, take the way past the page cache where there is one; the bytes are the same,
// and damage is found there too.
TEST(WeightCache, IntoWholePagesOfMemory) {
  const Folder folder;
  ASSERT_TRUE(folder.write().ok());
  std::vector<std::byte> memory(kBytes + kCachePageBytes);
  const auto address = reinterpret_cast<uintptr_t>(memory.data());
  const auto into = std::span(memory).subspan(kCachePageBytes - address % kCachePageBytes, kBytes);
  ASSERT_TRUE(read_weight_cache(folder.place, key_of(1), into, {.threads = 2}).ok());
  const std::vector<std::byte> wanted = bytes_of(1);
  EXPECT_EQ(std::memcmp(into.data(), wanted.data(), kBytes), 0);
  folder.flip_bit(cache_file_bytes(kBytes) - kBytes + kCacheChunkBytes + 77);
  EXPECT_THAT(read_weight_cache(folder.place, key_of(1), into, {.threads = 2}).message(), HasSubstr("its piece 2 of 3 is damaged"));
}

TEST(WeightCache, SizesAroundAChunk) {
  for (const uint64_t bytes : {uint64_t{1}, kCacheChunkBytes - 1, kCacheChunkBytes, kCacheChunkBytes + 1}) {
    const Folder folder;
    ASSERT_TRUE(write_weight_cache(folder.place, key_of(1, bytes), bytes_of(1, bytes), {.threads = 3}).ok());
    EXPECT_EQ(folder.read(key_of(1, bytes)).message(), "") << bytes;
  }
}

TEST(WeightCache, ProgressGoesUpToOneOnTheCallersThread) {
  const Folder folder;
  std::vector<double> seen;
  const auto caller = std::this_thread::get_id();
  const WeightCacheRun run{.threads = 2, .progress = [&](double fraction) {
    EXPECT_EQ(std::this_thread::get_id(), caller);
    seen.push_back(fraction);
  }};
  ASSERT_TRUE(write_weight_cache(folder.place, key_of(1), bytes_of(1), run).ok());
  ASSERT_FALSE(seen.empty());
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
  EXPECT_EQ(seen.back(), 1.0);
  seen.clear();
  std::vector<std::byte> into(kBytes);
  ASSERT_TRUE(read_weight_cache(folder.place, key_of(1), into, run).ok());
  ASSERT_FALSE(seen.empty());
  EXPECT_EQ(seen.back(), 1.0);
}

TEST(WeightCache, CutShortAnywhereOrWithSomethingBehind) {
  const Folder folder;
  ASSERT_TRUE(folder.write().ok());
  const uint64_t whole = cache_file_bytes(kBytes), weights = whole - kBytes;
  fs::resize_file(folder.path(), whole + 1);
  EXPECT_THAT(folder.read().message(), HasSubstr("it has 1 bytes more than it should"));
  for (const uint64_t size : {whole - 1, whole - 1000, weights + kCacheChunkBytes, weights + 5, weights, weights - 1,
                              kCachePageBytes + 8, kCachePageBytes, kCachePageBytes - 1, uint64_t{9}, uint64_t{1}, uint64_t{0}}) {
    fs::resize_file(folder.path(), size);
    const Status status = folder.read();
    EXPECT_EQ(status.code(), Code::kDataLoss) << size;
    EXPECT_THAT(status.message(), HasSubstr("cut short")) << size;
    EXPECT_EQ(check_weight_cache(folder.place, key_of(1)).message(), status.message());
  }
}

TEST(WeightCache, AFlippedBitAnywhere) {
  const Folder folder;
  ASSERT_TRUE(folder.write().ok());
  const uint64_t weights = cache_file_bytes(kBytes) - kBytes;
  struct Flip {
    uint64_t offset;
    const char* says;
  };
  for (const Flip& flip : {Flip{0, "it is not a weight cache"}, {7, "another version of weir"}, {8, "its first page is damaged"},
                           {20, "its first page is damaged"}, {60, "its first page is damaged"}, {2000, "its first page is damaged"},
                           {kCachePageBytes - 1, "its first page is damaged"}, {kCachePageBytes, "its table of digests is damaged"},
                           {kCachePageBytes + 17, "its table of digests is damaged"}, {weights - 1, "its table of digests is damaged"},
                           {weights, "its piece 1 of 3 is damaged"}, {weights + kCacheChunkBytes - 1, "its piece 1 of 3 is damaged"},
                           {weights + kCacheChunkBytes, "its piece 2 of 3 is damaged"},
                           {weights + kBytes - 1, "its piece 3 of 3 is damaged"}}) {
    folder.flip_bit(flip.offset);
    const Status status = folder.read();
    EXPECT_EQ(status.code(), Code::kDataLoss) << flip.offset;
    EXPECT_THAT(status.message(), HasSubstr(flip.says)) << flip.offset;
    folder.flip_bit(flip.offset);
  }
  EXPECT_EQ(folder.read().message(), "") << "and flipped back it is right again";
}

TEST(WeightCache, PiecesThatChangedPlaces) {
  const Folder folder;
  std::vector<std::byte> bytes = bytes_of(1);
  ASSERT_TRUE(write_weight_cache(folder.place, key_of(1), bytes, {}).ok());
  std::fstream file(folder.path(), std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(cache_file_bytes(kBytes) - kBytes));
  file.write(reinterpret_cast<const char*>(bytes.data()) + kCacheChunkBytes, kCacheChunkBytes);
  file.write(reinterpret_cast<const char*>(bytes.data()), kCacheChunkBytes);
  file.close();
  EXPECT_THAT(folder.read().message(), HasSubstr("its piece 1 of 3 is damaged"));
}

TEST(WeightCache, OfSomethingElse) {
  const Folder folder;
  ASSERT_TRUE(folder.write().ok());
  const auto says = [&](void (*change)(WeightCacheKey*)) {
    WeightCacheKey key = key_of(1);
    change(&key);
    const Status status = folder.read(key);
    EXPECT_EQ(status.code(), Code::kFailedPrecondition);
    return status.message();
  };
  EXPECT_THAT(says([](WeightCacheKey* key) { key->model[31] ^= 1; }), HasSubstr("other weights"));
  EXPECT_THAT(says([](WeightCacheKey* key) { key->pack_version = 8; }), HasSubstr("version 3.7 and this weir packs version 3.8"));
  EXPECT_THAT(says([](WeightCacheKey* key) { key->order_version = 2; }), HasSubstr("version 3.7 and this weir packs version 2.7"));
  EXPECT_THAT(says([](WeightCacheKey* key) { key->isa = "avx512"; }), HasSubstr("packed for avx2 and this server runs avx512"));
  EXPECT_THAT(says([](WeightCacheKey* key) { key->format = "int4"; }), HasSubstr("weights are int8 and this server wants int4"));
  EXPECT_THAT(says([](WeightCacheKey* key) { key->bytes += 64; }), HasSubstr("the plan says"));
}

TEST(WeightCache, NotAPlainFile) {
  const Folder folder;
  ASSERT_EQ(mkdir(folder.path().c_str(), 0700), 0);
  EXPECT_THAT(folder.read().message(), HasSubstr("not a regular file"));
  const Status blocked = folder.write();
  EXPECT_EQ(blocked.code(), Code::kFailedPrecondition);
  EXPECT_THAT(blocked.message(), HasSubstr("remove what is there"));
  EXPECT_THAT(folder.names(), ElementsAre(kFile)) << "nothing unfinished is left";
  fs::remove(folder.path());

  ASSERT_EQ(mkfifo(folder.path().c_str(), 0600), 0);
  EXPECT_THAT(folder.read().message(), HasSubstr("not a regular file"));
  ASSERT_TRUE(folder.write().ok()) << "a pipe is replaced";
  EXPECT_TRUE(folder.read().ok());
}

TEST(WeightCache, LinksAreNotFollowed) {
  const Folder folder, elsewhere;
  ASSERT_TRUE(elsewhere.write().ok());
  ASSERT_EQ(symlink(elsewhere.path().c_str(), folder.path().c_str()), 0);
  EXPECT_EQ(folder.read().code(), Code::kFailedPrecondition);
  EXPECT_THAT(folder.read().message(), HasSubstr("symbolic link"));
  ASSERT_TRUE(folder.write(2).ok());
  EXPECT_TRUE(folder.read(key_of(2)).ok());
  EXPECT_FALSE(fs::is_symlink(folder.path()));
  EXPECT_TRUE(elsewhere.read().ok()) << "what it led to is untouched";
}

TEST(WeightCache, OthersMayNotWriteToIt) {
  const Folder folder;
  ASSERT_TRUE(folder.write().ok());
  for (const mode_t mode : {0602u, 0620u, 0666u}) {
    ASSERT_EQ(chmod(folder.path().c_str(), mode), 0);
    EXPECT_THAT(folder.read().message(), HasSubstr("other users may write to it"));
  }
  ASSERT_EQ(chmod(folder.path().c_str(), 0444), 0);
  EXPECT_TRUE(folder.read().ok());
  if (geteuid() != 0) return;
  ASSERT_EQ(chown(folder.path().c_str(), 65534, 65534), 0);
  EXPECT_THAT(folder.read().message(), HasSubstr("belongs to another user"));
}

TEST(WeightCache, WithoutTheRights) {
  const Folder folder;
  ASSERT_TRUE(folder.write().ok());
  ASSERT_EQ(chmod(folder.path().c_str(), geteuid() == 0 ? 0600 : 0), 0);
  ASSERT_EQ(chmod(folder.dir.path().c_str(), 0555), 0);
  {
    const AsNobody nobody;
    EXPECT_THAT(folder.read().message(), HasSubstr("cannot be opened: Permission denied"));
    const Status status = folder.write(2);
    EXPECT_EQ(status.code(), Code::kFailedPrecondition);
    EXPECT_THAT(status.message(), HasSubstr("no file can be made in the folder: Permission denied"));
  }
  ASSERT_EQ(chmod(folder.dir.path().c_str(), 0755), 0);
  EXPECT_THAT(folder.names(), ElementsAre(kFile));
}

TEST(WeightCache, NoFolder) {
  const WeightCachePlace place{"/nonexistent/weir-cache", kFile};
  std::vector<std::byte> into(kBytes);
  const Status status = read_weight_cache(place, key_of(1), into, {});
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_THAT(status.message(), HasSubstr("make it, or name another with --weight-cache"));
  EXPECT_EQ(write_weight_cache(place, key_of(1), into, {}).code(), Code::kUnavailable);
}

TEST(WeightCache, NoRoom) {
  const Folder folder;
  constexpr uint64_t kHuge = uint64_t{1} << 46;  // more than any disk here; the bytes are not looked at before the room
  const std::byte one{};
  const Status status = write_weight_cache(folder.place, key_of(1, kHuge), std::span<const std::byte>(&one, kHuge), {});
  EXPECT_EQ(status.code(), Code::kResourceExhausted);
  EXPECT_THAT(status.message(), HasSubstr("the disk has"));
  EXPECT_TRUE(folder.names().empty());

  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{.rlim_cur = 1 << 20, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const Status limited = folder.write();
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_EQ(limited.code(), Code::kResourceExhausted);
  EXPECT_THAT(limited.message(), HasSubstr("ulimit -f"));
  EXPECT_TRUE(folder.names().empty());
}

// Whoever reads in between sees one of them whole, or none; and nothing unfinished is left.
TEST(WeightCache, WritersAtOnce) {
  const Folder folder;
  std::vector<std::thread> writers;
  std::atomic<int> left{4};
  for (uint8_t model = 1; model <= 4; ++model) {
    writers.emplace_back([&, model] {
      EXPECT_EQ(folder.write(model).message(), "");
      left.fetch_sub(1);
    });
  }
  do {
    const Status status = folder.read();
    EXPECT_TRUE(status.ok() || status.code() == Code::kNotFound || status.code() == Code::kFailedPrecondition) << status.message();
  } while (left.load() > 0);
  for (std::thread& writer : writers) writer.join();
  EXPECT_THAT(folder.names(), ElementsAre(kFile));
  int readable = 0;
  for (uint8_t model = 1; model <= 4; ++model) readable += folder.read(key_of(model)).ok();
  EXPECT_EQ(readable, 1);
}

TEST(WeightCache, WhatDeadWritersLeftIsRemoved) {
  const Folder folder;
  const std::string dead = std::string(".") + kFile + ".0123456789abcdef.tmp", other = ".other-bf16-neon-00.weights.fedcba9876543210.tmp";
  const std::string alive = std::string(".") + kFile + ".aaaaaaaaaaaaaaaa.tmp", young = std::string(".") + kFile + ".bbbbbbbbbbbbbbbb.tmp";
  for (const std::string& name : {dead, other, alive, young, std::string("notes.tmp"), std::string(".x.weights.tmp")}) folder.dir.write(name, "x");
  const timespec long_ago[2] = {{.tv_sec = 1000, .tv_nsec = 0}, {.tv_sec = 1000, .tv_nsec = 0}};
  for (const std::string& name : {dead, other, alive}) {
    ASSERT_EQ(utimensat(AT_FDCWD, (folder.dir.path() + "/" + name).c_str(), long_ago, 0), 0);
  }
  const int lock = open((folder.dir.path() + "/" + alive).c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(flock(lock, LOCK_EX), 0);
  ASSERT_TRUE(folder.write().ok());
  EXPECT_THAT(folder.names(), testing::UnorderedElementsAre(kFile, alive, young, "notes.tmp", ".x.weights.tmp"));
  close(lock);
}

TEST(WeightCache, NamesOfFiles) {
  const ScratchDir dir;
  const std::string plain = weight_cache_file(dir.path(), "int8", "avx2");
  EXPECT_THAT(plain, testing::MatchesRegex("weir-test-[A-Za-z0-9]+-int8-avx2-[0-9a-f]{16}\\.weights"));
  EXPECT_EQ(weight_cache_file(dir.path() + "/.", "int8", "avx2"), plain) << "however the directory is written";
  EXPECT_NE(weight_cache_file(dir.path(), "int4", "avx2"), plain);
  EXPECT_NE(weight_cache_file(dir.path(), "int8", "avx512"), plain);
  EXPECT_THAT(weight_cache_file("/no/where/..../a b\n\xff", "f32", "neon"), testing::StartsWith("a_b__-f32-neon-"));
  EXPECT_LT(weight_cache_file("/" + std::string(300, 'x'), "f32", "neon").size(), 120u);
  EXPECT_THAT(weight_cache_file("/no/.hidden", "f32", "neon"), testing::StartsWith("model.hidden-"));
  const std::string snapshot = "/hub/models--Qwen--Qwen3-0.6B/snapshots/0123";
  EXPECT_THAT(weight_cache_file(snapshot, "int8", "avx2"), testing::StartsWith("Qwen_Qwen3-0.6B-int8-avx2-"));
}

TEST(ChunkTeam, DoesEachPieceOnceAndNamesTheFirstThatFailed) {
  for (const int threads : {1, 2, 64}) {
    std::vector<std::atomic<int>> done(100);
    EXPECT_TRUE((ChunkTeam{.threads = threads}.run(100, [&](uint64_t i) { return done[i].fetch_add(1), ok_status(); }).ok()));
    for (const auto& count : done) EXPECT_EQ(count.load(), 1);
    const Status status = ChunkTeam{.threads = threads}.run(100, [](uint64_t i) {
      return i < 40 ? ok_status() : data_loss(std::to_string(i));
    });
    EXPECT_EQ(status.message(), "40");
    EXPECT_TRUE((ChunkTeam{.threads = threads}.run(0, [](uint64_t) { return internal_error("none"); }).ok()));
  }
}

}  // namespace
}  // namespace weir
