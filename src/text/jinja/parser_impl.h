// The parser's class, shared by parser.cc (statements) and parser_expr.cc (expressions). Nobody else includes it.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/lexer.h"
#include "text/jinja/parser.h"

namespace weir::jinja {

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens);
  Result<std::unique_ptr<const Program>> run();

 private:
  // One level of nesting, in the grammar and so later in the evaluator.
  class Level {
   public:
    explicit Level(Parser& p) : p_(p) {
      if (++p_.depth_ > kMaxParseDepth) p_.fail("nested deeper than " + std::to_string(kMaxParseDepth) + " levels");
    }
    ~Level() { --p_.depth_; }

   private:
    Parser& p_;
  };

  const Token& now() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  void next() {
    if (at_ + 1 < tokens_.size()) ++at_;
  }
  bool is_op(std::string_view op) const { return now().type == Tok::kOp && now().text == op; }
  bool is_name(std::string_view name) const { return now().type == Tok::kName && now().text == name; }
  bool skip_op(std::string_view op);
  bool skip_name(std::string_view name);
  void expect_op(std::string_view op);
  std::string expect_name();
  void expect_keyword(std::string_view name);
  void expect(Tok type, const char* what);
  void fail(const std::string& what);
  bool failed() const { return !status_.ok(); }
  std::string describe() const;

  uint32_t symbol(const std::string& name);
  uint32_t use(const std::string& name);  // symbol(), noting caller, varargs and kwargs for the macro around
  ExprPtr node(ExprKind kind);
  ExprPtr node(ExprKind kind, ExprPtr a);
  ExprPtr node(ExprKind kind, ExprPtr a, ExprPtr b);
  void deepen(Expr& parent);  // depth from the kids; fails when too deep
  ExprPtr constant(Constant c);

  // Statements (parser.cc).
  Body body(std::initializer_list<std::string_view> ends);
  Body block(std::string_view end);  // body up to `end`, which is consumed, in a scope of its own
  void statement(Body& out);
  void parse_if(Stmt& s);
  void parse_for(Stmt& s);
  void parse_set(Stmt& s);
  void parse_macro(Stmt& s);
  void parse_call_block(Stmt& s);
  void parse_filter_block(Stmt& s);
  void parse_with(Stmt& s);
  void parse_print(Body& out);
  void parse_jump(Stmt& s);
  void signature(MacroDef& m);
  void macro_body(MacroDef& m, std::string_view end);
  Target target(bool namespaces, bool before_in);
  Target one_target(bool namespaces);

  // Expressions (parser_expr.cc, parser_call.cc).
  ExprPtr expression(bool conditional = true);
  ExprPtr tuple(bool conditional = true, bool parentheses = false, std::string_view end_name = {});
  bool tuple_end(std::string_view end_name) const;
  ExprPtr parse_or();
  ExprPtr parse_and();
  ExprPtr parse_not();
  ExprPtr parse_compare();
  bool compare_op(Compare& op);
  ExprPtr parse_sum();
  ExprPtr parse_concat();
  ExprPtr parse_product();
  ExprPtr parse_power();
  ExprPtr unary(bool with_filter);
  ExprPtr primary();
  ExprPtr name_or_literal();
  ExprPtr number();
  ExprPtr list();
  ExprPtr dict();
  ExprPtr postfix(ExprPtr e);
  ExprPtr filters(ExprPtr e);
  ExprPtr subscript(ExprPtr e);
  ExprPtr subscript_arg(ExprPtr of, bool& slice);
  ExprPtr filter(ExprPtr input);
  ExprPtr test(ExprPtr e);
  ExprPtr call(ExprPtr callee);
  std::unique_ptr<CallArgs> call_args();
  std::string dotted_name();
  void unknown(const char* what, const std::string& name);

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int depth_ = 0;
  int loop_depth_ = 0;  // for break and continue
  // jinja2 reports an unknown filter or test at once, except inside {% if %} and "a if b", where it waits until it
  // is reached: templates probe for optional filters that way. unknown_ holds messages that no conditional took
  // back.
  bool soft_ = false;
  std::vector<std::string> unknown_;
  std::vector<MacroDef*> macros_;  // being parsed, outermost first
  Status status_;
  std::unique_ptr<Program> program_;
};

}  // namespace weir::jinja
