// The key file: what is read from a good one, and the line that each bad one gets.
#include "config/tenants_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

const std::vector<std::string> kClasses = {"interactive", "normal", "batch"};

std::string digest(const char* key) { return "\"sha256:" + hex_of(sha256(key)) + "\""; }

Result<std::vector<TenantSetting>> parse(const std::string& text) {
  return parse_tenants_toml(text, "keys.toml", kClasses);
}

std::string error(const std::string& text) {
  const auto parsed = parse(text);
  EXPECT_FALSE(parsed.ok()) << text;
  if (parsed.ok()) return "";
  EXPECT_EQ(parsed.status().code(), Code::kInvalidArgument);
  EXPECT_EQ(parsed.status().message().find('\n'), std::string::npos) << "one line";
  return parsed.status().message();
}

// One tenant with good name and keys, and one more line.
std::string error_of(const std::string& line) {
  return error("[[tenant]]\nname = \"a\"\nkeys = []\n" + line + "\n");
}

TEST(TenantsFile, EveryFieldIsRead) {
  const auto parsed = parse(
      "# who may use this server\n[[tenant]]\nname = \"acme\"\nweight = 3\nclass = \"normal\"\n"
      "classes = [\"interactive\", \"normal\"]\nkeys = [" +
      digest("one") + ", " + digest("two") +
      "]\nconcurrent = 8\nqueued = 0\ntokens_per_minute = 60_000\nkv_share = 0.5\n"
      "host_bytes = \"64MiB\"\n\n[[tenant]]\nname = \"small.co\"\nkeys = []\nhost_bytes = 65536\n"
      "[[tenant]]\nname = \"default\"\nweight = 0.25\n");
  ASSERT_TRUE(parsed.ok()) << parsed.status().message();
  ASSERT_EQ(parsed->size(), 3u);
  const TenantSetting expected{.name = "acme",
                               .weight = 3,
                               .class_name = "normal",
                               .classes = {"interactive", "normal"},
                               .keys = {sha256("one"), sha256("two")},
                               .concurrent = 8,
                               .queued = 0,
                               .tokens_per_minute = 60'000,
                               .host_bytes = uint64_t{64} << 20,
                               .kv_share = 0.5};
  EXPECT_EQ((*parsed)[0], expected);
  EXPECT_EQ((*parsed)[1], (TenantSetting{.name = "small.co", .host_bytes = 65536})) << "nothing else is limited";
  EXPECT_EQ((*parsed)[2].weight, 0.25);
}

TEST(TenantsFile, ABadValueIsNamedWithItsLine) {
  EXPECT_EQ(error_of("weight = -1"), "keys.toml:4: weight: -1 is no weight; choose 0.001 to 1000");
  EXPECT_THAT(error_of("weight = 0"), HasSubstr("keys.toml:4: weight: 0 is no weight"));
  EXPECT_THAT(error_of("weight = nan"), HasSubstr("nan is no weight"));
  EXPECT_THAT(error_of("weight = inf"), HasSubstr("inf is no weight"));
  EXPECT_THAT(error_of("weight = \"3\""), HasSubstr("must be a number"));
  EXPECT_THAT(error_of("kv_share = 0"), HasSubstr("kv_share: 0 is no share"));
  EXPECT_THAT(error_of("kv_share = 1.01"), HasSubstr("choose 0.001 to 1"));
  EXPECT_THAT(error_of("kv_share = nan"), HasSubstr("no share"));
  EXPECT_THAT(error_of("concurrent = 0"), HasSubstr("whole number from 1 to"));
  EXPECT_THAT(error_of("concurrent = 1.5"), HasSubstr("whole number"));
  EXPECT_THAT(error_of("queued = -1"), HasSubstr("whole number from 0 to"));
  EXPECT_THAT(error_of("tokens_per_minute = 0"), HasSubstr("whole number from 1 to"));
  EXPECT_THAT(error_of("host_bytes = \"64 parsecs\""), HasSubstr("keys.toml:4: host_bytes"));
  EXPECT_THAT(error_of("host_bytes = -5"), HasSubstr("less than 64KiB"));
  EXPECT_THAT(error_of("host_bytes = true"), HasSubstr("string in quotes"));
  EXPECT_THAT(error_of("class = \"urgent\""),
              HasSubstr("\"urgent\" is none of the classes interactive, normal, batch"));
  EXPECT_THAT(error_of("classes = [\"batch\", \"bulk\"]"), HasSubstr("\"bulk\" is none of the classes"));
  EXPECT_THAT(error_of("classes = []"), HasSubstr("is empty"));
  EXPECT_THAT(error_of("classes = \"batch\""), HasSubstr("must be a list of strings"));
  EXPECT_THAT(error("[[tenant]]\nname = \"A b\"\nkeys = []\n"),
              HasSubstr("keys.toml:2: name: \"A b\" is no tenant's name"));
  EXPECT_THAT(error("[[tenant]]\nname = 7\nkeys = []\n"), HasSubstr("string in quotes"));
  EXPECT_THAT(error("[[tenant]]\nname = \"" + std::string(65, 'a') + "\"\nkeys = []\n"), HasSubstr("up to 64"));
}

TEST(TenantsFile, UnknownFieldsAreErrorsThatNameTheNearest) {
  EXPECT_EQ(error_of("wieght = 3"), "keys.toml:4: unknown field \"wieght\"; did you mean weight?");
  EXPECT_THAT(error_of("tokens-per-minute = 3"), HasSubstr("did you mean tokens_per_minute?"));
  EXPECT_THAT(error_of("colour = 3"), HasSubstr("there are class, classes, concurrent"));
  EXPECT_THAT(error("[[tenants]]\nname = \"a\"\n"), HasSubstr("keys.toml:1: \"tenants\" is not known here"));
  EXPECT_THAT(error("[tenant]\nname = \"a\"\n"), HasSubstr("[[tenant]] tables alone"));
  EXPECT_THAT(error("x = 1\n"), HasSubstr("\"x\" is not known here"));
}

TEST(TenantsFile, KeysAreDigestsAndAreNeverRepeated) {
  const std::string plain = error("[[tenant]]\nname = \"a\"\nkeys = [" + digest("one") + ", \"my-secret-key\"]\n");
  EXPECT_THAT(
      plain,
      HasSubstr("keys.toml:3: keys: key 2 is not hashed; write \"sha256:\" and what printf %s KEY | sha256sum"));
  EXPECT_THAT(plain, Not(HasSubstr("my-secret")));
  const std::string cut = error("[[tenant]]\nname = \"a\"\nkeys = [\"sha256:my-secret\"]\n");
  EXPECT_THAT(cut, HasSubstr("64 hexadecimal digits"));
  EXPECT_THAT(cut, Not(HasSubstr("my-secret")));
  EXPECT_THAT(error("[[tenant]]\nname = \"a\"\nkeys = \"x\"\n"), HasSubstr("must be a list of strings"));
  EXPECT_THAT(error("[[tenant]]\nname = \"a\"\nkeys = [1]\n"), HasSubstr("string in quotes"));
  EXPECT_THAT(error("[[tenant]]\nname = \"a\"\n"), HasSubstr("tenant a has no keys; weir key makes one"));
  EXPECT_THAT(error("[[tenant]]\nkeys = []\n"), HasSubstr("keys.toml:1: a tenant without a name"));
}

TEST(TenantsFile, WhatStandsThereTwiceIsAnError) {
  const std::string a = "[[tenant]]\nname = \"a\"\nkeys = [" + digest("one") + "]\n";
  EXPECT_EQ(error(a + "[[tenant]]\nname = \"a\"\nkeys = []\n"),
            "keys.toml:4: tenant a stands at keys.toml:1 already; keep one");
  const std::string twice =
      error(a + "[[tenant]]\nname = \"b\"\nkeys = [" + digest("two") + ", " + digest("one") + "]\n");
  EXPECT_EQ(twice, "keys.toml:4: key 2 of tenant b is a key of a already; a key belongs to one tenant");
  EXPECT_THAT(error("[[tenant]]\nname = \"a\"\nkeys = [" + digest("x") + ", " + digest("x") + "]\n"),
              HasSubstr("already"));
  EXPECT_THAT(error("[[tenant]]\nname = \"a\"\nname = \"b\"\nkeys = []\n"), HasSubstr("keys.toml:3"));
}

TEST(TenantsFile, BadTomlAndEmptyFilesAreErrors) {
  EXPECT_THAT(error("[[tenant]]\nname = \"a\nkeys = []\n"), HasSubstr("keys.toml:2"));
  EXPECT_THAT(error("[[tenant]"), HasSubstr("keys.toml:1"));
  EXPECT_THAT(error("[[\n"), HasSubstr("keys.toml:1"));
  EXPECT_THAT(error(""), HasSubstr("holds no tenant"));
  EXPECT_THAT(error("tenant = []\n"), HasSubstr("keys.toml"));
  EXPECT_THAT(error("tenant = [1]\n"), HasSubstr("[[tenant]] tables alone"));
}

TEST(TenantsFile, TooManyIsAnError) {
  std::string keys;
  for (int i = 0; i < 17; ++i) keys += digest(std::to_string(i).c_str()) + ", ";
  EXPECT_THAT(error("[[tenant]]\nname = \"a\"\nkeys = [" + keys + "]\n"),
              HasSubstr("holds 17 keys; a tenant has at most 16"));
  std::string many;
  for (int i = 0; i < 1023; ++i) many += "[[tenant]]\nname = \"t" + std::to_string(i) + "\"\nkeys = []\n";
  EXPECT_TRUE(parse(many).ok());
  EXPECT_THAT(error(many + "[[tenant]]\nname = \"more\"\nkeys = []\n"), HasSubstr("holds 1024 tenants"));
}

}  // namespace
}  // namespace weir
