// What weir says to flags of other servers is true: the flags that it sends people to exist, and take what it says.
#include "config/foreign.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <set>

#include "config/options.h"
#include "config/parse.h"

namespace weir {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// Every flag that a text names, without its dashes.
std::vector<std::string> flags_in(const std::string& text) {
  std::vector<std::string> out;
  const std::regex flag("--([a-z][a-z-]*)");
  for (std::sregex_iterator at(text.begin(), text.end(), flag), end; at != end; ++at) out.push_back((*at)[1]);
  return out;
}

TEST(Faults, kv_cache_dtype_lies) {
  const std::string hint = foreign_flag_hint("kv-cache-dtype");
  EXPECT_THAT(hint, AllOf(HasSubstr("--quant-policy 8 or 4"), HasSubstr("int8 or int4"), HasSubstr("no fp8")));
  EXPECT_THAT(hint, Not(HasSubstr("leave it out")));
  std::vector<std::string> warnings;
  const Status status = parse_settings({"models/weir-demo", "--kv-cache-dtype", "fp8"}, {}, &warnings).status();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr(hint));
  for (const char* policy : {"8", "4"}) {
    EXPECT_TRUE(parse_settings({"models/weir-demo", "--quant-policy", policy}, {}, &warnings).ok()) << policy;
  }
}

TEST(Foreign, EveryFlagThatAHintNamesExists) {
  std::set<std::string> known;
  for (const OptionSpec& option : settings_flags()) known.insert(option.name);
  int named = 0;
  for (const std::string_view name : foreign_flags()) {
    EXPECT_EQ(known.count(std::string(name)), 0u) << name << " is a flag of weir's own";
    for (const std::string& flag : flags_in(foreign_flag_hint(name))) {
      ++named;
      EXPECT_EQ(known.count(flag), 1u) << name << " is answered with --" << flag;
    }
  }
  EXPECT_GT(named, 20);
}

TEST(Foreign, GuessingIsNotDenied) {
  for (const char* name : {"speculative-algorithm", "speculative-draft-model", "speculative-num-draft-tokens"}) {
    EXPECT_THAT(foreign_flag_hint(name),
                AllOf(HasSubstr("--speculative"), Not(HasSubstr("no speculative decoding"))))
        << name;
  }
  std::vector<std::string> warnings;
  EXPECT_TRUE(
      parse_settings({"models/weir-demo", "--speculative", "ngram", "--speculative-tokens", "4"}, {}, &warnings)
          .ok());
}

}  // namespace
}  // namespace weir
