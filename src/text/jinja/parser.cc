#include "text/jinja/parser.h"

#include "text/jinja/filters.h"
#include "text/jinja/parser_impl.h"

namespace weir::jinja {

Parser::Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)), program_(std::make_unique<Program>()) {
  program_->loop = symbol("loop");
  program_->caller = symbol("caller");
  program_->varargs = symbol("varargs");
  program_->kwargs = symbol("kwargs");
}

Result<std::unique_ptr<const Program>> Parser::run() {
  program_->body = body({});
  if (failed()) return status_;
  if (!unknown_.empty()) return invalid_argument(unknown_[0]);
  return std::unique_ptr<const Program>(std::move(program_));
}

void Parser::fail(const std::string& what) {
  if (failed()) return;
  status_ = invalid_argument("chat template line " + std::to_string(now().line) + ": " + what);
  at_ = tokens_.size() - 1;  // the end token stops every loop
}

std::string Parser::describe() const {
  switch (now().type) {
    case Tok::kEof:
      return "the end of the template";
    case Tok::kVarEnd:
      return "'}}'";
    case Tok::kBlockEnd:
      return "'%}'";
    case Tok::kString:
      return "a string";
    default:
      return "'" + now().text.substr(0, 60) + "'";
  }
}

bool Parser::skip_op(std::string_view op) {
  if (!is_op(op)) return false;
  next();
  return true;
}

bool Parser::skip_name(std::string_view name) {
  if (!is_name(name)) return false;
  next();
  return true;
}

void Parser::expect_op(std::string_view op) {
  if (!skip_op(op)) fail("expected '" + std::string(op) + "', found " + describe());
}

void Parser::expect_keyword(std::string_view name) {
  if (!skip_name(name)) fail("expected '" + std::string(name) + "', found " + describe());
}

std::string Parser::expect_name() {
  if (now().type != Tok::kName) {
    fail("expected a name, found " + describe());
    return "";
  }
  std::string name = now().text;
  next();
  return name;
}

void Parser::expect(Tok type, const char* what) {
  if (now().type != type) return fail(std::string("expected ") + what + ", found " + describe());
  next();
}

uint32_t Parser::symbol(const std::string& name) {
  const auto [it, fresh] = program_->symbol_ids.emplace(name, program_->symbols.size());
  if (fresh) program_->symbols.push_back(name);
  return it->second;
}

uint32_t Parser::use(const std::string& name) {
  for (MacroDef* m : macros_) {
    m->takes_caller |= name == "caller";
    m->takes_varargs |= name == "varargs";
    m->takes_kwargs |= name == "kwargs";
  }
  return symbol(name);
}

Body Parser::body(std::initializer_list<std::string_view> ends) {
  const Level level(*this);
  Body out;
  while (!failed()) {
    const Token& token = now();
    if (token.type == Tok::kData) {
      Stmt s{.kind = StmtKind::kData, .line = token.line};
      s.text = token.text;
      out.push_back(std::move(s));
      next();
    } else if (token.type == Tok::kVarBegin) {
      Stmt s{.kind = StmtKind::kPrint, .line = token.line};
      next();
      s.expr = tuple();
      expect(Tok::kVarEnd, "'}}'");
      out.push_back(std::move(s));
    } else if (token.type == Tok::kBlockBegin) {
      next();
      for (const std::string_view end : ends) {
        if (is_name(end)) return out;
      }
      statement(out);
      expect(Tok::kBlockEnd, "'%}'");
    } else {
      if (ends.size() > 0) fail("a block is not closed: expected {% " + std::string(*(ends.end() - 1)) + " %}");
      return out;
    }
  }
  return out;
}

Body Parser::block(std::string_view end) {
  const bool soft = std::exchange(soft_, false);
  expect(Tok::kBlockEnd, "'%}'");
  Body out = body({end});
  expect_keyword(end);
  soft_ = soft;
  return out;
}

void Parser::statement(Body& out) {
  Stmt s{.kind = StmtKind::kData, .line = now().line};
  const std::string tag = expect_name();
  if (tag == "if") {
    parse_if(s);
  } else if (tag == "for") {
    parse_for(s);
  } else if (tag == "set") {
    parse_set(s);
  } else if (tag == "macro") {
    parse_macro(s);
  } else if (tag == "call") {
    parse_call_block(s);
  } else if (tag == "filter") {
    parse_filter_block(s);
  } else if (tag == "with") {
    parse_with(s);
  } else if (tag == "generation") {
    s.kind = StmtKind::kScope;
    const int loops = std::exchange(loop_depth_, 0);
    s.body = block("endgeneration");
    loop_depth_ = loops;
  } else if (tag == "break" || tag == "continue") {
    s.kind = tag == "break" ? StmtKind::kBreak : StmtKind::kContinue;
    if (loop_depth_ == 0) fail("'" + tag + "' outside a loop");
  } else if (tag == "print") {
    return parse_print(out);
  } else {
    fail("the tag '" + tag + "' is unknown or not supported in chat templates");
  }
  out.push_back(std::move(s));
}

void Parser::parse_if(Stmt& s) {
  s.kind = StmtKind::kIf;
  const bool soft = std::exchange(soft_, true);
  while (!failed()) {
    ExprPtr test = tuple(false);
    expect(Tok::kBlockEnd, "'%}'");
    s.branches.emplace_back(std::move(test), body({"elif", "else", "endif"}));
    if (skip_name("elif")) continue;
    if (skip_name("else")) {
      expect(Tok::kBlockEnd, "'%}'");
      s.else_body = body({"endif"});
    }
    expect_keyword("endif");
    break;
  }
  soft_ = soft;
}

void Parser::parse_for(Stmt& s) {
  s.kind = StmtKind::kFor;
  s.target = target(false, true);
  expect_keyword("in");
  s.expr = tuple(false, false, "recursive");
  const bool soft = std::exchange(soft_, false);
  if (skip_name("if")) s.test = expression();
  if (is_name("recursive")) fail("recursive loops are not supported");
  expect(Tok::kBlockEnd, "'%}'");
  ++loop_depth_;
  s.body = body({"else", "endfor"});
  --loop_depth_;
  if (skip_name("else")) {
    expect(Tok::kBlockEnd, "'%}'");
    s.else_body = body({"endfor"});
  }
  expect_keyword("endfor");
  soft_ = soft;
}

void Parser::parse_set(Stmt& s) {
  s.target = target(true, false);
  if (skip_op("=")) {
    s.kind = StmtKind::kSet;
    s.expr = tuple();
    return;
  }
  s.kind = StmtKind::kSetBlock;
  while (is_op("|")) s.expr = filter(std::move(s.expr));
  s.body = block("endset");
}

void Parser::signature(MacroDef& m) {
  expect_op("(");
  while (!is_op(")") && !failed()) {
    if (!m.params.empty()) expect_op(",");
    const std::string name = expect_name();
    m.params.push_back(symbol(name));
    m.param_names.push_back(name);
    if (skip_op("=")) {
      m.defaults.push_back(expression());
    } else if (!m.defaults.empty()) {
      fail("a parameter without a default follows one with a default");
    }
  }
  expect_op(")");
}

void Parser::macro_body(MacroDef& m, std::string_view end) {
  const int loops = std::exchange(loop_depth_, 0);
  m.body = block(end);
  loop_depth_ = loops;
}

void Parser::parse_macro(Stmt& s) {
  s.kind = StmtKind::kMacro;
  s.macro = std::make_unique<MacroDef>();
  s.macro->name = expect_name();
  s.symbol = symbol(s.macro->name);
  macros_.push_back(s.macro.get());
  signature(*s.macro);
  macro_body(*s.macro, "endmacro");
  macros_.pop_back();
}

void Parser::parse_call_block(Stmt& s) {
  s.kind = StmtKind::kCall;
  s.macro = std::make_unique<MacroDef>();
  s.macro->name = "caller";
  macros_.push_back(s.macro.get());
  if (is_op("(")) signature(*s.macro);
  macros_.pop_back();
  s.expr = expression();
  if (!failed() && s.expr->kind != ExprKind::kCall) fail("{% call %} needs a call of a macro");
  macros_.push_back(s.macro.get());
  macro_body(*s.macro, "endcall");
  macros_.pop_back();
}

void Parser::parse_filter_block(Stmt& s) {
  s.kind = StmtKind::kFilter;
  // The first filter stands without its bar, which filter() does not insist on.
  s.expr = filter(nullptr);
  while (is_op("|")) s.expr = filter(std::move(s.expr));
  s.body = block("endfilter");
}

void Parser::parse_with(Stmt& s) {
  s.kind = StmtKind::kWith;
  while (now().type != Tok::kBlockEnd && !failed()) {
    if (!s.withs.empty()) expect_op(",");
    Target t = target(false, false);
    expect_op("=");
    s.withs.emplace_back(std::move(t), expression());
  }
  s.body = block("endwith");
}

void Parser::parse_print(Body& out) {
  bool first = true;
  while (now().type != Tok::kBlockEnd && !failed()) {
    if (!std::exchange(first, false)) expect_op(",");
    Stmt s{.kind = StmtKind::kPrint, .line = now().line};
    s.expr = expression();
    out.push_back(std::move(s));
  }
}

Target Parser::one_target(bool namespaces) {
  const Level level(*this);
  Target t;
  if (skip_op("(")) {
    t = target(namespaces, false);
    expect_op(")");
    return t;
  }
  const std::string name = expect_name();
  for (const char* word : {"true", "false", "none", "True", "False", "None"}) {
    if (name == word) fail("cannot assign to '" + name + "'");
  }
  t.symbol = namespaces && is_op(".") ? use(name) : symbol(name);
  if (namespaces && skip_op(".")) {
    t.kind = Target::Kind::kAttr;
    t.attr = expect_name();
  }
  return t;
}

Target Parser::target(bool namespaces, bool before_in) {
  Target first = one_target(namespaces);
  if (!is_op(",")) return first;
  Target t;
  t.kind = Target::Kind::kTuple;
  t.targets.push_back(std::move(first));
  while (skip_op(",") && !failed()) {
    if (is_op("=") || is_op(")") || (before_in && is_name("in"))) break;
    t.targets.push_back(one_target(namespaces));
  }
  return t;
}

Result<std::unique_ptr<const Program>> parse_program(std::string_view source) {
  WEIR_ASSIGN_OR_RETURN(std::vector<Token> tokens, lex(source));
  return Parser(std::move(tokens)).run();
}

}  // namespace weir::jinja
