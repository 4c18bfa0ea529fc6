// Filters, tests and calls of the parser.
#include "text/jinja/filters.h"
#include "text/jinja/parser_impl.h"

namespace weir::jinja {

ExprPtr Parser::filters(ExprPtr e) {
  while (!failed()) {
    if (is_op("|")) {
      e = filter(std::move(e));
    } else if (is_name("is")) {
      e = test(std::move(e));
    } else if (is_op("(")) {
      e = call(std::move(e));
    } else {
      break;
    }
  }
  return e;
}

std::string Parser::dotted_name() {
  std::string name = expect_name();
  while (skip_op(".")) name += "." + expect_name();
  return name;
}

void Parser::unknown(const char* what, const std::string& name) {
  if (soft_) return;
  unknown_.push_back("chat template line " + std::to_string(now().line) + ": there is no " + what + " named '" +
                     name + "'");
}

ExprPtr Parser::filter(ExprPtr input) {
  skip_op("|");
  ExprPtr e = node(ExprKind::kFilter, std::move(input));
  e->name = dotted_name();
  e->filter = find_filter(e->name);
  if (e->filter == nullptr) unknown("filter", e->name);
  e->call = is_op("(") ? call_args() : std::make_unique<CallArgs>();
  return e;
}

ExprPtr Parser::test(ExprPtr of) {
  next();
  const bool negated = skip_name("not");
  ExprPtr e = node(ExprKind::kTest, std::move(of));
  e->name = dotted_name();
  e->test = find_test(e->name);
  if (e->test == nullptr) unknown("test", e->name);
  const Tok t = now().type;
  const bool operand = t == Tok::kString || t == Tok::kInt || t == Tok::kFloat || is_op("[") || is_op("{") ||
                       (t == Tok::kName && !is_name("else") && !is_name("or") && !is_name("and"));
  if (is_op("(")) {
    e->call = call_args();
  } else if (is_name("is")) {
    fail("tests cannot be chained with 'is'");
  } else {
    e->call = std::make_unique<CallArgs>();
    if (operand) e->call->positional.push_back(postfix(primary()));
  }
  return negated ? node(ExprKind::kNot, std::move(e)) : std::move(e);
}

ExprPtr Parser::call(ExprPtr callee) {
  ExprPtr e = node(ExprKind::kCall, std::move(callee));
  e->call = call_args();
  return e;
}

std::unique_ptr<CallArgs> Parser::call_args() {
  const Level level(*this);
  auto args = std::make_unique<CallArgs>();
  bool first = true;
  expect_op("(");
  while (!is_op(")") && !failed()) {
    if (!std::exchange(first, false)) expect_op(",");
    if (is_op(")")) break;
    const bool named = now().type == Tok::kName && ahead().type == Tok::kOp && ahead().text == "=";
    if (args->star_star != nullptr || (args->star != nullptr && !named && !is_op("**")) ||
        (!args->keyword.empty() && !named && !is_op("**") && !is_op("*"))) {
      fail("arguments are out of order: positional, named, *list, **dict");
    }
    if (skip_op("*")) {
      args->star = expression();
    } else if (skip_op("**")) {
      args->star_star = expression();
    } else if (named) {
      std::string name = expect_name();
      next();
      for (const auto& [key, value] : args->keyword) {
        if (key == name) fail("the argument '" + name + "' is given twice");
      }
      args->keyword.emplace_back(std::move(name), expression());
    } else {
      args->positional.push_back(expression());
    }
  }
  expect_op(")");
  return args;
}

}  // namespace weir::jinja
