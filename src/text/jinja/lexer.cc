#include "text/jinja/lexer.h"

#include <algorithm>
#include <charconv>

#include "text/jinja/unicode.h"

namespace weir::jinja {
namespace {

bool digit(char c) { return c >= '0' && c <= '9'; }
bool name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80) != 0; }

// "\r\n" and "\r" become "\n", and one newline at the very end goes, as jinja2 does with keep_trailing_newline off.
std::string normalized(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out += source[i];
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : text_(normalized(source)), s_(text_) {}

  Result<std::vector<Token>> run() {
    while (at_ < s_.size() && status_.ok()) data();
    if (!status_.ok()) return status_;
    emit(Tok::kEof, "");
    return std::move(tokens_);
  }

 private:
  void fail(const std::string& what) {
    if (status_.ok()) status_ = invalid_argument("chat template line " + std::to_string(line_) + ": " + what);
  }
  char peek(size_t ahead = 0) const { return at_ + ahead < s_.size() ? s_[at_ + ahead] : '\0'; }
  bool starts(std::string_view word) const { return s_.substr(at_, word.size()) == word; }
  void advance(size_t to) {
    line_ += static_cast<int>(std::count(s_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         s_.begin() + static_cast<std::ptrdiff_t>(to), '\n'));
    at_ = to;
  }
  void emit(Tok type, std::string text) { tokens_.push_back({type, line_, std::move(text)}); }
  size_t spaces_from(size_t i) const { return s_.size() - strip_left(s_.substr(i)).size(); }

  // Text before a tag, with the tag's sign applied.
  void emit_data(size_t from, size_t to, char sign, bool variable) {
    std::string_view text = s_.substr(from, to - from);
    if (sign == '-') {
      text = strip_right(text);
    } else if (sign != '+' && !variable) {
      const size_t line_start = text.rfind('\n') + 1;  // 0 when there is none
      if (line_start > 0 || line_starting_) {
        if (strip_left(text.substr(line_start)).empty()) text = text.substr(0, line_start);
      }
    }
    if (!text.empty()) emit(Tok::kData, std::string(text));
  }

  size_t find_tag(size_t from) const {
    for (size_t i = s_.find('{', from); i != s_.npos && i + 1 < s_.size(); i = s_.find('{', i + 1)) {
      if (s_[i + 1] == '{' || s_[i + 1] == '%' || s_[i + 1] == '#') return i;
    }
    return s_.npos;
  }

  void data() {
    const size_t from = at_;
    const size_t tag = find_tag(from);
    if (tag == s_.npos) {
      if (from < s_.size()) emit(Tok::kData, std::string(s_.substr(from)));
      advance(s_.size());
      return;
    }
    const char kind = s_[tag + 1];
    const char next = tag + 2 < s_.size() ? s_[tag + 2] : '\0';
    const char sign = next == '-' || next == '+' ? next : '\0';
    emit_data(from, tag, sign, kind == '{');
    advance(tag + (sign != 0 ? 3 : 2));
    line_starting_ = false;
    if (kind == '#') return comment();
    if (kind == '%' && raw()) return;
    emit(kind == '{' ? Tok::kVarBegin : Tok::kBlockBegin, "");
    tag_body(kind == '{');
  }

  // Steps over the end of a tag: "-" eats white space, a block also eats one newline unless "+".
  void end_tag(size_t close, char sign, bool block) {
    size_t end = close + 2;
    if (sign == '-') {
      end = spaces_from(end);
    } else if (block && sign != '+' && end < s_.size() && s_[end] == '\n') {
      ++end;
    }
    advance(end);
    line_starting_ = s_[end - 1] == '\n';
  }

  void comment() {
    if (at_ == s_.size()) return;  // "{#" as the very last thing is nothing, as in jinja2
    const size_t close = s_.find("#}", at_);
    if (close == s_.npos) return fail("a comment is not closed with #}");
    const char before = close > at_ ? s_[close - 1] : '\0';
    end_tag(close, before == '-' || before == '+' ? before : '\0', true);
  }

  // {% raw %} ... {% endraw %}. RETURNS: false, with nothing consumed, when the tag is another one.
  bool raw() {
    size_t i = spaces_from(at_);
    if (s_.substr(i, 3) != "raw") return false;
    i = spaces_from(i + 3);
    const bool strip = i < s_.size() && s_[i] == '-';
    if (strip) ++i;
    if (s_.substr(i, 2) != "%}") return false;
    i += 2;
    if (strip) i = spaces_from(i);
    advance(i);
    line_starting_ = s_[i - 1] == '\n';
    for (size_t open = s_.find("{%", at_); open != s_.npos; open = s_.find("{%", open + 1)) {
      size_t j = open + 2;
      const char sign = j < s_.size() && (s_[j] == '-' || s_[j] == '+') ? s_[j++] : '\0';
      j = spaces_from(j);
      if (s_.substr(j, 6) != "endraw") continue;
      j = spaces_from(j + 6);
      const char end_sign = j < s_.size() && (s_[j] == '-' || s_[j] == '+') ? s_[j++] : '\0';
      if (s_.substr(j, 2) != "%}") continue;
      emit_data(at_, open, sign, false);
      advance(j);
      end_tag(j, end_sign, true);
      return true;
    }
    fail("{% raw %} is not closed with {% endraw %}");
    return true;
  }

  bool at_end(bool variable, char& sign, size_t& close) const {
    const std::string_view end = variable ? "}}" : "%}";
    sign = '\0';
    close = at_;
    if (peek() == '-' || (!variable && peek() == '+')) sign = peek(), ++close;
    return s_.substr(close, 2) == end;
  }

  void tag_body(bool variable) {
    std::string open;  // brackets not closed yet: inside them "}}" is two closing braces
    while (status_.ok()) {
      char sign = 0;
      size_t close = 0;
      if (open.empty() && at_end(variable, sign, close)) {
        emit(variable ? Tok::kVarEnd : Tok::kBlockEnd, "");
        return end_tag(close, sign, !variable);
      }
      if (at_ >= s_.size()) return fail("a tag is not closed");
      const size_t after = spaces_from(at_);
      if (after != at_) {
        advance(after);
        continue;
      }
      one(open);
    }
  }

  void one(std::string& open) {
    const char c = peek();
    if (digit(c)) return number();
    if (name_start(c)) {
      size_t end = at_;
      while (end < s_.size() && (name_start(s_[end]) || digit(s_[end]))) {
        if ((s_[end] & 0x80) != 0 && is_space(char_at(s_, end))) break;
        end += char_bytes(s_, end);
      }
      emit(Tok::kName, std::string(s_.substr(at_, end - at_)));
      return advance(end);
    }
    if (c == '\'' || c == '"') return string(c);
    return op(open);
  }

  size_t digits_from(size_t i) const {
    while (i < s_.size() && (digit(s_[i]) || (s_[i] == '_' && i + 1 < s_.size() && digit(s_[i + 1])))) ++i;
    return i;
  }

  void number() {
    size_t end = digits_from(at_);
    bool whole = true;
    const bool after_dot = at_ > 0 && s_[at_ - 1] == '.';
    if (!after_dot && end + 1 < s_.size() && s_[end] == '.' && digit(s_[end + 1])) {
      end = digits_from(end + 1);
      whole = false;
    }
    if (!after_dot && end < s_.size() && (s_[end] == 'e' || s_[end] == 'E')) {
      size_t e = end + 1;
      if (e < s_.size() && (s_[e] == '+' || s_[e] == '-')) ++e;
      if (e < s_.size() && digit(s_[e])) end = digits_from(e), whole = false;
    }
    if (whole && peek() == '0') return zero_number();
    std::string text(s_.substr(at_, end - at_));
    std::erase(text, '_');
    emit(whole ? Tok::kInt : Tok::kFloat, std::move(text));
    advance(end);
  }

  // 0x1f, 0o7, 0b1 and plain zeros; "07" is two tokens, and so an error later, as in jinja2.
  void zero_number() {
    const char mark = static_cast<char>(peek(1) | 0x20);
    const int base = mark == 'x' ? 16 : (mark == 'o' ? 8 : (mark == 'b' ? 2 : 0));
    std::string text;
    size_t end = at_ + 2;
    const auto fits = [&](char c) {
      const int d = digit(c) ? c - '0' : ((c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : 99);
      return d < base;
    };
    for (; base != 0 && end < s_.size(); ++end) {
      if (s_[end] == '_' && end + 1 < s_.size() && fits(s_[end + 1])) continue;
      if (!fits(s_[end])) break;
      text += s_[end];
    }
    if (text.empty()) {
      end = at_ + 1;
      while (end < s_.size() && (s_[end] == '0' || (s_[end] == '_' && end + 1 < s_.size() && s_[end + 1] == '0')))
        ++end;
      emit(Tok::kInt, "0");
      return advance(end);
    }
    uint64_t value = 0;
    const auto r = std::from_chars(text.data(), text.data() + text.size(), value, base);
    emit(Tok::kInt, r.ec == std::errc() ? std::to_string(value) : "99999999999999999999");  // refused by the parser
    advance(end);
  }

  void string(char quote) {
    size_t end = at_ + 1;
    while (end < s_.size() && s_[end] != quote) end += s_[end] == '\\' ? 2 : 1;
    if (end >= s_.size()) return fail("a string is not closed");
    std::string out;
    unescape(s_.substr(at_ + 1, end - at_ - 1), out);
    emit(Tok::kString, std::move(out));
    advance(end + 1);
  }

  void unescape(std::string_view in, std::string& out) {
    for (size_t i = 0; i < in.size();) {
      if (in[i] != '\\' || i + 1 >= in.size()) {
        out += in[i++];
        continue;
      }
      i = escape(in, i + 1, out);
    }
  }

  size_t hex_escape(std::string_view in, size_t i, size_t count, std::string& out) {
    uint32_t c = 0;
    const char* from = in.data() + i;
    const bool room = i + count <= in.size();
    if (!room || std::from_chars(from, from + count, c, 16).ptr != from + count || c > 0x10FFFF ||
        (c >= 0xD800 && c < 0xE000)) {
      fail("a string holds a bad \\x, \\u or \\U escape");
      return in.size();
    }
    append_char(out, c);
    return i + count;
  }

  // i is just behind the backslash. RETURNS: where to go on.
  size_t escape(std::string_view in, size_t i, std::string& out) {
    static constexpr std::string_view kFrom = "\\'\"abfnrtv";
    static constexpr std::string_view kTo = "\\'\"\a\b\f\n\r\t\v";
    const char c = in[i];
    if (const size_t k = kFrom.find(c); k != kFrom.npos) {
      out += kTo[k];
      return i + 1;
    }
    if (c == '\n') return i + 1;
    if (c == 'x') return hex_escape(in, i + 1, 2, out);
    if (c == 'u') return hex_escape(in, i + 1, 4, out);
    if (c == 'U') return hex_escape(in, i + 1, 8, out);
    if (c == 'N') fail("\\N{...} escapes are not supported: write the character itself");
    if (c >= '0' && c <= '7') {
      uint32_t value = 0;
      size_t n = 0;
      for (; n < 3 && i + n < in.size() && in[i + n] >= '0' && in[i + n] <= '7'; ++n) {
        value = value * 8 + static_cast<uint32_t>(in[i + n] - '0');
      }
      append_char(out, value);
      return i + n;
    }
    out += '\\';
    return i;  // an unknown escape keeps its backslash
  }

  void op(std::string& open) {
    static constexpr std::string_view kLong[] = {"//", "**", "==", "!=", ">=", "<="};
    for (const std::string_view two : kLong) {
      if (starts(two)) {
        emit(Tok::kOp, std::string(two));
        return advance(at_ + 2);
      }
    }
    const char c = peek();
    if (std::string_view("+-*/%~[](){}<>=.:|,;").find(c) == std::string_view::npos || c == '\0') {
      return fail(std::string("unexpected character '") + c + "'");
    }
    if (c == '(' || c == '[' || c == '{') open += c == '(' ? ')' : (c == '[' ? ']' : '}');
    if (c == ')' || c == ']' || c == '}') {
      if (open.empty() || open.back() != c) return fail(std::string("unexpected '") + c + "'");
      open.pop_back();
    }
    emit(Tok::kOp, std::string(1, c));
    advance(at_ + 1);
  }

  const std::string text_;
  const std::string_view s_;
  size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::vector<Token> tokens_;
  Status status_;
};

}  // namespace

Result<std::vector<Token>> lex(std::string_view source) {
  if (source.size() > kMaxSourceBytes) {
    return invalid_argument("the chat template has " + std::to_string(source.size()) + " bytes; the limit is " +
                            std::to_string(kMaxSourceBytes));
  }
  if (!is_valid_utf8(source)) return invalid_argument("the chat template is not valid UTF-8");
  return Lexer(source).run();
}

}  // namespace weir::jinja
