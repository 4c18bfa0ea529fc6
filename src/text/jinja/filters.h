// Filters and tests by name, as the parser resolves them. Constant tables, any thread.
//
// Not there, because chat templates have no use for them: random, pprint, urlize, wordwrap, xmlattr, striptags,
// filesizeformat.
#pragma once

#include <optional>
#include <string_view>

#include "text/jinja/ast.h"
#include "text/jinja/interp.h"

namespace weir::jinja {

struct FilterEntry {
  std::string_view name;
  FilterFn fn;
};

FilterFn find_filter(std::string_view name);  // nullptr when there is none
TestFn find_test(std::string_view name);
FilterFn find_text_filter(std::string_view name);
FilterFn find_sequence_filter(std::string_view name);
FilterFn find_select_filter(std::string_view name);

// jinja2's generators compute nothing until they are read, so neither do their errors show. A filter wrapped in
// lazy is computed at once into `out`, and an error on the way waits in `out` behind the items made before it.
// kFill RETURNS: false for wrong arguments, which are an error at once.
template <bool (*kFill)(Interp&, const Value& input, const Args&, Seq& out)>
Value lazy(Interp& in, const Value& input, const Args& args) {
  const Value out = make_seq(in.heap, SeqKind::kIterator);
  if (kFill(in, input, args, *out.seq())) out.seq()->error = in.heap.postpone();
  return out;
}

// Follows "a.b.0" or an integer through items and attributes, as |map(attribute=...) does.
class AttrPath {
 public:
  AttrPath(Interp& in, const Value& path);
  Value get(const Value& of) const;
  void set_default(const Value* v) { default_ = v; }  // instead of undefined; v outlives this

 private:
  Interp& in_;
  Vec<Value> parts_;
  const Value* default_ = nullptr;
};

Value ignore_case(Interp& in, const Value& v);

}  // namespace weir::jinja
