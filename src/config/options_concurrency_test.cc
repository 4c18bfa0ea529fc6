// The flags of order, deadlines and overload: what they accept and what they answer to the rest.
#include <gtest/gtest.h>

#include "config/parse.h"

namespace weir {
namespace {

Result<Settings> parse(std::vector<std::string> words) {
  std::vector<std::string> warnings;
  words.insert(words.begin(), ".");  // a directory that exists
  return parse_settings(words, {}, &warnings);
}

TEST(ConcurrencyOptions, EveryFlagReachesItsMember) {
  const auto settings = parse({"--classes", "gold:urgent,iron:background", "--default-class", "iron", "--ageing", "5s",
                               "--request-timeout", "2m", "--ttft-slo", "800ms", "--tpot-slo", "50ms",
                               "--queue-delay-target", "3s", "--queue-keepalive", "15s", "--adaptive", "shadow",
                               "--brown-out", "off", "--watchdog-timeout", "7s"});
  ASSERT_TRUE(settings.ok()) << settings.status().message();
  const std::vector<ClassSetting> classes = {{"gold", "urgent"}, {"iron", "background"}};
  EXPECT_EQ(settings->classes, classes);
  EXPECT_EQ(settings->default_class, "iron");
  EXPECT_EQ(settings->ageing_ms, 5000);
  EXPECT_EQ(settings->request_timeout_ms, 120'000);
  EXPECT_EQ(settings->ttft_slo_ms, 800);
  EXPECT_EQ(settings->tpot_slo_ms, 50);
  EXPECT_EQ(settings->queue_delay_target_ms, 3000);
  EXPECT_EQ(settings->queue_keepalive_ms, 15'000);
  EXPECT_EQ(settings->adaptive, "shadow");
  EXPECT_EQ(settings->brown_out, "off");
  EXPECT_EQ(settings->watchdog_timeout_ms, 7000);
}

TEST(ConcurrencyOptions, TheDefaultClassIsTheFirstStandardOne) {
  EXPECT_EQ(parse({})->default_class, "normal");
  EXPECT_EQ(parse({"--classes", "a:urgent,b:background"})->default_class, "a");
  EXPECT_EQ(parse({"--classes", "one"})->default_class, "one");
}

TEST(ConcurrencyOptions, BadOnesAreErrorsThatSayWhatToDo) {
  const auto message = [](std::vector<std::string> words) {
    const auto settings = parse(std::move(words));
    return settings.ok() ? std::string("accepted") : std::string(settings.status().message());
  };
  EXPECT_NE(message({"--classes", "Gold"}).find("no class name"), std::string::npos);
  EXPECT_NE(message({"--classes", "a:fast"}).find("choose urgent, standard or background"), std::string::npos);
  EXPECT_NE(message({"--classes", "a,a"}).find("twice"), std::string::npos);
  EXPECT_NE(message({"--classes", ""}).find("1 to 8 classes"), std::string::npos);
  EXPECT_NE(message({"--classes", "a,b,c,d,e,f,g,h,i"}).find("1 to 8 classes"), std::string::npos);
  EXPECT_NE(message({"--default-class", "gold"}).find("none of --classes: interactive, normal, batch"), std::string::npos);
  EXPECT_NE(message({"--ageing", "0"}).find("choose 100ms to 24h"), std::string::npos);
  EXPECT_NE(message({"--adaptive", "maybe"}).find("choose off, on, shadow"), std::string::npos);
  EXPECT_NE(message({"--watchdog-timeout", "-1s"}).find("watchdog-timeout"), std::string::npos);
}

}  // namespace
}  // namespace weir
