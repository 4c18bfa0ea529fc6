// Tags, white space and scopes. What the right answers are was taken from jinja2 (tests/python/test_jinja.py).
#include <gmock/gmock.h>

#include "text/jinja/testing.h"

namespace weir::jinja {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(JinjaSyntax, TextPassesThrough) {
  EXPECT_EQ(render(""), "");
  EXPECT_EQ(render("plain { text } %"), "plain { text } %");
  EXPECT_EQ(render("a\r\nb\rc"), "a\nb\nc");
  EXPECT_EQ(render("one newline at the end goes\n"), "one newline at the end goes");
  EXPECT_EQ(render("two\n\n"), "two\n");
}

TEST(JinjaSyntax, WhiteSpaceControl) {
  EXPECT_EQ(render("  {% if true %}\n x\n  {% endif %}\ny"), " x\ny");
  EXPECT_EQ(render("a {%- if true %} b {% endif -%} c"), "a b c");
  EXPECT_EQ(render("  {%+ if true %}x{% endif %}"), "  x");
  EXPECT_EQ(render("x{% if true +%}\n y{% endif %}"), "x\n y");
  EXPECT_EQ(render(" {{ 1 }} \n {{- 2 -}} \n 3"), " 123");
  EXPECT_EQ(render("a {#- c -#} b{# d #}\ne"), "abe");
  EXPECT_EQ(render("a\u3000{{- 1 }}"), "a1");
}

TEST(JinjaSyntax, Raw) {
  EXPECT_EQ(render("{% raw %} {{ x }} {% if %} {% endraw %}!"), " {{ x }} {% if %} !");
  EXPECT_EQ(render("a {%- raw -%} {{ b }} {%- endraw -%} c"), "a{{ b }}c");
  EXPECT_THAT(render("{% raw %}x"), HasSubstr("endraw"));
}

TEST(JinjaSyntax, BracesInsideExpressions) {
  EXPECT_EQ(render("{{ {'a': {'b': {}}}['a'] }}"), "{'b': {}}");
  EXPECT_EQ(render("{{ '}}' ~ \"%}\" }}"), "}}%}");
}

TEST(JinjaSyntax, If) {
  EXPECT_EQ(render("{% if 0 %}a{% elif '' %}b{% elif [0] %}c{% else %}d{% endif %}"), "c");
  EXPECT_EQ(render("{% if no %}{% set q = 1 %}{% endif %}{{ q is defined }}", R"({"no": false})"), "False");
  EXPECT_EQ(render("{{ 'a' if false }}|{{ 1 if 2 if 0 else 3 }}"), "|3");
}

TEST(JinjaSyntax, ForAndLoop) {
  EXPECT_EQ(render("{% for x in [3,1] %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.first }}"
                   "{{ loop.last }}{{ loop.length }}{{ loop.cycle('a','b') }};{% endfor %}"),
            "102TrueFalse2a;211FalseTrue2b;");
  EXPECT_EQ(render("{% for x in [1,2,3] if x != 2 %}{{ loop.previtem }}>{{ x }}/{{ loop.length }} {% endfor %}"),
            ">1/2 1>3/2 ");
  EXPECT_EQ(render("{% for x in [] %}a{% else %}empty{% endfor %}"), "empty");
  EXPECT_EQ(render("{% for (a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}"), "123");
  EXPECT_EQ(render("{% for x in range(9) %}{% if x == 2 %}{% continue %}{% endif %}{% if x > 4 %}{% break %}"
                   "{% endif %}{{ x }}{% endfor %}"),
            "0134");
  EXPECT_THAT(render("{% break %}"), HasSubstr("outside a loop"));
  EXPECT_THAT(render("{% for a, b in [1] %}{% endfor %}"), HasSubstr("not iterable"));
}

TEST(JinjaSyntax, LoopScopeEndsWithTheLoop) {
  EXPECT_EQ(render("{% set y = 0 %}{% for x in [1,2] %}{% set y = y + x %}{{ y }}{% endfor %}{{ y }}"), "120");
  EXPECT_EQ(
      render("{% set ns = namespace(n=0) %}{% for x in [1,2] %}{% set ns.n = ns.n + x %}{% endfor %}{{ ns.n }}"),
      "3");
}

TEST(JinjaSyntax, Set) {
  EXPECT_EQ(render("{% set a, b = 1, 'x' %}{{ a }}{{ b }}"), "1x");
  EXPECT_EQ(render("{% set a %}<{{ 1 + 1 }}>{% endset %}{{ a }}{{ a | length }}"), "<2>3");
  EXPECT_EQ(render("{% set a | upper | trim %} x {% endset %}[{{ a }}]"), "[X]");
  EXPECT_THAT(render("{% set d.x = 1 %}", R"({"d": {}})"), HasSubstr("non-namespace"));
  EXPECT_THAT(render("{% set true = 1 %}"), HasSubstr("cannot assign"));
}

TEST(JinjaSyntax, Macro) {
  EXPECT_EQ(render("{% macro m(a, b=2) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }} {{ m(1, b=3) }} {{ m() }}"),
            "12 13 2");
  EXPECT_EQ(render("{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, x=3) }}"), "(1,){'x': 3}");
  EXPECT_EQ(render("{% macro m(x) %}<{{ caller(x) }}>{% endmacro %}{% call(y) m(1) %}{{ y + 1 }}{% endcall %}"),
            "<2>");
  EXPECT_EQ(render("{% macro f(n) %}{{ n }}{% if n %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}"), "3210");
  EXPECT_THAT(render("{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}"), HasSubstr("at most 1"));
  EXPECT_THAT(render("{% macro m(a) %}{% endmacro %}{{ m(z=2) }}"), HasSubstr("no keyword argument 'z'"));
}

TEST(JinjaSyntax, BlocksWithTheirOwnScope) {
  EXPECT_EQ(render("{% filter replace('a', 'b') | upper %}xax{% endfilter %}"), "XBX");
  EXPECT_EQ(render("{% set a = 1 %}{% with a = 2, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}"), "211");
  EXPECT_EQ(render("{% generation %}x{% set z = 1 %}{{ z }}{% endgeneration %}{{ z is defined }}"), "x1False");
}

TEST(JinjaSyntax, ErrorsNameTheLine) {
  EXPECT_THAT(render("\n\n{{ 1 + }}"), StartsWith("ERROR: chat template line 3: unexpected"));
  EXPECT_THAT(render("{% nope %}"), HasSubstr("'nope' is unknown"));
  EXPECT_THAT(render("{% for x in y %}"), HasSubstr("{% endfor %}"));
  EXPECT_THAT(render("{{ 'a"), HasSubstr("not closed"));
  EXPECT_THAT(render("{{ (1] }}"), HasSubstr("unexpected ']'"));
  EXPECT_THAT(render("a\n{{ x.y }}"), HasSubstr("line 2: 'x' is undefined"));
}

TEST(JinjaSyntax, UnknownFilterWaitsInsideConditionals) {
  EXPECT_THAT(render("{{ 1 | nope }}"), HasSubstr("no filter named 'nope'"));
  EXPECT_EQ(render("{% if false %}{{ 1 | nope }}{% endif %}ok"), "ok");
  EXPECT_EQ(render("{{ (1 | nope) if false else 'b' }}"), "b");
  EXPECT_THAT(render("{% if true %}{{ 1 | nope }}{% endif %}"), HasSubstr("no filter named 'nope'"));
}

}  // namespace
}  // namespace weir::jinja
