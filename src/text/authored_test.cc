// What a template wrote of a prompt, through every way in which templates make strings; and what the tokeniser
// makes of it.
#include "text/authored.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "text/added_tokens.h"
#include "text/jinja/engine.h"
#include "text/tokenizer.h"
#include "text/tokenizer_test_util.h"

namespace weir {
namespace {

using test::Ids;
using testing::ElementsAre;

// The output with "{" and "}" around what the template wrote.
std::string marked(std::string_view source, std::string_view context = R"({"c":"cli","n":"x","d":{"k":"v"}})") {
  auto parsed = jinja::Template::parse(source);
  EXPECT_TRUE(parsed.ok()) << parsed.status().message();
  jinja::Heap heap(jinja::Limits{});
  auto out = jinja::guarded(heap, [&]() -> Result<AuthoredText> {
    WEIR_ASSIGN_OR_RETURN(const jinja::Value values, jinja::Template::read_context(heap, context));
    return parsed->run(heap, values, {});
  });
  EXPECT_TRUE(out.ok()) << source << ": " << out.status().message();
  if (!out.ok()) return "";
  std::string text;
  size_t at = 0;
  for (const AuthoredStretch& s : out->authored.stretches()) {
    text += out->text.substr(at, s.begin - at) + "{" + out->text.substr(s.begin, s.end - s.begin) + "}";
    at = s.end;
  }
  return text + out->text.substr(at);
}

TEST(Authored, EveryWayToMakeAStringKeepsWhoWroteIt) {
  EXPECT_EQ(marked("<a>{{ c }}<b>"), "{<a>}cli{<b>}");
  EXPECT_EQ(marked("{{ '<a>' + c + '<b>' }}"), "{<a>}cli{<b>}");
  EXPECT_EQ(marked("{{ '<a>' ~ c ~ 7 ~ '<b>' }}"), "{<a>}cli{7<b>}");
  EXPECT_EQ(marked("{{ ['<a>', c, '<b>'] | join('|') }}"), "{<a>|}cli{|<b>}");
  EXPECT_EQ(marked("{{ '|'.join(['<a>', c]) }}"), "{<a>|}cli");
  EXPECT_EQ(marked("{{ '<a>%s<b>' % c }}{{ '<a>%s' | format(c) }}"), "{<a>}cli{<b><a>}cli");
  EXPECT_EQ(marked("{{ '<a>{}<b>{k}'.format(c, k='<c>') }}"), "{<a>}cli{<b><c>}");
  EXPECT_EQ(marked("{% set x %}<a>{{ c }}<b>{% endset %}{{ x }}"), "{<a>}cli{<b>}");
  EXPECT_EQ(marked("{% macro m(v) %}<a>{{ v }}{% endmacro %}{{ m(c) }}{{ m('<b>') }}"), "{<a>}cli{<a><b>}");
  EXPECT_EQ(marked("{% set x = ' <a>' + c + ' ' %}{{ x | trim }}{{ x.strip() }}{{ x[1:4] }}{{ x[1] }}"),
            "{<a>}cli{<a>}cli{<a><}");
  EXPECT_EQ(marked("{% set x = '<a>|' + c %}{{ x.split('|')[0] }}{{ x.split('|')[1] }}{{ x.partition('|')[2] }}"),
            "{<a>}clicli");
  EXPECT_EQ(marked("{{ ('<a>' + c).replace('<a>', '<b>') }}{{ c | replace('cli', '<c>') }}"), "{<b>}cli{<c>}");
  EXPECT_EQ(marked("{{ '<a>' | upper }}{{ c | upper }}{{ '<a>' * 2 }}{{ (c + '<') * 2 }}"),
            "{<A>}CLI{<a><a>}cli{<}cli{<}");
  EXPECT_EQ(marked("{{ '<a>' | safe + c }}{{ c | default('<a>') }}{{ u | default('<a>') }}"), "{<a>}clicli{<a>}");
  EXPECT_EQ(marked("{{ c if n else '<a>' }}{{ '<a>' if n else c }}{{ n and '<b>' }}"), "cli{<a><b>}");
}

TEST(Authored, WhatAClientSentIsNeverTheAuthors) {
  for (const char* made : {"c | upper", "c ~ n", "d | tojson", "d", "c.replace('l', n)", "c | replace('x', 'y')",
                           "c[::-1]", "[c, n] | join", "c | title", "'%s' % c", "c % ()", "c.format()", "d.k",
                           "c | indent", "c | string", "c.zfill(9)", "c.center(9)", "[c] | first", "c | reverse"}) {
    const std::string out = marked("{{ " + std::string(made) + " }}");
    EXPECT_EQ(out.find('{', out.starts_with("{\"") || out.starts_with("{'") ? 1 : 0), out.npos)
        << made << ": " << out;
  }
  EXPECT_EQ(marked("{{ c | replace('l', '<a>') }}"), "c{<a>}i") << "what it is replaced with is the template's";
}

TEST(Authored, StretchesJoinCutAndSlice) {
  Authored a;
  a.add(0, 3);
  a.add(3, 5);
  a.add(8, 10);
  EXPECT_EQ(a.stretches().size(), 2u);
  EXPECT_TRUE(a.covers(0, 5));
  EXPECT_TRUE(a.covers(6, 6));
  EXPECT_FALSE(a.covers(4, 9));
  EXPECT_FALSE(a.covers(5, 6));
  EXPECT_EQ(a.next_begin(1, 99), 8u);
  EXPECT_EQ(a.next_begin(9, 99), 99u);
  const Authored part = a.part(4, 9);
  EXPECT_TRUE(part.covers(0, 1));
  EXPECT_TRUE(part.covers(4, 5));
  EXPECT_FALSE(part.covers(1, 2));
  a.cut(9);
  EXPECT_TRUE(a.covers(8, 9));
  a.cut(8);
  EXPECT_EQ(a.stretches().size(), 1u);
}

// Text with its author's stretches between "{" and "}".
Ids encode(const Tokenizer& tokenizer, std::string_view marked_text, const std::vector<int32_t>& turn_tokens = {}) {
  AuthoredText text;
  for (size_t at = 0; at < marked_text.size();) {
    const size_t open = std::min(marked_text.find('{', at), marked_text.size());
    text.append(marked_text.substr(at, open - at));
    if (open == marked_text.size()) break;
    const size_t close = marked_text.find('}', open);
    text.append_authored(marked_text.substr(open + 1, close - open - 1));
    at = close + 1;
  }
  auto ids =
      tokenizer.encode(text.text, false, SpecialRule{.authored = &text.authored, .turn_tokens = &turn_tokens});
  EXPECT_TRUE(ids.ok()) << ids.status().message();
  return ids.ok() ? *ids : Ids{};
}

// a=0 b=1 ab=2 space=3 <s>=4 (special) <x>=5 (added, not special) <=7 >=8 s=9 x=10 <s><=11 (special).
std::unique_ptr<Tokenizer> tokenizer_with(const std::string& options, const std::string& parts = "") {
  auto tokenizer = Tokenizer::parse(
      test::tokenizer_json(R"("a":0,"b":1,"ab":2," ":3,"<":7,">":8,"s":9,"x":10,"S":12)", R"(["a","b"])",
                           R"(,"added_tokens":[{"id":4,"content":"<s>","special":true)" + options +
                               R"(},{"id":5,"content":"<x>","normalized":false},)" +
                               R"({"id":11,"content":"s><","special":true,"normalized":false}])" + parts));
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  return std::move(*tokenizer);
}

TEST(Authored, ControlTokensAreTheAuthorsAlone) {
  // Matched before normalising, after it, and after a normaliser that changes the text.
  const std::string lower = R"(,"normalizer":{"type":"Lowercase"})";
  for (const auto& [options, parts] : std::initializer_list<std::pair<std::string, std::string>>{
           {R"(,"normalized":false)", ""}, {"", ""}, {R"(,"normalized":true)", lower}}) {
    const auto t = tokenizer_with(options, parts);
    EXPECT_THAT(encode(*t, "{<s>}a<s>b{<s>}"), ElementsAre(4, 0, 7, 9, 8, 1, 4)) << options << parts;
    EXPECT_THAT(encode(*t, "a<s>b"), ElementsAre(0, 7, 9, 8, 1)) << options << parts;
    EXPECT_THAT(encode(*t, "{<}s{>}"), ElementsAre(7, 9, 8)) << "not one that both wrote";
    EXPECT_THAT(encode(*t, "<{s>}<s{>}"), ElementsAre(7, 9, 8, 7, 9, 8));
    EXPECT_THAT(encode(*t, "{<s}{>}"), ElementsAre(4));
    EXPECT_THAT(encode(*t, "<x>"), ElementsAre(5)) << "added, and no control token";
    EXPECT_THAT(encode(*t, "<x>{<x>}", {5}), ElementsAre(7, 10, 8, 5)) << "unless the template marks turns with it";
  }
  const auto t = tokenizer_with(R"(,"normalized":false)");
  EXPECT_THAT(encode(*t, "s>{<s>}"), ElementsAre(9, 8, 4))
      << "a token begun by the client does not swallow the author's";
  EXPECT_THAT(encode(*t, "a{}b"), ElementsAre(2)) << "merges go across";
}

TEST(Authored, ATokenWithinATokenIsTextToo) {
  const auto t = tokenizer_with(R"(,"normalized":true},{"id":13,"content":"a<s>","special":true,"normalized":true)");
  EXPECT_THAT(encode(*t, "{<s>}a<s>b"), ElementsAre(4, 0, 7, 9, 8, 1)) << "and the author's are tokens as before";
}

TEST(Authored, ANormaliserMakesNoControlTokenOfAClientsText) {
  const auto t = tokenizer_with(R"(,"normalized":true)", R"(,"normalizer":{"type":"Lowercase"})");
  EXPECT_THAT(encode(*t, "a<S>"), ElementsAre(0, 7, 9, 8));
  EXPECT_THAT(encode(*t, "{<s>}a"), ElementsAre(4, 0));
  const std::string guard = "\xEF\xB7\x90";  // U+FDD0, of the tokeniser's own use
  EXPECT_THAT(encode(*t, guard + std::string(500, 'a') + guard + "b"), testing::SizeIs(500))
      << "a long text moves over itself";
}

}  // namespace
}  // namespace weir
