// The expression half of the parser; precedence as in Jinja: filters bind tighter than any operator, "~" sits
// between
// "+" and "*", tests ("is") are postfix like filters.
#include <algorithm>
#include <charconv>

#include "text/jinja/parser_impl.h"

namespace weir::jinja {

ExprPtr Parser::node(ExprKind kind) {
  auto e = std::make_unique<Expr>();
  e->kind = kind;
  e->line = now().line;
  return e;
}

ExprPtr Parser::node(ExprKind kind, ExprPtr a) {
  ExprPtr e = node(kind);
  e->kids.push_back(std::move(a));
  deepen(*e);
  return e;
}

ExprPtr Parser::node(ExprKind kind, ExprPtr a, ExprPtr b) {
  ExprPtr e = node(kind);
  e->kids.push_back(std::move(a));
  e->kids.push_back(std::move(b));
  deepen(*e);
  return e;
}

void Parser::deepen(Expr& parent) {
  int depth = 0;
  for (const ExprPtr& kid : parent.kids) {
    if (kid != nullptr) depth = std::max<int>(depth, kid->depth);
  }
  // Chains such as a+b+c grow the tree without nesting the grammar, so the tree has its own bound.
  if (depth >= 2 * kMaxParseDepth) fail("an expression is too long; split it with {% set %}");
  parent.depth = static_cast<uint16_t>(std::min(depth, 2 * kMaxParseDepth) + 1);
}

ExprPtr Parser::constant(Constant c) {
  ExprPtr e = node(ExprKind::kConst);
  e->index = static_cast<uint32_t>(program_->constants.size());
  program_->constants.push_back(std::move(c));
  return e;
}

ExprPtr Parser::expression(bool conditional) {
  const Level level(*this);
  if (failed()) return node(ExprKind::kTuple);
  const size_t unknown = unknown_.size();
  ExprPtr e = parse_or();
  while (conditional && !failed() && skip_name("if")) {
    ExprPtr test = parse_or();
    ExprPtr other = skip_name("else") ? expression() : nullptr;
    e = node(ExprKind::kCond, std::move(e), std::move(test));
    e->kids.push_back(std::move(other));
    deepen(*e);
    unknown_.resize(unknown);
  }
  return e;
}

bool Parser::tuple_end(std::string_view end_name) const {
  return now().type == Tok::kVarEnd || now().type == Tok::kBlockEnd || now().type == Tok::kEof || is_op(")") ||
         (!end_name.empty() && is_name(end_name));
}

ExprPtr Parser::tuple(bool conditional, bool parentheses, std::string_view end_name) {
  ExprPtr e = node(ExprKind::kTuple);
  bool comma = false;
  while (!failed() && !tuple_end(end_name)) {
    e->kids.push_back(expression(conditional));
    if (!skip_op(",")) break;
    comma = true;
  }
  if (!comma && e->kids.size() == 1) return std::move(e->kids[0]);
  if (!comma && !parentheses) fail("expected an expression, found " + describe());
  deepen(*e);
  return e;
}

ExprPtr Parser::parse_or() {
  ExprPtr e = parse_and();
  while (skip_name("or")) e = node(ExprKind::kOr, std::move(e), parse_and());
  return e;
}

ExprPtr Parser::parse_and() {
  ExprPtr e = parse_not();
  while (skip_name("and")) e = node(ExprKind::kAnd, std::move(e), parse_not());
  return e;
}

ExprPtr Parser::parse_not() {
  if (!skip_name("not")) return parse_compare();
  const Level level(*this);
  return failed() ? node(ExprKind::kTuple) : node(ExprKind::kNot, parse_not());
}

bool Parser::compare_op(Compare& op) {
  static constexpr std::pair<std::string_view, Compare> kOps[] = {{"==", Compare::kEq}, {"!=", Compare::kNe},
                                                                  {"<", Compare::kLt},  {"<=", Compare::kLe},
                                                                  {">", Compare::kGt},  {">=", Compare::kGe}};
  for (const auto& [text, value] : kOps) {
    if (skip_op(text)) {
      op = value;
      return true;
    }
  }
  if (skip_name("in")) {
    op = Compare::kIn;
    return true;
  }
  if (is_name("not") && ahead().type == Tok::kName && ahead().text == "in") {
    next();
    next();
    op = Compare::kNotIn;
    return true;
  }
  return false;
}

ExprPtr Parser::parse_compare() {
  ExprPtr first = parse_sum();
  Compare op;
  if (!compare_op(op)) return first;
  ExprPtr e = node(ExprKind::kCompare, std::move(first));
  do {
    e->compares.push_back(op);
    e->kids.push_back(parse_sum());
  } while (compare_op(op));
  deepen(*e);
  return e;
}

ExprPtr Parser::parse_sum() {
  ExprPtr e = parse_concat();
  while (is_op("+") || is_op("-")) {
    const Arith op = is_op("+") ? Arith::kAdd : Arith::kSub;
    next();
    e = node(ExprKind::kArith, std::move(e), parse_concat());
    e->arith = op;
  }
  return e;
}

ExprPtr Parser::parse_concat() {
  ExprPtr first = parse_product();
  if (!is_op("~")) return first;
  ExprPtr e = node(ExprKind::kConcat, std::move(first));
  while (skip_op("~")) e->kids.push_back(parse_product());
  deepen(*e);
  return e;
}

ExprPtr Parser::parse_product() {
  ExprPtr e = parse_power();
  while (is_op("*") || is_op("/") || is_op("//") || is_op("%")) {
    const Arith op =
        is_op("*") ? Arith::kMul : (is_op("/") ? Arith::kDiv : (is_op("%") ? Arith::kMod : Arith::kFloorDiv));
    next();
    e = node(ExprKind::kArith, std::move(e), parse_power());
    e->arith = op;
  }
  return e;
}

ExprPtr Parser::parse_power() {
  ExprPtr e = unary(true);
  while (skip_op("**")) {
    e = node(ExprKind::kArith, std::move(e), unary(true));
    e->arith = Arith::kPow;
  }
  return e;
}

ExprPtr Parser::unary(bool with_filter) {
  ExprPtr e;
  if (is_op("-") || is_op("+")) {
    const Level level(*this);
    const ExprKind kind = is_op("-") ? ExprKind::kNegate : ExprKind::kPlus;
    next();
    e = failed() ? node(ExprKind::kTuple) : node(kind, unary(false));
  } else {
    e = primary();
  }
  e = postfix(std::move(e));
  return with_filter ? filters(std::move(e)) : std::move(e);
}

ExprPtr Parser::name_or_literal() {
  const std::string name = expect_name();
  if (name == "true" || name == "True") return constant({.kind = Kind::kBool, .integer = 1});
  if (name == "false" || name == "False") return constant({.kind = Kind::kBool});
  if (name == "none" || name == "None") return constant({});
  ExprPtr e = node(ExprKind::kName);
  e->index = use(name);
  return e;
}

ExprPtr Parser::number() {
  Constant c{.kind = Kind::kInt};
  const std::string text = now().text;
  const bool whole = now().type == Tok::kInt;
  next();
  if (whole && !parse_int(text, 10, c.integer)) fail("the integer " + text + " does not fit 64 bits");
  if (!whole) {
    c.kind = Kind::kFloat;
    parse_float(text, c.real);
  }
  return constant(std::move(c));
}

ExprPtr Parser::primary() {
  if (now().type == Tok::kName) return name_or_literal();
  if (now().type == Tok::kInt || now().type == Tok::kFloat) return number();
  if (now().type == Tok::kString) {
    Constant c{.kind = Kind::kString};
    while (now().type == Tok::kString) {
      c.text += now().text;
      next();
    }
    return constant(std::move(c));
  }
  if (skip_op("(")) {
    ExprPtr e = tuple(true, true);
    expect_op(")");
    return e;
  }
  if (skip_op("[")) return list();
  if (skip_op("{")) return dict();
  fail("unexpected " + describe());
  return node(ExprKind::kTuple);
}

ExprPtr Parser::list() {
  ExprPtr e = node(ExprKind::kList);
  while (!is_op("]") && !failed()) {
    if (!e->kids.empty()) expect_op(",");
    if (is_op("]")) break;
    e->kids.push_back(expression());
  }
  expect_op("]");
  deepen(*e);
  return e;
}

ExprPtr Parser::dict() {
  ExprPtr e = node(ExprKind::kDict);
  while (!is_op("}") && !failed()) {
    if (!e->kids.empty()) expect_op(",");
    if (is_op("}")) break;
    e->kids.push_back(expression());
    expect_op(":");
    e->kids.push_back(expression());
  }
  expect_op("}");
  deepen(*e);
  return e;
}

ExprPtr Parser::postfix(ExprPtr e) {
  while (!failed()) {
    if (is_op(".") || is_op("[")) {
      e = subscript(std::move(e));
    } else if (is_op("(")) {
      e = call(std::move(e));
    } else {
      break;
    }
  }
  return e;
}

ExprPtr Parser::subscript(ExprPtr of) {
  if (skip_op(".")) {
    if (now().type == Tok::kInt) return node(ExprKind::kItem, std::move(of), number());
    ExprPtr e = node(ExprKind::kAttr, std::move(of));
    e->name = expect_name();
    return e;
  }
  expect_op("[");
  ExprPtr e = node(ExprKind::kSlice, std::move(of));
  ExprPtr parts[3];
  int part = 0;
  while (!is_op("]") && !failed()) {
    if (skip_op(":")) {
      if (++part > 2) fail("a slice has at most three parts");
    } else if (parts[part] == nullptr) {
      parts[part] = expression();
    } else if (part == 0 && is_op(",")) {
      ExprPtr key = node(ExprKind::kTuple, std::move(parts[0]));
      while (skip_op(",") && !is_op("]") && !failed()) key->kids.push_back(expression());
      deepen(*key);
      parts[0] = std::move(key);
    } else {
      fail("expected ']', found " + describe());
    }
  }
  if (part == 0 && parts[0] == nullptr) parts[0] = node(ExprKind::kTuple);  // x[] looks up the empty tuple
  expect_op("]");
  if (part == 0) e->kind = ExprKind::kItem;
  e->kids.push_back(std::move(parts[0]));
  if (part > 0) {
    e->kids.push_back(std::move(parts[1]));
    e->kids.push_back(std::move(parts[2]));
  }
  deepen(*e);
  return e;
}

}  // namespace weir::jinja
