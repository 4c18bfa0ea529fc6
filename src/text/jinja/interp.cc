#include "text/jinja/interp.h"

#include "text/jinja/print.h"

namespace weir::jinja {

const Value* Scope::find(uint32_t symbol) const {
  for (const Scope* s = this; s != nullptr; s = s->parent.get()) {
    if (!s->dense.empty()) {
      const Value& v = s->dense[symbol];
      return v.is(Kind::kMissing) ? nullptr : &v;
    }
    for (const auto& [id, value] : s->vars) {
      if (id == symbol) return &value;
    }
  }
  return nullptr;
}

void Scope::set(uint32_t symbol, Value v) {
  if (!dense.empty()) {
    dense[symbol] = std::move(v);
    return;
  }
  for (auto& [id, value] : vars) {
    if (id == symbol) {
      value = std::move(v);
      return;
    }
  }
  if (vars.size() >= kMaxVars) heap->fail("a block sets more than " + number_text(kMaxVars) + " variables");
  vars.emplace_back(symbol, std::move(v));
}

void Interp::run(Dict* context, AuthoredText& out) {
  scope_ = heap.make<Scope>(nullptr);
  scope_->dense.assign(program_.symbols.size(), Value::missing());
  for (const auto& [key, value] : context->items) {
    const auto it = program_.symbol_ids.find(key.text());
    if (it != program_.symbol_ids.end()) scope_->dense[it->second] = value;
  }
  out_ = &out;
  exec(program_.body);
}

// authored: what the template wrote of it; null for text that it wrote whole.
void Interp::emit(std::string_view text, const Authored* authored) {
  if (buffered_bytes_ + text.size() > heap.limits().output_bytes) {
    return heap.fail("the template writes more than " + number_text(heap.limits().output_bytes) + " bytes");
  }
  heap.step_bytes(text.size());
  buffered_bytes_ += text.size();
  if (authored == nullptr) {
    out_->append_authored(text);
  } else {
    out_->append_part(text, *authored, 0, text.size());
  }
}

void Interp::emit_value(const Value& v) {
  if (heap.failed()) return;
  if (v.is(Kind::kString)) return emit(v.text(), &v.str()->authored);
  if (v.is_undefined()) return;
  const Authored none;
  emit(to_str(heap, v), v.is_int_like() ? nullptr : &none);
}

Interp::Flow Interp::exec(const Body& body) {
  const Level level(*this);
  for (const Stmt& s : body) {
    if (!level.ok()) break;
    const Flow flow = exec(s);
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Interp::Flow Interp::exec(const Stmt& s) {
  const bool failed_before = heap.failed();
  Flow flow = Flow::kNext;
  switch (s.kind) {
    case StmtKind::kData:
      emit(s.text, nullptr);
      break;
    case StmtKind::kPrint:
      emit_value(eval(*s.expr));
      break;
    case StmtKind::kIf:
      flow = exec_if(s);
      break;
    case StmtKind::kFor:
      flow = exec_for(s);
      break;
    case StmtKind::kSet: {
      const Value v = eval(*s.expr);
      if (!heap.failed()) assign(s.target, v);
      break;
    }
    case StmtKind::kSetBlock: {
      Value v = string(captured(s.body));
      if (s.expr != nullptr) {
        block_input_ = std::move(v);
        v = eval(*s.expr);
      }
      if (!heap.failed()) assign(s.target, v);
      break;
    }
    case StmtKind::kMacro:
      scope_->set(s.symbol, Value::object(Kind::kMacro, heap.make<Macro>(s.macro.get(), scope_.get())));
      break;
    case StmtKind::kCall:
      exec_call_block(s);
      break;
    case StmtKind::kFilter:
      block_input_ = string(captured(s.body));
      emit_value(eval(*s.expr));
      break;
    case StmtKind::kWith:
      exec_with(s);
      break;
    case StmtKind::kScope:
      exec_scoped(s.body);
      break;
    case StmtKind::kBreak:
      return Flow::kBreak;
    case StmtKind::kContinue:
      return Flow::kContinue;
  }
  if (heap.failed() && !failed_before) heap.locate(s.line);
  return flow;
}

Interp::Flow Interp::exec_if(const Stmt& s) {
  for (const auto& [test, body] : s.branches) {
    const bool chosen = truthy(eval(*test));
    if (heap.failed()) return Flow::kNext;
    if (chosen) return exec(body);
  }
  return exec(s.else_body);
}

bool Interp::loop_items(const Stmt& s, Vec<Value>& out) {
  const Value source = eval(*s.expr);
  if (heap.failed() || !iterate(heap, source, out)) return false;
  if (s.test == nullptr) return true;
  size_t kept = 0;
  const Ref<Scope> outer = scope_;
  for (size_t i = 0; i < out.size() && !heap.failed(); ++i) {
    scope_ = heap.make<Scope>(outer.get());
    assign(s.target, out[i]);
    if (!heap.failed() && truthy(eval(*s.test))) std::swap(out[kept++], out[i]);
  }
  scope_ = outer;
  out.resize(kept);
  return !heap.failed();
}

Interp::Flow Interp::exec_for(const Stmt& s) {
  const Ref<Scope> outer = scope_;
  Ref<Loop> loop = heap.make<Loop>();
  if (!loop_items(s, loop->items)) return Flow::kNext;
  if (loop->items.empty()) {
    exec_scoped(s.else_body);
    return Flow::kNext;
  }
  const Value loop_value = Value::object(Kind::kLoop, loop.get());
  for (; loop->index < loop->items.size() && heap.step(); ++loop->index) {
    scope_ = heap.make<Scope>(outer.get());
    scope_->set(program_.loop, loop_value);
    assign(s.target, loop->items[loop->index]);
    if (heap.failed() || exec(s.body) == Flow::kBreak) break;
  }
  scope_ = outer;
  return Flow::kNext;
}

void Interp::exec_scoped(const Body& body) {
  const Ref<Scope> outer = scope_;
  scope_ = heap.make<Scope>(outer.get());
  exec(body);
  scope_ = outer;
}

void Interp::exec_with(const Stmt& s) {
  const Ref<Scope> outer = scope_;
  const Ref<Scope> inner = heap.make<Scope>(outer.get());
  for (const auto& [target, expr] : s.withs) {  // every value is computed outside the block
    const Value v = eval(*expr);
    if (heap.failed()) return;
    scope_ = inner;
    assign(target, v);
    scope_ = outer;
  }
  scope_ = inner;
  exec(s.body);
  scope_ = outer;
}

AuthoredText Interp::captured(const Body& body) {
  Capture capture(*this);
  exec_scoped(body);
  return capture.finish();
}

void Interp::exec_call_block(const Stmt& s) {
  const Value callee = eval(*s.expr->kids[0]);
  Args args;
  if (heap.failed() || !eval_args(*s.expr->call, args)) return;
  args.keyword.emplace_back("caller", Value::object(Kind::kMacro, heap.make<Macro>(s.macro.get(), scope_.get())));
  emit_value(call(callee, args));
}

void Interp::assign(const Target& target, const Value& v) {
  if (target.kind == Target::Kind::kName) return scope_->set(target.symbol, v);
  if (target.kind == Target::Kind::kAttr) {
    const Value space = eval_name(target.symbol);
    if (!space.is(Kind::kNamespace)) return heap.fail("cannot assign attribute on non-namespace object");
    return space.dict()->set(string(target.attr), v);
  }
  Vec<Value> items;
  if (!iterate(heap, v, items)) return;
  if (items.size() != target.targets.size()) {
    return heap.fail("cannot unpack " + number_text(items.size()) + " values into " +
                     number_text(target.targets.size()) + " names");
  }
  for (size_t i = 0; i < items.size() && !heap.failed(); ++i) assign(target.targets[i], items[i]);
}

}  // namespace weir::jinja
