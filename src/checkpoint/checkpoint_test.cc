#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string>

#include "checkpoint/safetensors.h"
#include "checkpoint/test_files.h"

namespace weir {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string one_tensor(const std::string& name, const std::string& extra = "") {
  return safetensors_bytes("{\"" + name + R"(":{"dtype":"U8","shape":[4],"data_offsets":[0,4]})" + extra + "}", 4);
}

float f32_at(const TensorView& tensor, size_t index) {
  float value = 0;
  std::memcpy(&value, tensor.bytes.data() + 4 * index, 4);
  return value;
}

Status open_status(const ScratchDir& dir) { return Checkpoint::open(dir.path()).status(); }

TEST(Checkpoint, FindsTensorsOfOneFile) {
  const ScratchDir dir;
  dir.write("model.safetensors", one_tensor("a"));
  const auto checkpoint = Checkpoint::open(dir.path()).value();
  ASSERT_NE(checkpoint->find("a"), nullptr);
  EXPECT_EQ(checkpoint->find("b"), nullptr);
  EXPECT_EQ(checkpoint->find(""), nullptr);
  EXPECT_THAT(checkpoint->find("a")->shape, ElementsAre(4));
  EXPECT_EQ(checkpoint->find("a")->bytes[3], std::byte{3});
  EXPECT_THAT(weight_dtype(*checkpoint->find("a")).status().message(), HasSubstr("stored as U8"));
}

TEST(Checkpoint, FindsTensorsOfShards) {
  const ScratchDir dir;
  dir.write("s1.safetensors", one_tensor("b"));
  dir.write("s2.safetensors", one_tensor("a"));
  dir.write("model.safetensors.index.json", R"({"metadata":{"total_size":8},"weight_map":{"a":"s2.safetensors",
      "b":"s1.safetensors"}})");
  const auto checkpoint = Checkpoint::open(dir.path()).value();
  ASSERT_NE(checkpoint->find("a"), nullptr);
  ASSERT_NE(checkpoint->find("b"), nullptr);
  EXPECT_EQ(checkpoint->find("a")->file, 1u);
  EXPECT_EQ(checkpoint->tensors().size(), 2u);
  EXPECT_GT(checkpoint->file_bytes(), 100u);
}

TEST(Checkpoint, IndexThatLies) {
  struct Lie {
    const char* map;
    Code code;
    const char* says;
  };
  for (const Lie& lie :
       {Lie{R"({"a":"../s1.safetensors"})", Code::kInvalidArgument, "same directory"},
        Lie{R"({"a":"/etc/s1.safetensors"})", Code::kInvalidArgument, "same directory"},
        Lie{R"({"a":"sub/s1.safetensors"})", Code::kInvalidArgument, "same directory"},
        Lie{R"({"a":".."})", Code::kInvalidArgument, "same directory"},
        Lie{R"({"a":"s1.safetensors\u0000.safetensors"})", Code::kInvalidArgument, "same directory"},
        Lie{R"({"a":7})", Code::kInvalidArgument, "same directory"}, Lie{R"({})", Code::kInvalidArgument, "empty"},
        Lie{R"([])", Code::kInvalidArgument, "no 'weight_map'"},
        Lie{R"({"a":"s1.safetensors","a":"s2.safetensors"})", Code::kInvalidArgument, "twice"},
        Lie{R"({"a":"s1.safetensors","b":"gone.safetensors"})", Code::kNotFound, "gone.safetensors"},
        Lie{R"({"a":"s1.safetensors","b":"s1.safetensors"})", Code::kDataLoss, "'b' is missing from s1"},
        Lie{R"({"a":"s1.safetensors","b":"s3.safetensors"})", Code::kDataLoss, "'a' is in two shards"},
        Lie{R"({"b":"s1.safetensors"})", Code::kDataLoss, "'a' is in s1.safetensors and not in the index"},
        Lie{R"({"a":"s2.safetensors","c":"s1.safetensors"})", Code::kDataLoss, "and the index says"}}) {
    const ScratchDir dir;
    dir.write("s1.safetensors", one_tensor("a"));
    dir.write("s2.safetensors", one_tensor("c"));
    dir.write("s3.safetensors", one_tensor("a"));
    dir.write("model.safetensors.index.json", std::string(R"({"weight_map":)") + lie.map + "}");
    EXPECT_EQ(open_status(dir).code(), lie.code) << lie.map << ": " << open_status(dir).message();
    EXPECT_THAT(open_status(dir).message(), HasSubstr(lie.says)) << lie.map;
  }
}

TEST(Checkpoint, WhatIsNoFile) {
  const ScratchDir dir;
  EXPECT_EQ(open_status(dir).code(), Code::kNotFound);
  EXPECT_THAT(open_status(dir).message(), HasSubstr("convert other formats"));
  EXPECT_EQ(Checkpoint::open("/no/such/place").status().code(), Code::kNotFound);
  std::filesystem::create_directory(dir.path() + "/model.safetensors");
  EXPECT_THAT(open_status(dir).message(), HasSubstr("not a regular file"));
}

TEST(Checkpoint, APipeDoesNotBlock) {
  const ScratchDir dir;
  ASSERT_EQ(mkfifo((dir.path() + "/model.safetensors").c_str(), 0600), 0);
  EXPECT_THAT(open_status(dir).message(), HasSubstr("not a regular file"));
  ASSERT_EQ(mkfifo((dir.path() + "/config.json").c_str(), 0600), 0);
  EXPECT_THAT(load_spec(dir.path()).status().message(), HasSubstr("not a regular file"));
}

TEST(Checkpoint, EmptyAndDamagedFilesNameTheFile) {
  const ScratchDir dir;
  dir.write("model.safetensors", "");
  EXPECT_THAT(open_status(dir).message(), HasSubstr("model.safetensors: the file is empty"));
  dir.write("model.safetensors", one_tensor("a").substr(0, 30));
  EXPECT_THAT(open_status(dir).message(), HasSubstr("model.safetensors: the file is truncated"));
}

TEST(Checkpoint, LinksAreFollowed) {
  const ScratchDir dir;
  dir.write("blobs/0f", one_tensor("a"));
  std::filesystem::create_directory(dir.path() + "/snapshot");
  std::filesystem::create_symlink("../blobs/0f", dir.path() + "/snapshot/model.safetensors");
  EXPECT_TRUE(Checkpoint::open(dir.path() + "/snapshot").ok());
}

TEST(Checkpoint, AFileThatShrinksIsNoticedBeforeItIsCopied) {
  const ScratchDir dir;
  dir.write("model.safetensors", one_tensor("a"));
  const auto checkpoint = Checkpoint::open(dir.path()).value();
  EXPECT_TRUE(checkpoint->check_files().ok());
  ASSERT_EQ(truncate((dir.path() + "/model.safetensors").c_str(), 20), 0);
  EXPECT_EQ(checkpoint->check_files().code(), Code::kDataLoss);
}

// Pages of this mapping that are in the resident size, by mincore's cousin for one process.
size_t resident_pages(std::span<const std::byte> part) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  size_t count = 0;
  for (uintptr_t at = reinterpret_cast<uintptr_t>(part.data()) / page;
       at * page < reinterpret_cast<uintptr_t>(part.data() + part.size()); ++at) {
    uint64_t entry = 0;
    if (pread(fd, &entry, 8, static_cast<off_t>(at * 8)) == 8) count += entry >> 63;
  }
  close(fd);
  return count;
}

TEST(Checkpoint, DroppedPagesLeaveTheResidentSize) {
  const ScratchDir dir;
  dir.write("model.safetensors",
            safetensors_bytes(R"({"a":{"dtype":"U8","shape":[4194304],"data_offsets":[0,4194304]}})", 4194304));
  const auto checkpoint = Checkpoint::open(dir.path()).value();
  const std::span<const std::byte> bytes = checkpoint->find("a")->bytes;
  unsigned sum = 0;
  for (size_t i = 0; i < bytes.size(); i += 512) sum += static_cast<unsigned>(bytes[i]);
  ASSERT_GE(resident_pages(bytes), 1024u) << sum;
  checkpoint->drop_pages(bytes.first(bytes.size() / 2));
  EXPECT_LE(resident_pages(bytes), 513u);
  checkpoint->drop_pages(bytes);
  EXPECT_EQ(resident_pages(bytes), 0u);
  EXPECT_EQ(bytes[259], std::byte{3});  // and reads the same again
}

class RealFiles : public testing::Test {
 protected:
  void SetUp() override {
    if (!have_data("models")) GTEST_SKIP() << "no shared data; set WEIR_DATA";
  }
};

TEST_F(RealFiles, TinyStoriesStoresOnlyTheHeadOfATiedPair) {
  const std::string dir = data_path("models/TinyStories-656K");
  const ModelSpec spec = load_spec(dir).value();
  const auto checkpoint = Checkpoint::open(dir).value();
  const Status checked = check_tensors(spec, *checkpoint);
  EXPECT_TRUE(checked.ok()) << checked.message();
  EXPECT_EQ(parameter_count(spec), 656000u);
  EXPECT_EQ(checkpoint->find(kEmbedTensor), nullptr);
  EXPECT_EQ(resolve(spec, *checkpoint, kEmbedTensor), checkpoint->find(kHeadTensor));
  EXPECT_EQ(spec.bos, 1);
  EXPECT_THAT(spec.eos, ElementsAre(2));
  EXPECT_EQ(spec.file_dtype, DType::kF32);
  // Values pinned by another engine's test (learning-lm-rs, src/model.rs), to 1e-6.
  EXPECT_NEAR(f32_at(*checkpoint->find("lm_head.weight"), 50), 0.14453125, 1e-6);
  EXPECT_NEAR(f32_at(*checkpoint->find("model.layers.0.input_layernorm.weight"), 10), 0.18652344, 1e-6);
  EXPECT_NEAR(f32_at(*checkpoint->find("model.norm.weight"), 100), 0.73046875, 1e-6);
  EXPECT_NEAR(f32_at(*checkpoint->find("model.layers.1.mlp.gate_proj.weight"), 100), 0.296875, 1e-6);
}

TEST_F(RealFiles, TinyLlama3AndQwen3) {
  for (const char* name : {"models/hf-tiny-random/tiny_llama3", "models/hf-tiny-random/tiny_qwen3"}) {
    const ModelSpec spec = load_spec(data_path(name)).value();
    const auto checkpoint = Checkpoint::open(data_path(name)).value();
    const Status checked = check_tensors(spec, *checkpoint);
    EXPECT_TRUE(checked.ok()) << checked.message();
    EXPECT_EQ(weight_dtype(*checkpoint->find(kHeadTensor)).value(), DType::kBF16);
    EXPECT_NE(resolve(spec, *checkpoint, kEmbedTensor), checkpoint->find(kHeadTensor));
  }
}

TEST_F(RealFiles, Gemma3IsRefusedByName) {
  const Status status = load_spec(data_path("models/hf-tiny-random/tiny_gemma3")).status();
  EXPECT_EQ(status.code(), Code::kUnimplemented);
  EXPECT_THAT(status.message(), HasSubstr("gemma3_text"));
}

TEST_F(RealFiles, MinimalFilesOfOtherTypesAreListed) {
  const ScratchDir dir;
  std::filesystem::copy_file(data_path("models/safetensors-min/tensor-2d-float64.safetensors"),
                             dir.path() + "/model.safetensors");
  const auto checkpoint = Checkpoint::open(dir.path()).value();
  EXPECT_THAT(checkpoint->find("embedding")->shape, ElementsAre(2, 3));
  EXPECT_EQ(weight_dtype(*checkpoint->find("embedding")).status().code(), Code::kUnimplemented);
}

TEST_F(RealFiles, DisagreementsBetweenConfigAndFileAreNamed) {
  const std::string dir = data_path("models/hf-tiny-random/tiny_qwen3");
  const auto checkpoint = Checkpoint::open(dir).value();
  const ModelSpec good = load_spec(dir).value();
  ModelSpec spec = good;
  spec.ffn = 64;
  EXPECT_THAT(
      check_tensors(spec, *checkpoint).message(),
      HasSubstr("'model.layers.0.mlp.gate_proj.weight' has the shape [128, 64] and config.json needs [64, 64]"));
  spec = good;
  spec.layers = 3;
  EXPECT_THAT(check_tensors(spec, *checkpoint).message(),
              HasSubstr("'model.layers.2.input_layernorm.weight' [64] is missing"));
  spec = good;
  spec.layers = 1;  // half a model would answer fluent nonsense
  EXPECT_THAT(check_tensors(spec, *checkpoint).message(),
              HasSubstr("'model.layers.1.input_layernorm.weight' [64] has no place"));
  spec = good;
  spec.qk_norm = false;
  EXPECT_THAT(check_tensors(spec, *checkpoint).message(), HasSubstr("k_norm.weight' [16] has no place"));
  spec = good;
  spec.qkv_bias = true;
  EXPECT_THAT(check_tensors(spec, *checkpoint).message(), HasSubstr("q_proj.bias' [64] is missing"));
}

TEST_F(RealFiles, UntiedModelNeedsItsHead) {
  const std::string dir = data_path("models/TinyStories-656K");
  ModelSpec spec = load_spec(dir).value();
  spec.tie_embeddings = false;
  const auto checkpoint = Checkpoint::open(dir).value();
  EXPECT_THAT(check_tensors(spec, *checkpoint).message(),
              HasSubstr("'model.embed_tokens.weight' [2048, 128] is missing"));
}

}  // namespace
}  // namespace weir
