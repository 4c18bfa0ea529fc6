// Hostile templates and hostile JSON end with an error, in bounded time and memory.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/thread_time.h"
#include "text/jinja/json.h"
#include "text/jinja/lexer.h"
#include "text/jinja/parser.h"
#include "text/jinja/testing.h"

namespace weir::jinja {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string repeated(const std::string& s, int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out += s;
  return out;
}

TEST(JinjaLimits, EndlessLoopsRunOutOfSteps) {
  EXPECT_THAT(render("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"),
              HasSubstr("steps"));
  EXPECT_THAT(render("{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}"), HasSubstr("too deeply"));
}

TEST(JinjaLimits, OutputIsBounded) {
  const Options small{.limits = {.output_bytes = 1000}};
  EXPECT_EQ(render("{{ 'a' * 1000 }}", "{}", small).size(), 1000u);
  EXPECT_THAT(render("{{ 'a' * 1001 }}", "{}", small), HasSubstr("writes more than 1000 bytes"));
  EXPECT_THAT(render("{% set a %}{{ 'a' * 600 }}{% set b %}{{ 'a' * 600 }}{% endset %}{% endset %}", "{}", small),
              HasSubstr("writes more than 1000 bytes"));
}

TEST(JinjaLimits, ValuesAreBounded) {
  for (const char* source :
       {"{{ 'a' * 10**9 }}", "{{ [1] * 10**9 }}", "{{ 'a' * 9223372036854775807 }}", "{{ 'x'.center(10**12) }}",
        "{{ 'x'.zfill(10**12) }}", "{{ '%999999999d' % 1 }}", "{{ '{:999999999}'.format(1) }}",
        "{{ 'a' | indent(10**10, true) }}", "{{ [1] | batch(10**10, 'x') | list }}", "{{ range(10**9) | list }}",
        "{{ [1] | slice(10**10) | list }}",
        "{% set ns = namespace(s='ab') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
        "{% set ns = namespace(s='ab') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
        "{% set ns = namespace(s='ab') %}{% for i in range(99) %}{% set ns.s = ns.s.replace('', ns.s) %}{% endfor "
        "%}",
        "{% set ns = namespace(s='ab') %}{% for i in range(99) %}{% set ns.s = ns.s | list | join(ns.s) %}{% "
        "endfor %}",
        "{% set l = [1] %}{% for i in range(99) %}{% set _ = l.extend(l) %}{% endfor %}",
        "{{ 'a' | tojson(indent=10**9) }}"}) {
    const Micros begin = thread_cpu_us();  // not the wall: others may have the processor
    EXPECT_THAT(render(source), StartsWith("ERROR")) << source;
    EXPECT_LT(thread_cpu_us() - begin, 20'000'000) << source;
  }
}

TEST(JinjaLimits, SharedStructureIsNotWalkedForEver) {
  const std::string build =
      "{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}"
      "{% set ns.b = [ns.b, ns.b] %}{% endfor %}";
  for (const char* use :
       {"{{ ns.a }}", "{{ ns.a | tojson }}", "{{ ns.a == ns.b }}", "{{ ns.a < ns.b }}", "{{ ns.a in [ns.b] }}"}) {
    EXPECT_THAT(render(build + use), StartsWith("ERROR")) << use;
  }
  const std::string tuples =
      "{% set ns = namespace(a=(1,)) %}{% for i in range(60) %}{% set ns.a = (ns.a, ns.a) %}{% endfor %}";
  EXPECT_THAT(render(tuples + "{{ {ns.a: 1} }}"), StartsWith("ERROR"));
}

TEST(JinjaLimits, DeepValuesAndCycles) {
  const std::string deep =
      "{% set ns = namespace(a=[]) %}{% for i in range(90000) %}{% set ns.a = [ns.a] %}{% endfor %}";
  EXPECT_EQ(render(deep + "{{ ns.a | length }}"), "1");  // and is freed without recursion
  EXPECT_THAT(render(deep + "{{ ns.a }}"), HasSubstr("nested too deeply"));
  EXPECT_THAT(render(deep + "{{ ns.a | tojson }}"), HasSubstr("nested too deeply"));
  EXPECT_EQ(render("{% set l = [1] %}{% set _ = l.append(l) %}{{ l }}"), "[1, [...]]");
  EXPECT_EQ(render("{% set d = {} %}{% set _ = d.update(d=d) %}{{ d }}"), "{'d': {...}}");
  EXPECT_THAT(render("{% set l = [] %}{% set _ = l.append(l) %}{{ l | tojson }}"), HasSubstr("holds itself"));
  EXPECT_THAT(
      render("{% set a = [] %}{% set _ = a.append(a) %}{% set b = [] %}{% set _ = b.append(b) %}{{ a == b }}"),
      HasSubstr("too deeply"));
}

TEST(JinjaLimits, NestingInTheSource) {
  EXPECT_THAT(render("{{ " + repeated("(", 5000) + "1" + repeated(")", 5000) + " }}"), HasSubstr("nested deeper"));
  EXPECT_THAT(render("{{ " + repeated("[", 5000) + repeated("]", 5000) + " }}"), HasSubstr("nested deeper"));
  EXPECT_THAT(render("{{ " + repeated("-", 5000) + "1 }}"), HasSubstr("nested deeper"));
  EXPECT_THAT(render("{{ " + repeated("not ", 5000) + "1 }}"), HasSubstr("nested deeper"));
  EXPECT_THAT(render(repeated("{% if 1 %}", 5000) + repeated("{% endif %}", 5000)), HasSubstr("nested deeper"));
  EXPECT_THAT(render("{{ 1" + repeated(" + 1", 5000) + " }}"), HasSubstr("too long"));
  EXPECT_THAT(render("{{ x" + repeated(".a", 5000) + " }}"), HasSubstr("too long"));
  EXPECT_EQ(render("{{ 1" + repeated(" ~ 1", 5000) + " }}").size(), 5001u);
  EXPECT_THAT(render(repeated(" ", kMaxSourceBytes + 1)), HasSubstr("limit"));
}

TEST(JinjaLimits, DeepButAllowedNestingRuns) {
  EXPECT_EQ(render("{{ " + repeated("(", 60) + "1" + repeated(")", 60) + " }}"), "1");
  EXPECT_EQ(render("{{ 0" + repeated(" + 1", 300) + " }}"), "300");
  EXPECT_EQ(render("{% macro f(n) %}{% if n > 0 %}{{ f(n - 1) }}{% endif %}.{% endmacro %}{{ f(80) }}").size(),
            81u);
}

TEST(JinjaLimits, ContextMustBeAnObject) {
  EXPECT_THAT(render("x", "[1]"), HasSubstr("must be a JSON object"));
  EXPECT_THAT(render("x", ""), HasSubstr("position 0"));
  EXPECT_THAT(render("x", R"({"a": 1,})"), HasSubstr("position"));
  EXPECT_THAT(render("x", R"({"a": "\ud800"})"), HasSubstr("position"));
  EXPECT_THAT(render("x", "{\"a\": \"\xff\"}"), HasSubstr("position"));
  EXPECT_THAT(render("x", "{\"a\": " + repeated("[", 5000) + repeated("]", 5000) + "}"),
              HasSubstr("nested deeper"));
  EXPECT_EQ(render("{{ a }}", R"({"a": 1, "a": 2})"), "2");
}

// Every file of the public JSON parsing suite: y_ must be read, n_ must be refused.
TEST(JinjaLimits, JsonTestSuite) {
  namespace fs = std::filesystem;
  const char* data = std::getenv("WEIR_DATA");
  const fs::path dir = fs::path(data != nullptr ? data : "../shared/data") / "schemas/JSONTestSuite";
  if (!fs::is_directory(dir)) GTEST_SKIP() << dir << " is absent; set WEIR_DATA";
  int files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(dir)) {
    const std::string name = entry.path().filename().string();
    if (entry.path().extension() != ".json" || (!name.starts_with("y_") && !name.starts_with("n_"))) continue;
    std::ifstream in(entry.path(), std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    Heap heap(Limits{});
    parse_json(heap, text);
    EXPECT_EQ(heap.failed(), name.starts_with("n_")) << name << " " << heap.error();
    ++files;
  }
  EXPECT_GT(files, 200);
}

}  // namespace
}  // namespace weir::jinja
