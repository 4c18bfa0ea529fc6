// The syntax tree of one template. Built once by the parser, then immutable and read by any number of renders at
// the same time, so it holds no Value (those are counted without atomics): constants are plain data, made into
// values by each render. Names of variables are numbered: symbol i is program.symbols[i].
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "text/jinja/compare.h"
#include "text/jinja/number.h"

namespace weir::jinja {

class Interp;
struct Args;
using FilterFn = Value (*)(Interp&, const Value& input, const Args&);
using TestFn = bool (*)(Interp&, const Value& input, const Args&);

struct Expr;
struct Stmt;
using ExprPtr = std::unique_ptr<Expr>;
using Body = std::vector<Stmt>;

struct Constant {
  Kind kind = Kind::kNone;  // kNone, kBool, kInt, kFloat, kString
  int64_t integer = 0;
  double real = 0;
  std::string text;
};

struct CallArgs {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> keyword;
  ExprPtr star, star_star;  // *args, **kwargs
};

enum class ExprKind : uint8_t {
  kConst,   // index: constant
  kName,    // index: symbol
  kAttr,    // kids[0].name
  kItem,    // kids[0][kids[1]]
  kSlice,   // kids[0][kids[1]:kids[2]:kids[3]], absent ones null
  kCall,    // kids[0](call)
  kFilter,  // kids[0]|name(call); kids[0] null: the block's text
  kTest,    // kids[0] is name(call)
  kNegate,
  kPlus,
  kNot,
  kArith,    // kids[0] arith kids[1]
  kCompare,  // kids[0] compares[0] kids[1] compares[1] kids[2] ...
  kAnd,
  kOr,
  kConcat,  // all kids
  kCond,    // kids[0] if kids[1] else kids[2] (or null)
  kList,
  kTuple,
  kDict,  // key, value, key, value
};

struct Expr {
  ExprKind kind;
  Arith arith = Arith::kAdd;
  uint16_t depth = 1;  // of the tree below, bounded by the parser
  int line = 0;
  uint32_t index = 0;
  std::string name;
  std::vector<Compare> compares;
  std::vector<ExprPtr> kids;
  std::unique_ptr<CallArgs> call;
  FilterFn filter = nullptr;
  TestFn test = nullptr;
};

struct Target {
  enum class Kind : uint8_t { kName, kAttr, kTuple };
  Kind kind = Kind::kName;
  uint32_t symbol = 0;
  std::string attr;             // kAttr: namespace member
  std::vector<Target> targets;  // kTuple
};

struct MacroDef {
  std::string name;
  std::vector<uint32_t> params;
  std::vector<std::string> param_names;
  std::vector<ExprPtr> defaults;  // of the last params
  bool takes_varargs = false, takes_kwargs = false, takes_caller = false;
  Body body;
};

enum class StmtKind : uint8_t {
  kData,      // text
  kPrint,     // expr
  kIf,        // branches, else_body
  kFor,       // target in expr if test: body else else_body
  kSet,       // target = expr
  kSetBlock,  // target = (filter expr of) body
  kMacro,     // symbol = macro
  kCall,      // expr is the call, macro the caller
  kFilter,    // expr over body
  kWith,      // withs, body
  kScope,     // body in a scope of its own ({% generation %})
  kBreak,
  kContinue,
};

struct Stmt {
  StmtKind kind;
  int line = 0;
  uint32_t symbol = 0;
  std::string text;
  Target target;
  ExprPtr expr, test;
  std::vector<std::pair<ExprPtr, Body>> branches;
  std::vector<std::pair<Target, ExprPtr>> withs;
  Body body, else_body;
  std::unique_ptr<MacroDef> macro;
};

// Finds a symbol by any text without making a string of it.
struct SymbolHash {
  using is_transparent = void;
  size_t operator()(std::string_view name) const { return std::hash<std::string_view>()(name); }
};

struct Program {
  Body body;
  std::vector<std::string> symbols;
  std::unordered_map<std::string, uint32_t, SymbolHash, std::equal_to<>> symbol_ids;
  std::vector<Constant> constants;
  uint32_t loop = 0, caller = 0, varargs = 0, kwargs = 0;  // symbols the language itself binds
};

}  // namespace weir::jinja
