// A checkpoint that is cut or written to while its weights are read: an error line, at whichever byte the cut is.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "checkpoint/test_files.h"
#include "device/host/host_device.h"
#include "model/weight_load.h"

namespace weir {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

// A copy of a small model, loaded with `meanwhile` called once, when the first tensor has been packed.
struct Load {
  ScratchDir dir;
  std::string file;
  uint64_t file_bytes = 0;

  Load() {
    for (const char* name : {"config.json", "model.safetensors"}) {
      fs::copy_file(std::string("tests/golden/models/qwen2/") + name, dir.path() + "/" + name);
    }
    file = dir.path() + "/model.safetensors";
    file_bytes = fs::file_size(file);
  }

  Status run(const std::function<void()>& meanwhile, const std::string& cache = "") const {
    const auto backend = std::move(make_backend("cpu", {.threads = 2, .isa = "", .pin = false})).value();
    const ModelSpec spec = load_spec(dir.path()).value();
    const ModelOptions options{
        .format = WeightFormat::kInt8G32, .session_tokens = 64, .step_tokens_max = 8, .sequences_max = 1};
    Cutter counter;
    cut_weights(spec, options, backend->ops(), &counter);
    Region region = std::move(backend->device().reserve(counter.used())).value();
    Cutter cutter(region.span());
    Weights weights = cut_weights(spec, options, backend->ops(), &cutter);
    const auto checkpoint = Checkpoint::open(dir.path()).value();
    const auto stream = std::move(backend->device().make_stream()).value();
    bool called = false;
    const LoadProgress progress = [&](double, std::string_view) {
      if (!std::exchange(called, true)) meanwhile();
    };
    const WeightCacheUse use{cache, dir.path()};
    const Status status = load_weights({.spec = spec,
                                        .options = options,
                                        .checkpoint = *checkpoint,
                                        .backend = *backend,
                                        .stream = *stream,
                                        .region = region.span(),
                                        .cache = use,
                                        .progress = progress},
                                       &weights);
    EXPECT_TRUE(called || !status.ok());
    return status;
  }
};

TEST(Faults, truncated_while_loading) {
  for (const double keep : {0.0, 0.3, 0.6, 0.999}) {
    const Load load;
    const auto bytes = static_cast<off_t>(keep * static_cast<double>(load.file_bytes));
    const Status status = load.run([&] { ASSERT_EQ(truncate(load.file.c_str(), bytes), 0); });
    EXPECT_EQ(status.code(), Code::kDataLoss) << keep;
    EXPECT_THAT(status.message(), HasSubstr("model.safetensors: ")) << keep;
    EXPECT_THAT(status.message(), HasSubstr("do not write to a model in use")) << keep;
    EXPECT_EQ(status.message().find('\n'), std::string::npos);
  }
}

// The cache is written from what was read, so it must not be written from two files.
TEST(Faults, truncated_while_loading_writes_no_cache) {
  const Load load;
  const ScratchDir folder;
  const Status status = load.run([&] { ASSERT_EQ(truncate(load.file.c_str(), 100'000), 0); }, folder.path());
  EXPECT_EQ(status.code(), Code::kDataLoss);
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(Faults, written_to_while_loading) {
  const Load load;
  const timespec times[2] = {{.tv_sec = 1, .tv_nsec = 0}, {.tv_sec = 2, .tv_nsec = 0}};
  const Status status = load.run([&] { ASSERT_EQ(utimensat(AT_FDCWD, load.file.c_str(), times, 0), 0); });
  EXPECT_THAT(status.message(), HasSubstr("model.safetensors: was written to while it was read"));
}

TEST(Faults, weight_cache_folder_absent) {
  const ScratchDir scratch;
  const std::string folder = scratch.path() + "/cache";
  const Load load;
  EXPECT_TRUE(load.run([] {}, folder).ok());
  struct stat facts {};
  ASSERT_EQ(stat(folder.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 07777, 0700u);
  EXPECT_FALSE(fs::is_empty(folder));
  const Status no_parent = load.run([] {}, scratch.path() + "/no/cache");
  EXPECT_EQ(no_parent.code(), Code::kFailedPrecondition);
  EXPECT_THAT(no_parent.message(), HasSubstr("/no/cache: the folder cannot be made: "));
  EXPECT_THAT(no_parent.message(), HasSubstr("make the folder that it lies in"));
  EXPECT_FALSE(fs::exists(scratch.path() + "/no"));
  EXPECT_THAT(load.run([] {}, load.file).message(), HasSubstr("model.safetensors: the folder cannot be used: "));
}

}  // namespace
}  // namespace weir
