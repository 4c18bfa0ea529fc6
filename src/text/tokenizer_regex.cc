#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/tokenizer_regex.h"

#include <pcre2.h>

#include <chrono>
#include <string>

#include "text/unicode.h"

namespace weir {

struct Regex::Code {
  pcre2_code* compiled = nullptr;
  std::string exact;  // used instead when the pattern is plain text

  ~Code() { pcre2_code_free(compiled); }
};

namespace {

constexpr size_t kPatternBytesMax = 8192;
constexpr uint32_t kMatchLimit = 1'000'000;   // backtracks for one start; real patterns need a handful
constexpr uint32_t kHeapLimitKib = 16 * 1024;
constexpr size_t kStartsPerCall = 1024;       // starts tried before the clock is looked at again
constexpr auto kSearchTime = std::chrono::seconds(5);
constexpr auto kSearchTimePerMib = std::chrono::seconds(1);

struct CompileContext {
  pcre2_compile_context* it = pcre2_compile_context_create(nullptr);
  ~CompileContext() { pcre2_compile_context_free(it); }
};

// What one search needs; made per call because a Regex is shared by threads.
struct Search {
  pcre2_match_data* data;
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(32 * 1024, 1024 * 1024, nullptr);

  explicit Search(const pcre2_code* code) : data(pcre2_match_data_create_from_pattern(code, nullptr)) {
    if (!usable()) return;
    pcre2_set_match_limit(context, kMatchLimit);
    pcre2_set_heap_limit(context, kHeapLimitKib);
    pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~Search() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack);
  }
  bool usable() const { return data != nullptr && context != nullptr && stack != nullptr; }
};

std::string pcre2_error(int code) {
  PCRE2_UCHAR buffer[160] = {};
  pcre2_get_error_message(code, buffer, sizeof(buffer));
  return reinterpret_cast<const char*>(buffer);
}

Status limit_reached(std::string_view why) {
  return invalid_argument("the tokeniser's split pattern takes too long on this text (" + std::string(why) +
                          "); send a shorter text");
}

void find_literal(std::string_view exact, std::string_view text, std::vector<Span>* matches) {
  for (size_t at = text.find(exact); at != std::string_view::npos; at = text.find(exact, at + exact.size())) {
    matches->push_back({static_cast<uint32_t>(at), static_cast<uint32_t>(at + exact.size())});
  }
}

}  // namespace

Result<Regex> Regex::literal(std::string_view text) {
  if (text.empty()) return data_loss("a split or replace pattern is the empty string");
  auto code = std::make_shared<Code>();
  code->exact = text;
  Regex regex;
  regex.code_ = std::move(code);
  return regex;
}

Result<Regex> Regex::compile(std::string_view pattern) {
  if (pattern.size() > kPatternBytesMax) {
    return Status(weir::Code::kUnimplemented, "a regex of " + std::to_string(pattern.size()) + " bytes; at most " +
                                            std::to_string(kPatternBytesMax) + " are supported");
  }
  if (pattern.find("&&") != std::string_view::npos) {
    return Status(weir::Code::kUnimplemented, "the regex uses class intersection (&&), which is not supported");
  }
  // The files' engine lets ^ and $ match at every line; \C would cut characters apart.
  const uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C | PCRE2_USE_OFFSET_LIMIT;
  CompileContext context;
  if (context.it == nullptr) return internal_error("no memory for a regex");
  pcre2_set_parens_nest_limit(context.it, 64);
  int error = 0;
  PCRE2_SIZE where = 0;
  auto code = std::make_shared<Code>();
  code->compiled = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), options, &error,
                                 &where, context.it);
  if (code->compiled == nullptr) {
    return data_loss("the regex does not compile at byte " + std::to_string(where) + ": " + pcre2_error(error));
  }
  // Without JIT (no executable memory) the interpreter gives the same answer, more slowly.
  (void)pcre2_jit_compile(code->compiled, PCRE2_JIT_COMPLETE);
  Regex regex;
  regex.code_ = std::move(code);
  return regex;
}

Status Regex::find_all(std::string_view text, std::vector<Span>* matches) const {
  if (code_->compiled == nullptr) {
    find_literal(code_->exact, text, matches);
    return ok_status();
  }
  Search search(code_->compiled);
  if (!search.usable()) return internal_error("no memory for a regex search");
  const auto deadline = std::chrono::steady_clock::now() + kSearchTime + kSearchTimePerMib * (text.size() >> 20);
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  size_t start = 0;
  size_t last_end = SIZE_MAX;  // end of the match before, which an empty match may not touch
  for (uint32_t calls = 0; start <= text.size(); ++calls) {
    if (calls % 64 == 0 && std::chrono::steady_clock::now() > deadline) return limit_reached("deadline");
    pcre2_set_offset_limit(search.context, start + kStartsPerCall);
    const int rc = pcre2_match(code_->compiled, subject, text.size(), start, PCRE2_NO_UTF_CHECK, search.data,
                               search.context);
    if (rc == PCRE2_ERROR_NOMATCH) {
      if (start + kStartsPerCall >= text.size()) break;
      start += kStartsPerCall;
      while (start < text.size() && (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80) ++start;
      calls |= 63;  // a window without a match may have been slow: look at the clock
      continue;
    }
    if (rc < 0) return limit_reached(pcre2_error(rc));
    const PCRE2_SIZE* at = pcre2_get_ovector_pointer(search.data);
    if (at[1] < at[0] || at[0] < start) return limit_reached("a match that ends before it starts");
    const bool empty = at[0] == at[1];
    if (!empty || at[0] != last_end) {
      matches->push_back({static_cast<uint32_t>(at[0]), static_cast<uint32_t>(at[1])});
    }
    last_end = at[1];
    start = at[1];
    if (empty) start += start < text.size() ? utf8_length(text[start]) : 1;
  }
  return ok_status();
}

}  // namespace weir
