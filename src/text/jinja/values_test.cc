// Expressions, values, methods, filters and tests.
#include <gmock/gmock.h>

#include "text/jinja/testing.h"

namespace weir::jinja {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(JinjaValues, PrintAsPythonDoes) {
  EXPECT_EQ(render("{{ [1, 'a', none, true, 1.5, [], {}, (), (1,)] }}"),
            "[1, 'a', None, True, 1.5, [], {}, (), (1,)]");
  EXPECT_EQ(render("{{ ['it\\'s', 'q\"', 'b\\\\s', '\\n\\x00'] }}"), R"(["it's", 'q"', 'b\\s', '\n\x00'])");
  EXPECT_EQ(render("{{ 0.1 + 0.2 }} {{ 1e16 }} {{ 1e15 }} {{ 0.0001 }} {{ 1e-5 }} {{ 4 / 2 }}"),
            "0.30000000000000004 1e+16 1000000000000000.0 0.0001 1e-05 2.0");
  EXPECT_EQ(render("{{ d }}", R"({"d": {"b": 1, "a": [null, true]}})"), "{'b': 1, 'a': [None, True]}");
}

TEST(JinjaValues, Arithmetic) {
  EXPECT_EQ(
      render("{{ -7 // 2 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ -7.5 // 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ -2 ** 2 }}"),
      "-4 2 -2 -4.0 1024 0.5 4");
  EXPECT_EQ(render("{{ 'ab' * 2 }}{{ [1] + [2] }}{{ 1 ~ none }}{{ true + 1 }}"), "abab[1, 2]1None2");
  EXPECT_THAT(render("{{ 9223372036854775807 + 1 }}"), HasSubstr("64-bit"));
  EXPECT_THAT(render("{{ 1 // 0 }}"), HasSubstr("division by zero"));
  EXPECT_THAT(render("{{ 'a' + 1 }}"), HasSubstr("cannot compute 'str' + 'int'"));
  EXPECT_EQ(render("{{ (-9223372036854775807 - 1) // -1 }}"),
            "ERROR: chat template line 1: integer arithmetic left the 64-bit range");
  EXPECT_EQ(render("{% set n = -9223372036854775807 - 1 %}{{ '%d' % n }} {{ '{:,}'.format(n) }}"),
            "-9223372036854775808 -9,223,372,036,854,775,808");
}

TEST(JinjaValues, Comparison) {
  EXPECT_EQ(render("{{ 1 < 2 < 3 }}{{ 3 > 2 > 2 }}{{ 1 == 1.0 == true }}{{ [1, 2] < [1, 3] }}"),
            "TrueFalseTrueTrue");
  EXPECT_EQ(render("{{ 'a' in 'cat' }}{{ 1 not in [2] }}{{ 'k' in {'k': 1} }}"), "TrueTrueTrue");
  EXPECT_EQ(render("{{ 9007199254740993 == 9007199254740992.0 }}"), "False");
  EXPECT_THAT(render("{{ 1 < 'a' }}"), HasSubstr("cannot order"));
  EXPECT_THAT(render("{{ 1 in 5 }}"), HasSubstr("not iterable"));
}

TEST(JinjaValues, Undefined) {
  EXPECT_EQ(render("[{{ x }}{{ x or 'y' }}{{ x | length }}{{ x is defined }}{{ d.a }}]", R"({"d": {}})"),
            "[y0False]");
  EXPECT_THAT(render("{{ x.y }}"), HasSubstr("'x' is undefined"));
  EXPECT_THAT(render("{{ d.a.b }}", R"({"d": {}})"), HasSubstr("'dict object' has no attribute 'a'"));
  EXPECT_THAT(render("{{ x + 1 }}"), HasSubstr("'x' is undefined"));
}

TEST(JinjaValues, SlicesCountCharacters) {
  EXPECT_EQ(render("{{ s[1:3] }}|{{ s[::-1] }}|{{ s[-1] }}|{{ s | length }}", R"({"s": "añ日👍"})"),
            "ñ日|👍日ña|👍|4");
  EXPECT_EQ(render("{{ [1,2,3,4][::-2] }}{{ [1,2,3][5:] }}{{ (1,2,3)[:-1] }}{{ range(10)[2:8:3] }}"),
            "[4, 2][](1, 2)range(2, 8, 3)");
  EXPECT_THAT(render("{{ [1][::0] }}"), HasSubstr("zero"));
}

TEST(JinjaValues, CharactersOfMarkupArePlain) {
  EXPECT_EQ(render("{{ ('a'|e) | list }}{{ [('ab'|e)[0]] }}"), "['a'][Markup('a')]");
}

TEST(JinjaValues, AttributesAndItems) {
  const char* context = R"({"d": {"items": 1, "b": {"c": [5]}}})";
  EXPECT_EQ(render("{{ d['items'] }}{{ d.b.c[0] }}{{ d.b['c'].0 }}{{ d.items() | length }}", context), "1552");
  EXPECT_EQ(render("{{ d.get('z', 7) }}{{ d.get('z') }}{{ d.keys() | list }}", context), "7None['items', 'b']");
}

TEST(JinjaValues, StringMethods) {
  EXPECT_EQ(
      render(
          "{{ 'a,b,,c'.split(',') }}{{ ' a  b '.split() }}{{ 'a b  c '.split(none, 1) }}{{ 'aaa'.rsplit('aa') }}"),
      "['a', 'b', '', 'c']['a', 'b']['a', 'b  c ']['a', '']");
  EXPECT_EQ(render("{{ '\\u3000 x\\n'.strip() }}{{ 'xyaxy'.lstrip('yx') }}{{ 'abcba'.rstrip('ab') }}"), "xaxyabc");
  EXPECT_EQ(render("{{ 'straße ﬁ'.upper() }} {{ 'ΑΣ ΟΔΟΣ'.lower() }} {{ \"they're éa\".title() }}"),
            "STRASSE FI ας οδος They'Re Éa");
  EXPECT_EQ(render("{{ 'hello'.find('l') }}{{ 'hello'.rfind('l') }}{{ 'aaa'.count('aa') }}{{ '日本'.find('本') }}"),
            "2311");
  EXPECT_EQ(render("{{ 'ab'.replace('', '.') }}{{ 'abc'.removeprefix('a') }}{{ '-5'.zfill(4) }}{{ "
                   "'a\\nb\\r\\nc'.splitlines() }}"),
            ".a.b.bc-005['a', 'b', 'c']");
  EXPECT_EQ(render("{{ '{} {0[k]}'.format({'k': 1}) }}").substr(0, 5), "ERROR");
  EXPECT_EQ(render("{{ '{0[k]:>4}|{a!r:<5}|{:,}'.format({'k': 1}, a='x') }}").substr(0, 5), "ERROR");
  EXPECT_EQ(render("{{ '{:>4}|{a!r:<5}|{:,}|{:.2f}'.format(1, 1234567, 2.5, a='x') }}"),
            "   1|'x'  |1,234,567|2.50");
  EXPECT_EQ(render("{{ '%s-%04d-%.1f-%r' % ('a', 7, 2.55, 'b') }}"), "a-0007-2.5-'b'");
}

TEST(JinjaValues, MutationIsAnOption) {
  const char* source = "{% set l = [1] %}{% set _ = l.append(2) %}{{ l }}{{ l.pop(0) }}{{ l }}";
  EXPECT_EQ(render(source), "[1, 2]1[2]");
  EXPECT_THAT(render(source, "{}", {.immutable = true}), HasSubstr("'append' is not allowed"));
  EXPECT_EQ(render("{% set e = {'a': 1} %}{% set _ = e.update({'b': 2}, c=3) %}{{ e }}{{ e.pop('a') }}{{ e }}"),
            "{'a': 1, 'b': 2, 'c': 3}1{'b': 2, 'c': 3}");
}

TEST(JinjaFilters, Json) {
  EXPECT_EQ(render("{{ v | tojson }}", R"({"v": {"b": "é<&'\n\"", "a": [1.0, 1e22, null, true]}})"),
            R"({"b": "é<&'\n\"", "a": [1.0, 1e+22, null, true]})");
  EXPECT_EQ(render("{{ v | tojson(indent=2) }}", R"({"v": {"a": [1, []], "e": {}}})"),
            "{\n  \"a\": [\n    1,\n    []\n  ],\n  \"e\": {}\n}");
  EXPECT_EQ(render("{{ v | tojson(separators=(',', ':'), sort_keys=true) }}", R"({"v": {"b": 1, "a": 2}})"),
            R"({"a":2,"b":1})");
  EXPECT_EQ(render("{{ 'é👍' | tojson(ensure_ascii=true) }}"), R"("\u00e9\ud83d\udc4d")");
  EXPECT_EQ(render("{{ v | tojson }}{{ v }}", R"({"v": 123456789012345678901234567890})"),
            "123456789012345678901234567890123456789012345678901234567890");
  EXPECT_THAT(render("{{ x | tojson }}"), HasSubstr("not JSON serializable"));
}

TEST(JinjaFilters, Sequences) {
  const char* people = R"({"p": [{"n": "Bob", "a": 3}, {"n": "al", "a": 2}, {"n": "Cy", "a": 3}]})";
  EXPECT_EQ(
      render("{{ p | map(attribute='n') | join(',') }}{{ p | selectattr('a', 'equalto', 3) | list | length }}",
             people),
      "Bob,al,Cy2");
  EXPECT_EQ(render("{{ p | sort(attribute='n') | map(attribute='n') | list }}", people), "['al', 'Bob', 'Cy']");
  EXPECT_EQ(render("{% for g in p | groupby('a') %}{{ g.grouper }}:{{ g.list | length }} {% endfor %}", people),
            "2:1 3:2 ");
  EXPECT_EQ(render("{{ [3,1,2] | sort }}{{ [1,2,3] | reject('odd') | list }}{{ ['b','B','a'] | unique | list }}"),
            "[1, 2, 3][2]['b', 'a']");
  EXPECT_EQ(
      render(
          "{{ [1,2,3] | batch(2, 'x') | list }}{{ [1,2,3] | slice(2) | list }}{{ [1,2] | sum }}{{ [1,2] | max }}"),
      "[[1, 2], [3, 'x']][[1, 2], [3]]32");
  EXPECT_EQ(render("{{ {'b': 1, 'A': 2} | dictsort }}{{ [] | first is defined }}"), "[('A', 2), ('b', 1)]False");
  EXPECT_EQ(render("{% set g = [1,2] | map('string') %}{{ g | join }}{{ g | join }}"), "12");
}

TEST(JinjaFilters, Text) {
  EXPECT_EQ(render("{{ 'hello-world (foo) it\\'s' | title }}{{ ' a ' | trim }}{{ 'a\\n\\nb' | indent(2) }}"),
            "Hello-World (Foo) It'sa"
            "a\n\n  b");
  EXPECT_EQ(
      render("{{ '42.9' | int }}{{ 'x' | int(5) }}{{ '0x1F' | int(base=16) }}{{ '1.5' | float }}{{ 2.5 | round }}"),
      "425311.52.0");
  EXPECT_EQ(render("{{ ('<a>' | safe) + '<' }}{{ '<' | e }}{{ 'hello world foo' | truncate(8) }}"),
            "<a>&lt;&lt;hello...");
  EXPECT_EQ(render("{{ x | default('d') }}{{ '' | default('d', true) }}{{ none | default('d') }}"), "ddNone");
}

TEST(JinjaTests, Kinds) {
  EXPECT_EQ(
      render(
          "{{ 'a' is string }}{{ 1 is number }}{{ true is integer }}{{ {} is mapping }}{{ {} is sequence }}"
          "{{ 'a' is iterable }}{{ 1.0 is float }}{{ none is none }}{{ false is boolean }}{{ range is callable }}"),
      "TrueTrueFalseTrueTrueTrueTrueTrueTrueTrue");
  EXPECT_EQ(render("{{ 3 is odd }}{{ 9 is divisibleby 3 }}{{ 1 is in [1] }}{{ 1 is not eq 2 }}{{ 'AB' is upper }}"),
            "TrueTrueTrueTrueTrue");
}

TEST(JinjaGlobals, Functions) {
  EXPECT_EQ(render("{{ range(5, 0, -2) | list }}{{ dict(a=1) }}{{ namespace(a=2).a }}"), "[5, 3, 1]{'a': 1}2");
  EXPECT_EQ(
      render("{% set j = joiner('|') %}{{ j() }}a{{ j() }}{% set c = cycler(1, 2) %}{{ c.next() }}{{ c.current }}"),
      "a|12");
  EXPECT_EQ(render("{{ raise_exception('Only user roles!') }}"), "ERROR: Only user roles!");
  EXPECT_EQ(render("{{ strftime_now('%d %b %Y') }}", "{}", {.now_seconds = 1'753'000'000}), "20 Jul 2025");
  EXPECT_THAT(render("{{ strftime_now('%999999d') }}"), StartsWith("ERROR"));
}

}  // namespace
}  // namespace weir::jinja
