// What an operator can meet has a line in the docs: every metric, every reason of a refusal, every way a sequence
// ends, every line of the plan, every stage of the governor. Read from the sources, so that a new one without a
// line fails here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

#include "repo_files.h"

namespace weir {
namespace {

using ::testing::IsEmpty;

constexpr char kOperations[] = "docs/operations.md";
constexpr char kMemory[] = "docs/operating/memory.md";
constexpr char kConcurrency[] = "docs/operating/concurrency.md";

// All first groups of `pattern` in `text`, in order.
std::vector<std::string> found(const std::string& text, const std::string& pattern) {
  std::vector<std::string> out;
  const std::regex expression(pattern);
  for (std::sregex_iterator at(text.begin(), text.end(), expression), end; at != end; ++at) out.push_back((*at)[1]);
  return out;
}

// The enumerators of `enum class NAME`, without those that are no value of their own.
std::vector<std::string> enumerators(const std::string& header, const std::string& name) {
  const size_t begin = header.find("enum class " + name + " ");
  const size_t end = begin == std::string::npos ? begin : header.find("};", begin);
  if (end == std::string::npos) return {};
  std::vector<std::string> out;
  for (const std::string& one : found(header.substr(begin, end - begin), R"(\n\s+(k[A-Z]\w*))")) {
    if (one != "kCount" && one != "kNone") out.push_back(one);
  }
  return out;
}

// The names that a function of `case Enum::kX: return "name";` gives them. A missing one is "", which no page has.
std::vector<std::string> names_of(const std::vector<std::string>& values, const std::string& name,
                                  const std::string& source) {
  std::vector<std::string> out;
  for (const std::string& value : values) {
    const auto names = found(source, name + "::" + value + R"(:\s+return "([^"]+)\")");
    out.push_back(names.empty() ? "(" + value + " has no name)" : names[0]);
  }
  return out;
}

// As `name` or `name{label}`: a word of its own, not a part of a longer one.
bool mentions(const std::string& page, const std::string& name) {
  return page.find("`" + name + "`") != std::string::npos || page.find("`" + name + "{") != std::string::npos;
}

std::vector<std::string> not_in(const std::string& page, const std::vector<std::string>& names) {
  std::vector<std::string> out;
  for (const std::string& name : names) {
    if (!mentions(page, name)) out.push_back(name);
  }
  return out;
}

std::string metric_sources() {
  return read_text("src/api/metrics_text.cc") + read_text("src/api/metrics_tenants.cc");
}

TEST(OperatorDocs, EveryMetricHasALine) {
  const auto families = found(metric_sources(), R"re("((?:weir_|vllm:)[a-z_]+)")re");
  EXPECT_GT(families.size(), 50u);
  EXPECT_THAT(not_in(read_text(kOperations) + read_text(kMemory) + read_text(kConcurrency), families), IsEmpty());
}

TEST(OperatorDocs, EveryMemoryMetricIsOnTheMemoryPage) {
  const auto families = found(
      metric_sources(), R"re("(weir_(?:memory|host|kv|prefix|recomputed?|overcommit|sealed|pool)_[a-z_]+)")re");
  EXPECT_GT(families.size(), 20u);
  EXPECT_THAT(not_in(read_text(kMemory), families), IsEmpty());
}

TEST(OperatorDocs, EveryRefusalHasALine) {
  const auto values = enumerators(read_text("src/admission/front_door.h"), "Refusal");
  EXPECT_GT(values.size(), 12u);
  EXPECT_THAT(not_in(read_text(kOperations), names_of(values, "Refusal", read_text("src/admission/front_door.cc"))),
              IsEmpty());
}

TEST(OperatorDocs, EveryEndOfASequenceHasALine) {
  const auto values = enumerators(read_text("src/message/events.h"), "FinishReason");
  EXPECT_GT(values.size(), 5u);
  EXPECT_THAT(not_in(read_text(kOperations), names_of(values, "FinishReason", read_text("src/message/events.cc"))),
              IsEmpty());
}

TEST(OperatorDocs, EveryLineOfThePlanHasOne) {
  auto lines = found(read_text("src/server/plan_lines.cc"), R"re(add(?:_resident)?\("([a-z ]+)")re");
  EXPECT_GT(lines.size(), 12u);
  lines.push_back("kv cache");
  EXPECT_THAT(not_in(read_text(kMemory), lines), IsEmpty());
}

TEST(OperatorDocs, EveryStageOfTheGovernorHasALine) {
  const auto values = enumerators(read_text("src/memory/monitor/governor.h"), "Stage");
  EXPECT_EQ(values.size(), 6u);
  EXPECT_THAT(not_in(read_text(kMemory), names_of(values, "Stage", read_text("src/memory/monitor/governor.cc"))),
              IsEmpty());
}

TEST(OperatorDocs, EveryRungOfTheBrownOutHasALine) {
  auto values = enumerators(read_text("src/admission/brown_out.h"), "Rung");
  EXPECT_EQ(values.size(), 6u);
  std::erase(values, "kCalm");
  EXPECT_THAT(not_in(read_text(kOperations), names_of(values, "Rung", read_text("src/admission/brown_out.cc"))), IsEmpty());
}

TEST(OperatorDocs, EveryReasonToWaitHasALine) {
  const auto values = enumerators(read_text("src/message/wait_view.h"), "WaitReason");
  EXPECT_EQ(values.size(), 7u);
  EXPECT_THAT(not_in(read_text(kOperations), names_of(values, "WaitReason", read_text("src/message/events.cc"))), IsEmpty());
}

TEST(OperatorDocs, TheReaderOfSourcesFindsWhatIsMissing) {
  const std::string header = "enum class Refusal : uint8_t {\n  kOne,  // first\n  kTwo,\n  kCount\n};\n";
  const auto values = enumerators(header, "Refusal");
  EXPECT_THAT(values, ::testing::ElementsAre("kOne", "kTwo"));
  const auto names = names_of(values, "Refusal", "case Refusal::kOne: return \"one\";");
  EXPECT_THAT(not_in("| `one` | and `one_two{x}` |", names), ::testing::ElementsAre("(kTwo has no name)"));
  EXPECT_FALSE(mentions("`weir_ready_total`", "weir_ready"));
}

}  // namespace
}  // namespace weir
