// What a render takes, it takes from its heap, which is asked before each growth and counts what the system sets
// aside.
#include <gmock/gmock.h>

#include "base/alloc_guard.h"
#include "text/jinja/testing.h"

namespace weir::jinja {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string repeated(std::string_view s, size_t n) {
  std::string out;
  for (size_t i = 0; i < n; ++i) out += s;
  return out;
}

// One way in which a request or a template can make a render grow. Each ends in a value of some hundred KiB.
struct Site {
  const char* name;
  const char* source;
  std::string context = "{}";
};

std::string array_of(std::string_view item, size_t n) {
  return "{\"v\":[" + std::string(item) + repeated("," + std::string(item), n - 1) + "]}";
}

std::string text_of(std::string_view piece, size_t n) { return "{\"v\":\"" + repeated(piece, n) + "\"}"; }

std::vector<Site> sites() {
  std::string members = "{\"v\":{\"k\":0";
  for (int i = 0; i < 2000; ++i) members += ",\"key" + std::to_string(i) + "\":" + std::to_string(i);
  members += "}}";
  const std::string lines = text_of("one line of text\\n", 8000), words = text_of("abc def ", 20000);
  const std::string numbers = array_of("7", 9000), texts = array_of("\"a text that is no short one\"", 3000);
  const std::string people = array_of(R"({"name":"somebody","age":42})", 900);
  return {
      {"json: small numbers", "{{ v | length }}", array_of("1", 60000)},
      {"json: empty lists", "{{ v | length }}", array_of("[]", 3000)},
      {"json: empty objects", "{{ v | length }}", array_of("{}", 3000)},
      {"json: objects", "{{ v | length }}", people},
      {"json: short strings", "{{ v | length }}", array_of("\"\"", 3000)},
      {"json: long numbers", "{{ v | length }}", array_of("123456789012345678901234567890", 3000)},
      {"json: fractions", "{{ v | length }}", array_of("1.5", 30000)},
      {"json: many members", "{{ v['key1999'] }}", members},
      {"json: one long string", "{{ v | length }}", words},
      {"json: escapes", "{{ v | length }}", text_of("\\u00e9\\n", 40000)},
      {"output", "{{ v }}{{ v }}", words},
      {"a block that is kept", "{% set a %}{{ v }}{% endset %}{{ a | length }}", words},
      {"a filtered block", "{% filter upper %}{{ v }}{% endfilter %}", words},
      {"a macro's text", "{% macro m() %}{{ v }}{% endmacro %}{{ m() | length }}", words},
      {"a loop's items", "{% for a in v %}{% if loop.last %}{{ a }}{% endif %}{% endfor %}", numbers},
      {"a filtered loop", "{% for a in v if a %}{% endfor %}", numbers},
      {"a loop over characters", "{% for a in v[:4000] %}{% endfor %}", words},
      {"variables of scopes", "{% for a in v %}{% set b = a %}{% set c = b %}{% endfor %}", numbers},
      {"+ of strings", "{{ (v + v) | length }}", words},
      {"+ of lists", "{{ (v + v) | length }}", numbers},
      {"* of a string", "{{ ('ab' * 100000) | length }}"},
      {"* of a list", "{{ ([1, 2] * 10000) | length }}"},
      {"~", "{{ (v ~ v ~ v) | length }}", words},
      {"% of a string", "{{ ('%s and %s' % (v, v)) | length }}", words},
      {"% of a width", "{{ ('%99999d' % 1) | length }}"},
      {"format", "{{ '{} {:>90000}'.format(v, 'x') | length }}", words},
      {"|format", "{{ '%s %s' | format(v, v) | length }}", words},
      {"slice", "{{ v[1:] | length }}", numbers},
      {"slice of characters", "{{ v[::-1] | length }}", words},
      {"range", "{{ range(90000) | list | length }}"},
      {"list literal", "{% set ns = namespace(a=[]) %}{% for x in v %}{% set ns.a = [ns.a, x] %}{% endfor %}",
       numbers},
      {"dict literal", "{% set ns = namespace(a=1) %}{% for x in v %}{% set ns.a = {'a': ns.a} %}{% endfor %}",
       numbers},
      {"append", "{% set l = [] %}{% for x in v %}{% set _ = l.append(x) %}{% endfor %}", numbers},
      {"extend", "{% set l = [] %}{% set _ = l.extend(v) %}{% set _ = l.extend(v) %}{{ l | length }}", numbers},
      {"insert", "{% set l = [] %}{% for x in v[:900] %}{% set _ = l.insert(0, 'a' * 500) %}{% endfor %}", numbers},
      {"list.copy", "{{ v.copy() | length }}", numbers},
      {"dict.update", "{% set d = {} %}{% set _ = d.update(v) %}{{ d.key7 }}", members},
      {"dict.copy", "{{ v.copy() | length }}", members},
      {"dict()", "{{ dict(v) | length }}", members},
      {"namespace()", "{% set n = namespace(**v) %}{{ n.key7 }}", members},
      {"setdefault", "{% set d = {} %}{% for x in range(3000) %}{% set _ = d.setdefault(x, 1) %}{% endfor %}"},
      {"items", "{{ v | items | list | length }}", members},
      {"dict.items", "{{ v.items() | list | length }}", members},
      {"keys and values", "{{ (v.keys() | list + v.values() | list) | length }}", members},
      {"dictsort", "{{ v | dictsort | length }}", members},
      {"keywords", "{% macro m() %}{{ kwargs | length }}{% endmacro %}{{ m(**v) }}", members},
      {"arguments", "{% macro m() %}{{ varargs | length }}{% endmacro %}{{ m(*v) }}", numbers},
      {"cycler", "{{ cycler(*v).next() }}", numbers},
      {"loop.changed", "{% for x in [1] %}{{ loop.changed(*v) }}{% endfor %}", numbers},
      {"undefined names", "{% for x in v %}{% if {}[x ~ 'is a name of some length'] %}{% endif %}{% endfor %}",
       numbers},
      {"replace", "{{ v | replace('a', 'aaaa') | length }}", words},
      {"str.replace", "{{ v.replace('', '-') | length }}", words},
      {"join", "{{ v | join(', a long glue, ') | length }}", numbers},
      {"str.join", "{{ ', '.join(v) | length }}", texts},
      {"indent", "{{ v | indent(20, true) | length }}", lines},
      {"upper", "{{ v | upper | length }}", words},
      {"title", "{{ v | title | length }}", words},
      {"capitalize", "{{ v.capitalize() | length }}", words},
      {"swapcase", "{{ v.swapcase() | length }}", words},
      {"strip", "{{ (v | trim) | length }}", words},
      {"center", "{{ 'x' | center(200000) | length }}"},
      {"ljust", "{{ 'x'.ljust(200000, 'é') | length }}"},
      {"zfill", "{{ 'x'.zfill(200000) | length }}"},
      {"expandtabs", "{{ v.expandtabs(40) | length }}", text_of("a\\t", 4000)},
      {"removeprefix", "{{ v.removeprefix('abc') | length }}", words},
      {"split", "{{ v.split() | length }}", words},
      {"split by", "{{ v.split(' ') | length }}", words},
      {"rsplit by", "{{ v.rsplit(' ') | length }}", words},
      {"splitlines", "{{ v.splitlines() | length }}", lines},
      {"partition", "{{ v.partition('def') | length }}", words},
      {"rfind", "{{ v.rfind('def') }}", words},
      {"reverse of a string", "{{ v | reverse | length }}", words},
      {"reverse", "{{ v | reverse | list | length }}", numbers},
      {"sort", "{{ v | sort | length }}", texts},
      {"unique", "{{ v | unique | list | length }}", texts},
      {"groupby", "{{ v | groupby('age') | length }}", people},
      {"batch", "{{ v | batch(3, 0) | list | length }}", numbers},
      {"slices", "{{ v | slice(300, 0) | list | length }}", numbers},
      {"map", "{{ v | map('string') | list | length }}", numbers},
      {"map(attribute)", "{{ v | map(attribute='name') | list | length }}", people},
      {"select", "{{ v | select('odd') | list | length }}", numbers},
      {"selectattr", "{{ v | selectattr('age', 'eq', 42) | list | length }}", people},
      {"max", "{{ v | max }}", texts},
      {"sum", "{{ v | sum }}", numbers},
      {"in", "{{ 8 in v }}", numbers},
      {"print a list", "{{ v | string | length }}", texts},
      {"print a dict", "{{ (v ~ '') | length }}", members},
      {"tojson", "{{ v | tojson | length }}", people},
      {"tojson, indented", "{{ v | tojson(indent=8, sort_keys=true) | length }}", people},
      {"tojson, in ASCII", "{{ v | tojson(ensure_ascii=true) | length }}", text_of("é", 20000)},
      {"escape", "{{ v | e | length }}", text_of("<&>", 20000)},
      {"urlencode", "{{ v | urlencode | length }}", words},
      {"urlencode of pairs", "{{ v | urlencode | length }}", members},
      {"truncate", "{{ v | truncate(90000) | length }}", words},
      {"wordcount", "{{ v | wordcount }}", words},
      {"int", "{{ v | int }}", text_of("7", 90000)},
      {"float", "{{ v | float }}", text_of("7", 90000)},
      {"a message", "{{ raise_exception(v) }}", words},
      {"an unknown name", "{{ v.nothing.at_all }}", words},
      {"a wrong format", "{{ '%(' ~ v ~ ')s' % v }}", words},
  };
}

// Of everything but the heap: the text that is returned, or its error.
constexpr uint64_t kOutsideMax = 4;

uint64_t allocations_of(const Template& parsed, const Site& site, const Options& options,
                        Result<std::string>* out) {
  const uint64_t before = sealed_allocations("render");
  seal_this_thread("render");
  auto result = parsed.render(site.context, options);
  unseal_this_thread();
  *out = std::move(result);
  return sealed_allocations("render") - before;
}

bool refused_for_memory(const Result<std::string>& out) {
  if (out.ok()) return false;
  for (const char* words : {"holds more than", "asks for a", "the template repeats"}) {
    if (out.status().message().find(words) != std::string::npos) return true;
  }
  return false;
}

// Walks every class of sites, first with room and then in less and less: a render takes nothing but from its heap,
// and what does not fit is refused before it is made.
TEST(Faults, template_heap_unplanned) {
  set_sealed_allocation_fatal(false);
  for (const Site& site : sites()) {
    SCOPED_TRACE(site.name);
    auto parsed = Template::parse(site.source);
    ASSERT_TRUE(parsed.ok()) << parsed.status().message();
    Result<std::string> roomy = std::string();
    const uint64_t outside = allocations_of(*parsed, site, {}, &roomy);
    if (alloc_guard_linked()) {
      EXPECT_LE(outside, kOutsideMax);
    }
    EXPECT_FALSE(refused_for_memory(roomy)) << roomy.status().message();
    bool refused = false;
    for (size_t room = size_t{32} << 20; room > 4096; room = room * 3 / 4) {
      Result<std::string> tight = std::string();
      const uint64_t more = allocations_of(*parsed, site, {.limits = {.heap_bytes = room}}, &tight);
      if (alloc_guard_linked()) {
        EXPECT_LE(more, kOutsideMax + 4);
      }  // the refusal's message
      refused |= refused_for_memory(tight);
      if (refused) {
        EXPECT_TRUE(refused_for_memory(tight)) << "refused in more room, and not in " << room;
      } else if (roomy.ok()) {
        ASSERT_TRUE(tight.ok()) << tight.status().message();
        EXPECT_EQ(*tight, *roomy);
      }
    }
    EXPECT_TRUE(refused);
  }
}

// A generator keeps an error of its items until it is read; a limit is an error at once.
TEST(JinjaHeap, AFullHeapIsNoErrorThatWaits) {
  const Options small{.limits = {.heap_bytes = 200'000}};
  EXPECT_THAT(render("{% set g = v | map('center', 90000) %}done", R"({"v":["a","b","c","d"]})", small),
              AnyOf(HasSubstr("holds more than"), HasSubstr("asks for a value")));
}

}  // namespace
}  // namespace weir::jinja
