#include "checkpoint/model_name.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "checkpoint/test_files.h"

namespace weir {
namespace {

namespace fs = std::filesystem;

// The working directory for as long as it lives.
struct In {
  explicit In(const fs::path& dir) : before(fs::current_path()) { fs::current_path(dir); }
  ~In() { fs::current_path(before); }
  const fs::path before;
};

TEST(Faults, names_of_models) {
  const ScratchDir dir;
  const fs::path model = fs::path(dir.path()) / "Qwen3-0.6B";
  const fs::path snapshot = fs::path(dir.path()) / "models--Qwen--Qwen3-0.6B" / "snapshots" / std::string(40, 'a');
  fs::create_directories(model / "sub");
  fs::create_directories(snapshot);
  fs::create_directory_symlink(model, fs::path(dir.path()) / "latest");
  for (const char* end : {"", "/", "//", "/.", "/./"})
    EXPECT_EQ(model_name_of(model.string() + end), "Qwen3-0.6B") << end;
  EXPECT_EQ(model_name_of(model.string() + "/sub/.."), "Qwen3-0.6B");
  EXPECT_EQ(model_name_of(snapshot.string()), "Qwen/Qwen3-0.6B");
  EXPECT_EQ(model_name_of(snapshot.string() + "/"), "Qwen/Qwen3-0.6B");
  EXPECT_EQ(model_name_of(dir.path() + "/latest"), "latest") << "a person called it so";
  {
    const In in(model);
    for (const char* here : {".", "./", "sub/.."}) EXPECT_EQ(model_name_of(here), "Qwen3-0.6B") << here;
  }
  {
    const In in(snapshot);
    EXPECT_EQ(model_name_of("."), "Qwen/Qwen3-0.6B");
  }
  const In in(dir.path());
  EXPECT_EQ(model_name_of("Qwen3-0.6B"), "Qwen3-0.6B");
  EXPECT_EQ(model_name_of("latest/."), "latest");
  EXPECT_EQ(model_name_of("latest/sub/.."), "Qwen3-0.6B");
}

TEST(ModelName, NamesThatNoClientCouldSend) {
  EXPECT_EQ(model_name_of("/m/my model (v2)"), "my-model-(v2)");
  EXPECT_EQ(model_name_of("/m/it's \"new\"\n"), "it-s-new-");
  EXPECT_EQ(model_name_of("/m/\xe5\x8d\x83\xe9\x97\xae"), "\xe5\x8d\x83\xe9\x97\xae");
  EXPECT_EQ(model_name_of("/m/a\xff\xfe"
                          "b"),
            "a-b");
  EXPECT_EQ(model_name_of("/"), "model");
  EXPECT_EQ(model_name_of("/m/  "), "model");
}

TEST(ModelName, HubCachesWithoutAnOwnerAndWhatOnlyLooksLikeOne) {
  EXPECT_EQ(model_name_of("/hub/models--gpt2/snapshots/0123"), "gpt2");
  EXPECT_EQ(model_name_of("/hub/models--/snapshots/0123"), "0123");
  EXPECT_EQ(model_name_of("/data/run7/snapshots/0123"), "0123");
  EXPECT_EQ(model_name_of("/hub/datasets--a--b/snapshots/0123"), "0123");
}

}  // namespace
}  // namespace weir
