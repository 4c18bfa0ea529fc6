// Weights from the cache are those from the checkpoint, bit for bit; whatever is wrong with a cache costs a line in the log
// and a packing. (That loading takes no more memory than the plan says: tests/model.)
#include "model/weight_load.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "checkpoint/test_files.h"
#include "device/host/host_device.h"
#include "model/weight_cache.h"

namespace weir {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr char kModels[] = "tests/golden/models/";

// The weights of one model in a region of their own.
struct Loaded {
  std::unique_ptr<Backend> backend;
  ModelSpec spec;
  ModelOptions options;
  Region region;
  Weights weights;
  std::string log;
  std::vector<std::pair<double, std::string>> progress;

  std::span<const std::byte> bytes() const {
    return {host_ptr<std::byte>(region.span().data), region.span().bytes};
  }
  std::span<const std::byte> stored() const { return bytes().first(weights.stored_bytes); }
};

Loaded load(const std::string& dir, WeightFormat format, const std::string& cache, int threads = 2, const char* isa = "") {
  Loaded out;
  out.backend = std::move(make_backend("cpu", {.threads = threads, .isa = isa, .pin = false})).value();
  out.spec = load_spec(dir).value();
  out.options = {.format = format, .session_tokens = 64, .step_tokens_max = 8, .sequences_max = 1};
  Cutter counter;
  cut_weights(out.spec, out.options, out.backend->ops(), &counter);
  out.region = std::move(out.backend->device().reserve(counter.used())).value();
  Cutter cutter(out.region.span());
  out.weights = cut_weights(out.spec, out.options, out.backend->ops(), &cutter);
  const auto checkpoint = Checkpoint::open(dir).value();
  const auto stream = std::move(out.backend->device().make_stream()).value();
  const WeightCacheUse use{cache, dir};
  const LoadProgress progress = [&](double fraction, std::string_view stage) { out.progress.emplace_back(fraction, stage); };
  testing::internal::CaptureStderr();
  const Status status = load_weights({.spec = out.spec, .options = out.options, .checkpoint = *checkpoint, .backend = *out.backend,
                                      .stream = *stream, .region = out.region.span(), .cache = use, .progress = progress},
                                     &out.weights);
  out.log = testing::internal::GetCapturedStderr();
  EXPECT_TRUE(status.ok()) << status.message();
  return out;
}

void expect_same_bytes(const Loaded& a, const Loaded& b) {
  ASSERT_EQ(a.bytes().size(), b.bytes().size());
  EXPECT_EQ(std::memcmp(a.bytes().data(), b.bytes().data(), a.bytes().size()), 0);
}

fs::path only_file(const ScratchDir& dir) {
  fs::path found;
  for (const auto& entry : fs::directory_iterator(dir.path())) {
    EXPECT_TRUE(found.empty()) << entry.path();
    found = entry.path();
  }
  return found;
}

struct ModelCase {
  const char* name;
  WeightFormat format;
};

class CacheHit : public testing::TestWithParam<ModelCase> {};

TEST_P(CacheHit, IsThePackedBytesBitForBit) {
  const std::string dir = std::string(kModels) + GetParam().name;
  const ScratchDir folder;
  const Loaded plain = load(dir, GetParam().format, "", 1), cold = load(dir, GetParam().format, folder.path());
  EXPECT_EQ(plain.log, "");
  EXPECT_THAT(cold.log, testing::ContainsRegex("INFO weights: weight cache .*: it is not there yet; packing the weights"));
  EXPECT_THAT(cold.log, HasSubstr(" written in "));
  const Loaded warm = load(dir, GetParam().format, folder.path());
  EXPECT_THAT(warm.log, testing::ContainsRegex("INFO weights: weight cache .* read and checked in "));
  EXPECT_THAT(warm.log, testing::Not(HasSubstr("packing")));
  EXPECT_EQ(std::count(warm.log.begin(), warm.log.end(), '\n'), 1);
  expect_same_bytes(cold, plain);
  expect_same_bytes(warm, plain);
}

INSTANTIATE_TEST_SUITE_P(
    Models, CacheHit,
    testing::Values(ModelCase{"llama3", WeightFormat::kF32}, ModelCase{"llama_tied", WeightFormat::kBF16},
                    ModelCase{"llama_tied_lmhead", WeightFormat::kInt8G32}, ModelCase{"qwen2", WeightFormat::kInt8G32},
                    ModelCase{"qwen2", WeightFormat::kInt4G32}, ModelCase{"llama3", WeightFormat::kInt4ZG64},
                    ModelCase{"qwen2_sharded", WeightFormat::kF16}, ModelCase{"qwen3", WeightFormat::kInt8G32}),
    [](const auto& info) {
      std::string name = std::string(info.param.name) + "_" + std::string(weight_format_name(info.param.format));
      std::replace(name.begin(), name.end(), '-', '_');
      return name;
    });

// Another digest says: the region's bytes changed, so raise kWeightOrderVersion, or kPackVersion where packing changed, and
// write them anew here.
TEST(WeightOrder, GoesUpWhenTheRegionsBytesChange) {
  ASSERT_EQ(kWeightOrderVersion, 1u);
  struct Golden {
    const char* model;
    WeightFormat format;
    const char* digest;
  };
  for (const Golden& golden : {Golden{"qwen2", WeightFormat::kInt8G32, "9200ce22512aeffbc55a08c75486c3eed9dc2e977c28a66eb36ec1b1b64f09ef"},
                               {"llama3", WeightFormat::kF32, "f5e30829b89df8bcbbb9e3dee3584838851f098087c0af6a3dfab1a84949374c"},
                               {"qwen3", WeightFormat::kBF16, "eda90066db8f3bb9b8ce43ba11f68d63f2defd5ccbf8ad2d020d525459ff4cec"}}) {
    const Loaded loaded = load(kModels + std::string(golden.model), golden.format, "", 1, "scalar");
    if (loaded.backend->packed_layout().isa != "scalar") GTEST_SKIP() << "WEIR_ISA has another layout's";
    ASSERT_EQ(loaded.backend->packed_layout().version, 1u);
    EXPECT_EQ(hex_of(sha256({reinterpret_cast<const char*>(loaded.stored().data()), loaded.stored().size()})), golden.digest)
        << golden.model;
  }
}

TEST(WeightLoad, TheSessionsLengthIsNoPartOfTheCache) {
  Cutter a, b;
  auto backend = std::move(make_backend("cpu", {.threads = 1, .isa = "", .pin = false})).value();
  const ModelSpec spec = load_spec(std::string(kModels) + "qwen3").value();
  ModelOptions options{.format = WeightFormat::kInt8G32, .session_tokens = 64, .step_tokens_max = 8, .sequences_max = 1};
  const uint64_t stored = cut_weights(spec, options, backend->ops(), &a).stored_bytes;
  options.session_tokens = 128;
  EXPECT_EQ(cut_weights(spec, options, backend->ops(), &b).stored_bytes, stored);
  EXPECT_LT(stored, a.used());
  EXPECT_LT(a.used(), b.used());
}

TEST(WeightLoad, ProgressHasEveryStageFromItsBeginningToItsEnd) {
  const std::string dir = std::string(kModels) + "qwen2";
  const ScratchDir folder;
  const auto stages = [](const Loaded& loaded) {
    std::vector<std::string> names;
    double last = 0;
    for (const auto& [fraction, stage] : loaded.progress) {
      if (names.empty() || names.back() != stage) {
        EXPECT_TRUE(names.empty() || last == 1.0) << last;
        names.push_back(stage);
        last = 0;
      }
      EXPECT_GE(fraction, last) << stage;
      last = fraction;
    }
    EXPECT_EQ(last, 1.0);
    return names;
  };
  EXPECT_THAT(stages(load(dir, WeightFormat::kBF16, "")), testing::ElementsAre("packing the weights"));
  EXPECT_THAT(stages(load(dir, WeightFormat::kBF16, folder.path())),
              testing::ElementsAre("packing the weights", "writing the weight cache"));
  EXPECT_THAT(stages(load(dir, WeightFormat::kBF16, folder.path())), testing::ElementsAre("reading the weight cache"));
}

// Each kind of bad file: what is done to a good one, and what the log then says.
struct Bad {
  const char* name;
  void (*spoil)(const fs::path& file);
  const char* says;
};

void flip(const fs::path& path, int64_t offset, bool from_end) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(offset, from_end ? std::ios::end : std::ios::beg);
  const auto at = file.tellg();
  const int byte = file.get();
  file.seekp(at);
  file.put(static_cast<char>(byte ^ 1));
}

// Rewrites the first page as another weir, or another model's, would have.
void change_key(const fs::path& path, void (*change)(WeightCacheKey*)) {
  CachePage page;
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.read(reinterpret_cast<char*>(page.data()), static_cast<std::streamsize>(page.size()));
  WeightCacheHeader header = parse_cache_page(page).value();
  change(&header.key);
  page = write_cache_page(header);
  file.seekp(0);
  file.write(reinterpret_cast<const char*>(page.data()), static_cast<std::streamsize>(page.size()));
}

const Bad kBad[] = {
    {"Empty", [](const fs::path& path) { fs::resize_file(path, 0); }, "it is cut short"},
    {"CutInTheTable", [](const fs::path& path) { fs::resize_file(path, 5000); }, "it is cut short"},
    {"CutInTheWeights", [](const fs::path& path) { fs::resize_file(path, fs::file_size(path) - 1); }, "it is cut short"},
    {"Longer", [](const fs::path& path) { fs::resize_file(path, fs::file_size(path) + 64); }, "it has 64 bytes more"},
    {"HeaderBit", [](const fs::path& path) { flip(path, 30, false); }, "its first page is damaged"},
    {"DigestBit", [](const fs::path& path) { flip(path, 4096, false); }, "its table of digests is damaged"},
    {"WeightsBit", [](const fs::path& path) { flip(path, -3, true); }, "is damaged"},
    {"NoCacheAtAll", [](const fs::path& path) { std::ofstream(path) << std::string(9000, 'x'); }, "it is not a weight cache"},
    {"OtherModel", [](const fs::path& path) { change_key(path, [](WeightCacheKey* key) { key->model[0] ^= 1; }); }, "other weights"},
    {"OtherVersion", [](const fs::path& path) { change_key(path, [](WeightCacheKey* key) { key->pack_version += 1; }); },
     "and this weir packs version"},
    {"OtherFormat", [](const fs::path& path) { change_key(path, [](WeightCacheKey* key) { key->format = "f16"; }); },
     "its weights are f16 and this server wants int8"},
    {"OtherInstructionSet", [](const fs::path& path) { change_key(path, [](WeightCacheKey* key) { key->isa = "mmx"; }); },
     "it was packed for mmx"},
    {"OtherSize", [](const fs::path& path) { change_key(path, [](WeightCacheKey* key) { key->bytes *= 2; }); }, "the plan says"},
    {"Link",
     [](const fs::path& path) {
       fs::rename(path, path.parent_path().string() + ".away");
       fs::create_symlink(path.parent_path().string() + ".away", path);
     },
     "symbolic link"},
    {"Pipe", [](const fs::path& path) { fs::remove(path), (void)mkfifo(path.c_str(), 0600); }, "not a regular file"},
    {"WritableByAll", [](const fs::path& path) { fs::permissions(path, fs::perms(0666)); }, "other users may write to it"},
};

class BadCache : public testing::TestWithParam<Bad> {};

TEST_P(BadCache, IsToldIgnoredAndWrittenAgain) {
  const std::string dir = std::string(kModels) + "qwen2";
  const ScratchDir folder;
  const Loaded first = load(dir, WeightFormat::kInt8G32, folder.path());
  const fs::path file = only_file(folder);
  GetParam().spoil(file);
  const Loaded second = load(dir, WeightFormat::kInt8G32, folder.path());
  EXPECT_THAT(second.log, HasSubstr("WARNING weights: weight cache " + file.string() + ": "));
  EXPECT_THAT(second.log, HasSubstr(GetParam().says));
  EXPECT_THAT(second.log, HasSubstr("; packing the weights again\n"));
  EXPECT_EQ(std::count(second.log.begin(), second.log.end(), '\n'), 2) << "one line, and that it was written: " << second.log;
  expect_same_bytes(second, first);
  EXPECT_EQ(only_file(folder), file);
  const Loaded third = load(dir, WeightFormat::kInt8G32, folder.path());
  EXPECT_THAT(third.log, HasSubstr("read and checked"));
  expect_same_bytes(third, first);
  fs::remove(folder.path() + ".away");
}

INSTANTIATE_TEST_SUITE_P(Files, BadCache, testing::ValuesIn(kBad), [](const auto& info) { return std::string(info.param.name); });

// A model whose vectors end inside a cache line: norms of 36 numbers in f32.
void write_odd_model(const ScratchDir& dir) {
  const std::string config = R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 36,
      "intermediate_size": 44, "num_attention_heads": 2, "num_key_value_heads": 1, "num_hidden_layers": 1, "vocab_size": 50,
      "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": true,
      "hidden_act": "silu", "torch_dtype": "bfloat16"})";
  std::string header;
  size_t bytes = 0;
  for (const TensorNeed& need : tensors_of(parse_config(config, "").value())) {
    if (need.optional) continue;
    size_t size = 2;
    std::string shape;
    for (const int64_t dim : need.shape) {
      size *= static_cast<size_t>(dim);
      shape += (shape.empty() ? "" : ",") + std::to_string(dim);
    }
    header += (bytes ? ",\"" : "{\"") + need.name + R"(":{"dtype":"BF16","shape":[)" + shape + R"(],"data_offsets":[)" +
              std::to_string(bytes) + "," + std::to_string(bytes + size) + "]}";
    bytes += size;
  }
  std::string file = safetensors_bytes(header + "}", bytes);
  for (size_t i = file.size() - bytes + 1; i < file.size(); i += 2) file[i] = 0x3c;  // about 0.01, all of them finite
  dir.write("config.json", config);
  dir.write("model.safetensors", file);
}

// Padding is never packed, so what a damaged file left in it must go before the packing.
TEST(WeightLoad, NothingOfADamagedFileStaysInTheRegion) {
  const ScratchDir model, folder;
  write_odd_model(model);
  const Loaded plain = load(model.path(), WeightFormat::kBF16, "");
  (void)load(model.path(), WeightFormat::kBF16, folder.path());
  const fs::path path = only_file(folder);
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(2 * kCachePageBytes);
  file << std::string(fs::file_size(path) - 2 * kCachePageBytes, '\xa5');
  file.close();
  const Loaded packed = load(model.path(), WeightFormat::kBF16, folder.path());
  EXPECT_THAT(packed.log, HasSubstr("its piece 1 of 1 is damaged"));
  expect_same_bytes(packed, plain);
  const std::byte* after_norm = plain.bytes().data() + 36 * sizeof(float);
  EXPECT_EQ(*after_norm, std::byte{0}) << "there is padding here, or this test tests nothing";
}

TEST(WeightLoad, AModelThatWasReplacedIsPackedAgain) {
  const ScratchDir model, folder;
  for (const char* name : {"config.json", "model.safetensors"}) {
    fs::copy_file(std::string(kModels) + "qwen2/" + name, model.path() + "/" + name);
  }
  (void)load(model.path(), WeightFormat::kInt8G32, folder.path());
  const std::string file = model.path() + "/model.safetensors";
  struct stat before {};
  ASSERT_EQ(stat(file.c_str(), &before), 0);
  flip(file, -300, true);  // in place, and its time put back
  const timespec times[2] = {before.st_atim, before.st_mtim};
  ASSERT_EQ(utimensat(AT_FDCWD, file.c_str(), times, 0), 0);
  const Loaded changed = load(model.path(), WeightFormat::kInt8G32, folder.path());
  EXPECT_THAT(changed.log, HasSubstr("it is of other weights, or the model's files were changed; packing the weights again"));
  expect_same_bytes(changed, load(model.path(), WeightFormat::kInt8G32, ""));
}

TEST(WeightLoad, AFileThatCannotTakeItsPlaceIsOneWarning) {
  const std::string dir = std::string(kModels) + "qwen2";
  const Loaded plain = load(dir, WeightFormat::kInt8G32, "");
  const ScratchDir folder;  // a directory stands where the file should be: it is not removed
  (void)load(dir, WeightFormat::kInt8G32, folder.path());
  const fs::path file = only_file(folder);
  fs::remove(file);
  fs::create_directory(file);
  const Loaded blocked = load(dir, WeightFormat::kInt8G32, folder.path());
  EXPECT_THAT(blocked.log, HasSubstr("it is not a regular file; packing the weights again"));
  EXPECT_THAT(blocked.log, HasSubstr("remove what is there; serving without a cache"));
  expect_same_bytes(blocked, plain);
}

TEST(WeightLoad, ThePlanCanSayWhatIsThere) {
  const std::string dir = std::string(kModels) + "qwen2";
  const ScratchDir folder;
  const auto state = [&](const Loaded& loaded) {
    return weight_cache_state(loaded.spec, loaded.options, *Checkpoint::open(dir).value(), *loaded.backend, {folder.path(), dir});
  };
  const Loaded plain = load(dir, WeightFormat::kInt8G32, "");
  EXPECT_THAT(state(plain), HasSubstr(": it is not there yet; a start packs the weights and writes "));
  EXPECT_THAT(state(load(dir, WeightFormat::kInt8G32, folder.path())), HasSubstr(" of this model, to be read at start"));
  fs::resize_file(only_file(folder), 5);
  EXPECT_THAT(state(plain), HasSubstr(": it is cut short"));
  fs::remove_all(folder.path());
  EXPECT_THAT(state(plain), HasSubstr(": the folder is not there; a start makes it"));
  EXPECT_FALSE(fs::exists(folder.path())) << "a plan makes nothing";
}

}  // namespace
}  // namespace weir
