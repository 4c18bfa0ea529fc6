// Loading takes no more memory at its peak than the plan's lines say, in every format, with a weight cache and without. A
// program of its own, because the peak is the process's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/sanitized.h"
#include "model/transformer.h"
#include "support/random_checkpoint.h"

namespace weir {
namespace {

namespace fs = std::filesystem;

// Bytes of a line of /proc/self/status; 0 where there is none.
uint64_t own_bytes(const std::string& field) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(field + ":")) return std::stoull(line.substr(field.size() + 1)) * 1024;
  }
  return 0;
}

// What loading adds at its peak, and what the plan says.
struct Growth {
  uint64_t peak = 0, planned = 0;
};

// The peak of the process while a model is loaded, above what it had before. The regions are most of it; a second copy of
// the weights, or file pages that stay, would be far more than the line of the plan.
Growth growth_of(const std::string& dir, WeightFormat format, const std::string& cache) {
  auto backend = std::move(make_backend("cpu", {.threads = 2, .isa = "", .pin = false})).value();
  const ModelSpec spec = load_spec(dir).value();
  const ModelOptions options{.format = format, .session_tokens = 64, .step_tokens_max = 8, .sequences_max = 1};
  const ModelNeeds needs = Transformer::needs(spec, options, backend->ops());
  const auto checkpoint = Checkpoint::open(dir).value();
  malloc_trim(0);
  std::ofstream("/proc/self/clear_refs") << "5";  // the peak begins here (proc(5))
  const uint64_t before = own_bytes("VmRSS");
  const auto model = Transformer::load(spec, options, *checkpoint, *backend, nullptr, {cache, dir});
  EXPECT_TRUE(model.ok()) << model.status().message();
  return {own_bytes("VmHWM") - before, needs.weights + needs.workspace + needs.logits + needs.loading};
}

TEST(Loading, PeakIsWhatThePlanSays) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's memory is nobody's plan";
  const fs::path root = fs::temp_directory_path() / ("weir-loading-" + std::to_string(getpid()));
  const std::string model = root / "model", folder = root / "cache";
  fs::create_directories(folder);
  ASSERT_TRUE(weir::testing::write_random_checkpoint(model, weir::testing::kSmallConfig).ok());
  std::ofstream reset("/proc/self/clear_refs");
  if (!reset.is_open() || own_bytes("VmHWM") == 0) GTEST_SKIP() << "this kernel does not tell peaks";
  const uint64_t file = fs::file_size(model + "/model.safetensors");
  ASSERT_GT(file, 3 * kLoadingBytes / 2) << "or its pages could all stay without being noticed";
  ::testing::internal::CaptureStderr();
  for (const WeightFormat format : {WeightFormat::kF32, WeightFormat::kBF16, WeightFormat::kInt8G32,
                                    WeightFormat::kInt4G32}) {
    for (const std::string& cache : {std::string(), folder, folder}) {  // without, writing it, reading it
      const Growth growth = growth_of(model, format, cache);
      EXPECT_LE(growth.peak, growth.planned) << weight_format_name(format) << " with cache '" << cache << "'";
      EXPECT_GT(growth.peak, growth.planned - kLoadingBytes - (4 << 20)) << "and the measure works";
    }
  }
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 12) << log;
  EXPECT_THAT(log, ::testing::HasSubstr("read and checked"));
  fs::remove_all(root);
}

}  // namespace
}  // namespace weir
