// Interp: runs one Program once. It owns the scopes and the output buffers; values live in the Heap it is given.
// Owner: one render on the stack of one thread. Limits: the Heap's. On the first error everything winds down and
// the heap holds the message; no function here throws or aborts on what a template does.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "text/jinja/args.h"
#include "text/jinja/ast.h"
#include "text/jinja/value.h"

namespace weir::jinja {

struct Options {
  Limits limits;
  // Refuse list.append and friends, as transformers' sandbox does. Off: a template may change its own copies.
  bool immutable = false;
  std::optional<int64_t> now_seconds;  // Unix time for strftime_now, read as UTC; absent: the clock, local time
};

// Variables of one scope. The outermost is dense (indexed by symbol); inner ones are short lists.
struct Scope : Object {
  Scope(Heap& heap, Scope* outer) : Object(heap), parent(outer) {}
  void drop() override {
    parent = Ref<Scope>();
    vars.clear();
    dense.clear();
  }
  const Value* find(uint32_t symbol) const;
  void set(uint32_t symbol, Value v);
  Ref<Scope> parent;
  Vec<std::pair<uint32_t, Value>> vars;
  Vec<Value> dense;
  static constexpr size_t kMaxVars = 256;
};

struct Macro : Object {
  Macro(Heap& heap, const MacroDef* d, Scope* s) : Object(heap), def(d), scope(s) {}
  void drop() override { scope = Ref<Scope>(); }
  const MacroDef* def;
  Ref<Scope> scope;  // where it was defined: names are looked up there
};

using BuiltinFn = Value (*)(Interp&, const Value& self, const Args&);

struct Builtin : Object {
  Builtin(Heap& heap, BuiltinFn f, Value s) : Object(heap), fn(f), self(std::move(s)) {}
  void drop() override { self = Value(); }
  BuiltinFn fn;
  Value self;
};

struct Loop : Object {
  explicit Loop(Heap& heap) : Object(heap) {}
  void drop() override {
    items.clear();
    last_changed = Value::missing();
  }
  Vec<Value> items;
  size_t index = 0;
  Value last_changed = Value::missing();
};

struct Cycler : Object {
  explicit Cycler(Heap& heap) : Object(heap) {}
  void drop() override { items.clear(); }
  Vec<Value> items;
  size_t at = 0;
};

class Interp {
 public:
  Interp(const Program& program, Heap& heap, const Options& options)
      : heap(heap), options(options), program_(program), constants_(program.constants.size(), Value::missing()) {}

  void run(Dict* context, AuthoredText& out);

  Value fail(std::string_view message) {
    heap.fail(message);
    return {};
  }
  Value call(const Value& callee, const Args& args);
  // of.name; lasting: the name outlives the render, as one in the source does, and need not be copied.
  Value get_attr(const Value& of, std::string_view name, bool lasting = false);
  Value get_item(const Value& of, const Value& key);  // of[key]
  Value string(std::string_view text) { return make_string(heap, Text(text)); }
  Value string(Text&& text) { return make_string(heap, std::move(text)); }
  Value string(const char* text) { return make_string(heap, Text(text)); }
  Value string(AuthoredText text) { return make_string(heap, std::move(text)); }

  Heap& heap;
  const Options& options;

 private:
  enum class Flow : uint8_t { kNext, kBreak, kContinue };
  class Level;
  class Capture;

  // interp.cc
  Flow exec(const Body& body);
  Flow exec(const Stmt& s);
  Flow exec_if(const Stmt& s);
  Flow exec_for(const Stmt& s);
  bool loop_items(const Stmt& s, Vec<Value>& out);
  void exec_scoped(const Body& body);
  void exec_with(const Stmt& s);
  void exec_call_block(const Stmt& s);
  AuthoredText captured(const Body& body);
  void assign(const Target& target, const Value& v);
  void emit(std::string_view text, const Authored* authored);
  void emit_value(const Value& v);

  // interp_expr.cc
  Value eval(const Expr& e);
  Value eval_inner(const Expr& e);
  Value eval_name(uint32_t symbol);
  Value eval_constant(uint32_t index);
  Value eval_call(const Expr& e);
  Value eval_filter(const Expr& e);
  Value eval_test(const Expr& e);
  Value eval_compare(const Expr& e);
  Value eval_concat(const Expr& e);
  Value eval_list(const Expr& e);
  Value eval_dict(const Expr& e);
  Value eval_slice(const Expr& e);
  bool eval_args(const CallArgs& call, Args& out);

  // interp_call.cc
  Value call_macro(Macro* macro, const Args& args);
  bool bind_macro(Macro* macro, const Args& args, Scope* scope);
  void bind_extra_keywords(Macro* macro, const Args& args, Scope* scope);
  Value special_attr(const Value& of, std::string_view name);

  const Program& program_;
  Vec<Value> constants_;  // made on first use; this render's own copies
  Ref<Scope> scope_;
  AuthoredText* out_ = nullptr;
  size_t buffered_bytes_ = 0;  // of text in all open buffers
  int depth_ = 0;
  Value block_input_;  // the text of the {% filter %} or {% set %} block being filtered
};

// One level of evaluation; ok() is false beyond Limits::depth or after an error.
class Interp::Level {
 public:
  explicit Level(Interp& in) : in_(in) {
    if (++in_.depth_ > in_.heap.limits().depth) in_.heap.fail("the template calls itself too deeply");
  }
  ~Level() { --in_.depth_; }
  bool ok() const { return in_.heap.step(); }

 private:
  Interp& in_;
};

// Sends output to a buffer of its own while it lives.
class Interp::Capture {
 public:
  explicit Capture(Interp& in) : in_(in), saved_(in.out_) { in_.out_ = &text; }
  ~Capture() {
    in_.out_ = saved_;
    in_.buffered_bytes_ -= size_;
  }
  AuthoredText finish() {
    size_ = text.text.size();
    return std::move(text);
  }
  AuthoredText text;

 private:
  Interp& in_;
  AuthoredText* saved_;
  size_t size_ = 0;
};

}  // namespace weir::jinja
