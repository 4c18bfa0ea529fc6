// One text to one value, near misses of words, and the help page.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "config/command_line.h"
#include "config/nearest.h"
#include "config/options.h"
#include "config/values.h"

namespace weir {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Values, Durations) {
  const auto ms = [](const char* text) {
    const Result<int64_t> result = parse_duration_ms(text);
    return result.ok() ? *result : -1;
  };
  EXPECT_EQ(ms("30s"), 30'000);
  EXPECT_EQ(ms("500ms"), 500);
  EXPECT_EQ(ms("2m"), 120'000);
  EXPECT_EQ(ms("1h"), 3'600'000);
  EXPECT_EQ(ms("7"), 7000);
  EXPECT_EQ(ms("1.5s"), 1500);
  EXPECT_EQ(ms("0"), 0);
  EXPECT_EQ(ms("168h"), 604'800'000);
  for (const char* bad :
       {"", "s", "-1s", "5 s", "1d", "nan", "inf", "169h", "1e3", "99999999999999999999h", "1s1"}) {
    EXPECT_EQ(ms(bad), -1) << bad;
  }
}

TEST(Values, CacheShare) {
  for (const char* good : {"0.8", "1", "1.0", "0.01", "2", "4096", "8GiB", "512MiB", "2g"}) {
    EXPECT_TRUE(check_cache_share(good).ok()) << good;
  }
  for (const char* bad : {"", "0", "0.0", "-1", "1.5", "nan", "inf", "x", "8Gib/s", "0GiB", "0.8 "}) {
    EXPECT_FALSE(check_cache_share(bad).ok()) << bad;
  }
}

TEST(Nearest, FindsTypingSlipsAndNothingElse) {
  EXPECT_EQ(edit_distance("serve", "serve"), 0u);
  EXPECT_EQ(edit_distance("sevre", "serve"), 1u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("a_b", "A-B"), 0u);
  EXPECT_EQ(nearest_word("srve", {"serve", "plan", "chat"}), "serve");
  EXPECT_EQ(nearest_word("quux", {"serve", "plan", "chat"}), "");
  EXPECT_EQ(nearest_word(std::string(100'000, 'a'), {"serve"}), "");
}

TEST(CommandHelp, FitsAScreenAndNamesEverySetting) {
  const CommandSpec spec{.name = "serve", .about = "x", .positional = "MODEL", .options = settings_flags()};
  const std::string page = command_help(spec);
  EXPECT_LE(std::count(page.begin(), page.end(), '\n'), 90);
  size_t widest = 0;
  for (const std::string& line : split_words(page, "\n")) widest = std::max(widest, line.size());
  EXPECT_LE(widest, 100u) << page;
  EXPECT_THAT(page, HasSubstr("--max-concurrent-requests N"));
  EXPECT_THAT(page, Not(HasSubstr("--tp ")));
  EXPECT_TRUE(parse_command(spec, {"--nonsense", "--help"})->help);
}

}  // namespace
}  // namespace weir
