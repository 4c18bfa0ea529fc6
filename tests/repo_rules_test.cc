// Rules of the house that a reader of one file cannot check: headers that teach, no path or host of one machine, no
// value captures in an awaited expression, no thread that could not be had unnoticed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

#include "repo_files.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

bool begins_with_comment(const std::string& text) { return text.rfind("//", 0) == 0 || text.rfind("/*", 0) == 0; }

// Spelled in halves, so that this file does not find itself.
std::vector<std::string> forbidden_strings() {
  return {std::string("/wo") + "rk/",
          std::string("/ro") + "ot/",
          std::string("pkg") + ".dev",
          std::string("pypi") + ".org",
          std::string("pythonhosted") + ".org",
          std::string("deb.deb") + "ian.org",
          std::string("security.deb") + "ian.org",
          std::string("npm") + "js.org",
          std::string("crates") + ".io"};
}

std::vector<std::string> forbidden_in(const SourceFile& file) {
  std::vector<std::string> found;
  for (const std::string& text : forbidden_strings()) {
    if (file.text.find(text) != std::string::npos) found.push_back(file.path + " contains " + text);
  }
  return found;
}

// Code without comments and without what stands in string and character literals.
std::string bare_code(const std::string& text) {
  std::string code;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text.compare(at, 2, "//") == 0) at = std::min(text.find('\n', at), text.size());
    if (text.compare(at, 2, "/*") == 0) at = std::min(text.find("*/", at), text.size() - 2) + 2;
    if (at >= text.size()) break;
    const bool digit_separator =
        text[at] == '\'' && at > 0 && std::isalnum(static_cast<unsigned char>(text[at - 1]));
    if (text[at] == '"' || (text[at] == '\'' && !digit_separator)) {
      const char quote = text[at];
      for (++at; at < text.size() && text[at] != quote && text[at] != '\n'; ++at) {
        if (text[at] == '\\') ++at;
      }
      code += "\"\"";
      continue;
    }
    code += text[at];
  }
  return code;
}

// "&a, this" is harmless; "a", "=", "x = y", "*this" copy something that has a destructor.
bool captures_a_value(const std::string& captures) {
  std::istringstream stream(captures);
  for (std::string item; std::getline(stream, item, ',');) {
    const size_t first = item.find_first_not_of(" \t\n");
    if (first == std::string::npos) continue;
    const std::string word = item.substr(first);
    if (word[0] != '&' && word != "this") return true;
  }
  return false;
}

// gcc 12 destroys closure temporaries of an awaited expression twice; the closure needs a name of its own first.
std::vector<std::string> awaited_captures(const SourceFile& file) {
  std::vector<std::string> found;
  const std::string code = bare_code(file.text);
  for (size_t at = code.find("co_await"); at != std::string::npos; at = code.find("co_await", at + 1)) {
    const std::string operand = code.substr(at, code.find(';', at) - at);
    for (size_t open = operand.find('['); open != std::string::npos; open = operand.find('[', open + 1)) {
      const size_t before = operand.find_last_not_of(" \t\n", open - 1);
      const char last = operand[before];
      if (std::isalnum(static_cast<unsigned char>(last)) || last == '_' || last == ')' || last == ']') continue;
      const std::string captures = operand.substr(open + 1, operand.find(']', open) - open - 1);
      if (captures_a_value(captures)) found.push_back(file.path + ": co_await ... [" + captures + "]");
    }
  }
  return found;
}

TEST(RepoRules, EveryHeaderBeginsWithAComment) {
  int headers = 0;
  for (const SourceFile& file : files_under("src")) {
    if (!file.path.ends_with(".h")) continue;
    ++headers;
    EXPECT_TRUE(begins_with_comment(file.text)) << file.path << ": say first what it is, who owns it, which thread";
  }
  EXPECT_GT(headers, 10);
  EXPECT_FALSE(begins_with_comment("#pragma once\n// late\n"));
}

TEST(RepoRules, NoPathOrHostOfOneMachine) {
  for (const char* folder : {"src", "tools", "tests", "scripts", "fuzz", "bench", "cmake", "docs", ".ci"}) {
    for (const SourceFile& file : files_under(folder)) EXPECT_THAT(forbidden_in(file), IsEmpty());
  }
  for (const char* page : {"README.md", "ARCHITECTURE.md", "CMakeLists.txt", "CMakePresets.json"}) {
    EXPECT_THAT(forbidden_in({page, read_text(page)}), IsEmpty());
  }
  EXPECT_THAT(forbidden_in({"x", "see " + forbidden_strings()[0] + "x"}),
              ElementsAre("x contains " + forbidden_strings()[0]));
}

// std::thread's constructor throws where the system gives no more threads, which would end the process without a
// word.
std::vector<std::string> threads_made(const SourceFile& file) {
  static const std::regex made(
      R"(std::thread\s*[({]|std::thread\s+\w+\s*[({]|std::jthread|std::async|pthread_create)");
  std::vector<std::string> found;
  const std::string code = bare_code(file.text);
  for (std::sregex_iterator at(code.begin(), code.end(), made), end; at != end; ++at) {
    found.push_back(file.path + ": " + at->str() + " instead of start_thread()");
  }
  if (code.find("vector<std::thread>") != std::string::npos && code.find("emplace_back([") != std::string::npos) {
    found.push_back(file.path + ": threads.emplace_back([ instead of start_thread()");
  }
  return found;
}

TEST(RepoRules, ThreadsAreMadeByStartThread) {
  for (const SourceFile& file : files_under("src")) {
    const bool code = file.path.ends_with(".h") || file.path.ends_with(".cc");
    if (!code || file.path.find("test") != std::string::npos || file.path == "src/base/thread.cc") continue;
    EXPECT_THAT(threads_made(file), IsEmpty());
  }
  const auto count = [](const std::string& code) { return threads_made({"x.cc", code}).size(); };
  EXPECT_EQ(count("thread_ = std::thread([this] { run(); });"), 1u);
  EXPECT_EQ(count("std::thread thread{body};"), 1u);
  EXPECT_EQ(count("std::vector<std::thread> all; all.emplace_back([&] {});"), 1u);
  EXPECT_EQ(count("std::async(f);"), 1u);
  EXPECT_EQ(count("std::thread thread_; Result<std::thread> f(); for (std::thread& one : all) one.join();"), 0u);
  EXPECT_EQ(count("WEIR_ASSIGN_OR_RETURN(std::thread worker, start_thread(name, body));"), 0u);
}

size_t count_of(std::string_view needle, const std::string& text) {
  size_t count = 0;
  for (size_t at = text.find(needle); at != std::string::npos; at = text.find(needle, at + 1)) ++count;
  return count;
}

// A page of a mapping that its file no longer has is a SIGBUS, so what is mapped is memory without a file.
TEST(RepoRules, NoFileIsMapped) {
  size_t mappings = 0;
  for (const SourceFile& file : files_under("src")) {
    if (file.path.find("test") != std::string::npos) continue;
    const std::string code = bare_code(file.text);
    const size_t here = count_of("mmap(", code);
    mappings += here;
    EXPECT_EQ(count_of("MAP_ANONYMOUS", code), here) << file.path << ": read files by position instead";
  }
  EXPECT_GT(mappings, 0u) << "the rule sees no mapping at all";
}

TEST(RepoRules, NoValueCapturesInAnAwaitedExpression) {
  for (const SourceFile& file : files_under("src")) {
    const bool code = file.path.ends_with(".h") || file.path.ends_with(".cc");
    if (code) {
      EXPECT_THAT(awaited_captures(file), IsEmpty());
    }
  }
  const auto count = [](const std::string& code) { return awaited_captures({"x.cc", code}).size(); };
  EXPECT_EQ(count("co_await f([v] { return v; });"), 1u);
  EXPECT_EQ(count("co_await f([p = std::move(p)]() mutable { g(); });"), 1u);
  EXPECT_EQ(count("co_await f(a,\n  [=] {});"), 1u);
  EXPECT_EQ(count("co_await f([&, v] {});"), 1u);
  EXPECT_EQ(count("co_await f([*this] {});"), 1u);
  EXPECT_EQ(count("co_await f([&a, this] {});"), 0u);
  EXPECT_EQ(count("co_await f(list[i], g()[j], h[k][l]);"), 0u);
  EXPECT_EQ(count("// co_await f([v] {});\nco_await f(\"[v]\"); auto g = [v] {};"), 0u);
}

}  // namespace
}  // namespace weir
