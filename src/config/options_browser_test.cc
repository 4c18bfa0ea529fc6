// Hosts and origins as words, commas or JSON, and what is no origin.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/options.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Status set(const std::string& name, const std::vector<std::string>& values, Settings* settings) {
  std::vector<std::string> warnings;
  for (const SettingOption& option : setting_options()) {
    if (option.spec.name == name) return option.set(values, settings, &warnings);
  }
  return not_found(name);
}

TEST(BrowserOptions, ListsAreReadAsWordsCommasOrJson) {
  Settings settings;
  const std::vector<std::vector<std::string>> ways = {{"https://A.example", "http://b.example:8080"},
                                                      {"https://a.example,http://b.example:8080"},
                                                      {R"(["https://a.example", "http://b.example:8080"])"}};
  for (const auto& way : ways) {
    ASSERT_TRUE(set("allow-origins", way, &settings).ok());
    EXPECT_THAT(settings.allow_origins, ElementsAre("https://a.example", "http://b.example:8080"));
  }
  for (const std::string& way : {std::string("http://[::1]:3000, http://a.example"),
                                 std::string(R"(["http://[::1]:3000", "http://a.example"])")}) {
    ASSERT_TRUE(set("allow-origins", {way}, &settings).ok()) << way;
    EXPECT_THAT(settings.allow_origins, ElementsAre("http://[::1]:3000", "http://a.example"));
  }
  ASSERT_TRUE(set("allow-origins", {"*"}, &settings).ok());
  EXPECT_THAT(settings.allow_origins, ElementsAre("*"));
  ASSERT_TRUE(set("allowed-hosts", {"Weir.example.com"}, &settings).ok());
  EXPECT_THAT(settings.allowed_hosts, ElementsAre("weir.example.com"));
  ASSERT_TRUE(set("allow-credentials", {}, &settings).ok());
  EXPECT_TRUE(settings.allow_credentials);
}

TEST(BrowserOptions, WhatIsNoOriginAndNoHostIsRefused) {
  Settings settings;
  for (const char* wrong :
       {"app.example.com", "https://", "https://a.example/", "https://a.example/path", "https://*.example"}) {
    EXPECT_THAT(set("allow-origins", {wrong}, &settings).message(), HasSubstr("no origin")) << wrong;
  }
  for (const char* wrong : {"http://a.example", "a.example:80"}) {
    EXPECT_THAT(set("allowed-hosts", {wrong}, &settings).message(), HasSubstr("no host name")) << wrong;
  }
}

}  // namespace
}  // namespace weir
