#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/safetensors.h"
#include "checkpoint/test_files.h"

namespace weir {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string one_tensor(const std::string& name, const std::string& extra = "") {
  return safetensors_bytes("{\"" + name + R"(":{"dtype":"U8","shape":[4],"data_offsets":[0,4]})" + extra + "}", 4);
}

float f32_at(const Checkpoint& checkpoint, const std::string& name, size_t index) {
  float value = 0;
  EXPECT_TRUE(
      checkpoint.read(*checkpoint.find(name), 4 * index, std::as_writable_bytes(std::span(&value, 1))).ok());
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
  std::byte last{};
  EXPECT_TRUE(checkpoint->read(*checkpoint->find("a"), 3, std::span(&last, 1)).ok());
  EXPECT_EQ(last, std::byte{3});
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

// Whichever byte the cut is at: what is there is read, the rest is an error, and no read faults.
TEST(Faults, truncated_while_a_tensor_is_read) {
  constexpr size_t kBytes = 64 << 10;
  const ScratchDir dir;
  dir.write("model.safetensors",
            safetensors_bytes(R"({"a":{"dtype":"U8","shape":[65536],"data_offsets":[0,65536]}})", kBytes));
  const auto checkpoint = Checkpoint::open(dir.path()).value();
  const StoredTensor& tensor = *checkpoint->find("a");
  EXPECT_TRUE(checkpoint->check_files().ok());
  std::vector<std::byte> into(kBytes);
  ASSERT_TRUE(checkpoint->read(tensor, 0, into).ok());
  EXPECT_EQ(into[259], std::byte{3});
  ASSERT_EQ(truncate((dir.path() + "/model.safetensors").c_str(), static_cast<off_t>(tensor.offset + kBytes / 2)),
            0);
  EXPECT_TRUE(checkpoint->read(tensor, 0, std::span(into).first(kBytes / 2)).ok());
  for (const uint64_t from : {uint64_t{0}, kBytes / 2 - 1, kBytes / 2, kBytes - 1}) {
    const Status status =
        checkpoint->read(tensor, from, std::span(into).first(std::min(kBytes / 2 + 1, kBytes - from)));
    EXPECT_EQ(status.code(), Code::kDataLoss) << from;
    EXPECT_THAT(status.message(), HasSubstr("model.safetensors: was ")) << from;
  }
  EXPECT_FALSE(checkpoint->file_of(tensor).try_read(tensor.offset, into));
  EXPECT_EQ(checkpoint->check_files().code(), Code::kDataLoss);
  EXPECT_EQ(read_header(checkpoint->file_of(tensor)).status().code(), Code::kOk) << "the header is still whole";
  ASSERT_EQ(truncate((dir.path() + "/model.safetensors").c_str(), 10), 0);
  EXPECT_EQ(read_header(checkpoint->file_of(tensor)).status().code(), Code::kDataLoss);
}

// Half of the old file and half of the new one would be a model that was never trained.
TEST(Faults, written_to_while_it_is_read) {
  const ScratchDir dir;
  dir.write("model.safetensors", one_tensor("a"));
  const auto checkpoint = Checkpoint::open(dir.path()).value();
  const timespec times[2] = {{.tv_sec = 1, .tv_nsec = 0}, {.tv_sec = 2'000'000'000, .tv_nsec = 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, (dir.path() + "/model.safetensors").c_str(), times, 0), 0);
  EXPECT_THAT(checkpoint->check_files().message(),
              HasSubstr("model.safetensors: was written to while it was read"));
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
  EXPECT_NEAR(f32_at(*checkpoint, "lm_head.weight", 50), 0.14453125, 1e-6);
  EXPECT_NEAR(f32_at(*checkpoint, "model.layers.0.input_layernorm.weight", 10), 0.18652344, 1e-6);
  EXPECT_NEAR(f32_at(*checkpoint, "model.norm.weight", 100), 0.73046875, 1e-6);
  EXPECT_NEAR(f32_at(*checkpoint, "model.layers.1.mlp.gate_proj.weight", 100), 0.296875, 1e-6);
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
