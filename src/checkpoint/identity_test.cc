// What must give another identity, what must not, and what only the samples see.
#include "checkpoint/identity.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "checkpoint/test_files.h"

namespace weir {
namespace {

// One tensor of `bytes` bytes, the one at `changed` another.
std::string model_file(size_t bytes, size_t changed) {
  std::string out = safetensors_bytes(R"({"a":{"dtype":"U8","shape":[)" + std::to_string(bytes) +
                                      R"(],"data_offsets":[0,)" + std::to_string(bytes) + "]}}", bytes);
  if (changed < bytes) out[out.size() - bytes + changed] ^= 1;
  return out;
}

constexpr size_t kNone = ~size_t{0};

struct Model {
  ScratchDir dir;
  Model(size_t bytes, size_t changed) {
    dir.write("config.json", "{}");
    dir.write("model.safetensors", model_file(bytes, changed));
  }
  std::string file() const { return dir.path() + "/model.safetensors"; }
  Sha256 identity() const { return checkpoint_identity(dir.path(), *Checkpoint::open(dir.path()).value()).value(); }
  Sha256 sample() const { return checkpoint_sample(*Checkpoint::open(dir.path()).value()).value(); }
};

TEST(CheckpointIdentity, StaysTheSameWhileNothingChanges) {
  const Model model(100, kNone);
  const Sha256 first = model.identity();
  EXPECT_EQ(model.identity(), first);
  EXPECT_EQ(chmod(model.dir.path().c_str(), 0700), 0) << "the folder is not the file";
  EXPECT_EQ(model.identity(), first);
}

TEST(CheckpointIdentity, AnotherConfigIsAnotherModel) {
  const Model model(100, kNone);
  const Sha256 first = model.identity();
  model.dir.write("config.json", "{ }");
  EXPECT_NE(model.identity(), first);
}

// The same size, the same times as far as a program can set them, the same samples: the kernel's own time tells.
TEST(CheckpointIdentity, WrittenInPlaceWithItsOldTimes) {
  constexpr size_t kBytes = 64 << 10;
  const Model model(kBytes, kNone);
  const Sha256 first = model.identity(), sample = model.sample();
  struct stat before {};
  ASSERT_EQ(stat(model.file().c_str(), &before), 0);
  model.dir.write("model.safetensors", model_file(kBytes, 5));
  const timespec times[2] = {before.st_atim, before.st_mtim};
  ASSERT_EQ(utimensat(AT_FDCWD, model.file().c_str(), times, 0), 0);
  EXPECT_EQ(model.sample(), sample) << "the change is outside of it";
  EXPECT_NE(model.identity(), first);
}

TEST(CheckpointIdentity, ReplacedByAFileOfTheSameBytes) {
  const Model model(100, kNone);
  const Sha256 first = model.identity();
  model.dir.write("other", model_file(100, kNone));
  ASSERT_EQ(std::rename((model.dir.path() + "/other").c_str(), model.file().c_str()), 0);
  EXPECT_NE(model.identity(), first);
}

TEST(CheckpointIdentity, SamplesSeeOtherWeightsOfTheSameShape) {
  constexpr size_t kBytes = 64 << 10;
  const Model model(kBytes, kNone);
  EXPECT_EQ(Model(kBytes, kNone).sample(), model.sample()) << "whatever the file system says";
  EXPECT_NE(Model(kBytes, kBytes / 2).sample(), model.sample());
  EXPECT_NE(Model(kBytes + 1, kNone).sample(), model.sample());
  EXPECT_NE(Model(100, 0).sample(), Model(100, kNone).sample()) << "a small tensor is its own sample";
}

TEST(CheckpointIdentity, AFileThatShrankIsAnError) {
  const Model model(100, kNone);
  const auto checkpoint = Checkpoint::open(model.dir.path()).value();
  ASSERT_EQ(truncate(model.file().c_str(), 90), 0);
  EXPECT_EQ(checkpoint_identity(model.dir.path(), *checkpoint).status().code(), Code::kDataLoss);
}

}  // namespace
}  // namespace weir
