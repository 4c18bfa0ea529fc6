#include <charconv>
#include <cstdlib>
#include <new>

#include "text/jinja/json.h"
#include "text/jinja/number.h"
#include "text/jinja/unicode.h"

namespace weir::jinja {
namespace {

class Reader {
 public:
  Reader(Heap& heap, std::string_view text) : heap_(heap), text_(text) {}

  Value document() {
    heap_.step_bytes(text_.size());
    Value v = value(0);
    skip_space();
    if (!heap_.failed() && at_ != text_.size()) fail("text after the end of the value");
    return heap_.failed() ? Value() : v;
  }

 private:
  void fail(const Text& what) { heap_.fail("position " + number_text(at_) + ": " + what); }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip_space() {
    while (at_ < text_.size() && (peek() == ' ' || peek() == '\n' || peek() == '\t' || peek() == '\r')) ++at_;
  }
  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool take_word(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  Value value(int depth) {
    if (depth > kMaxJsonDepth) fail("nested deeper than " + number_text(kMaxJsonDepth));
    if (!heap_.step()) return {};
    skip_space();
    if (take('{')) return object(depth);
    if (take('[')) return array(depth);
    if (peek() == '"') {
      Text s;
      return string(s) ? make_string(heap_, std::move(s)) : Value();
    }
    if (take_word("true")) return Value::boolean(true);
    if (take_word("false")) return Value::boolean(false);
    if (take_word("null")) return Value::none();
    return number();
  }

  Value array(int depth) {
    Value out = make_seq(heap_, SeqKind::kList);
    skip_space();
    if (take(']')) return out;
    while (!heap_.failed()) {
      out.seq()->push(value(depth + 1));
      skip_space();
      if (take(']')) return out;
      if (!take(',')) fail("expected ',' or ']'");
    }
    return {};
  }

  Value object(int depth) {
    Value out = make_dict(heap_);
    skip_space();
    if (take('}')) return out;
    while (!heap_.failed()) {
      skip_space();
      Text key;
      if (!string(key)) break;
      skip_space();
      if (!take(':')) fail("expected ':'");
      Value v = value(depth + 1);
      if (heap_.failed()) break;
      out.dict()->set(make_string(heap_, std::move(key)), std::move(v));
      skip_space();
      if (take('}')) return out;
      if (!take(',')) fail("expected ',' or '}'");
    }
    return {};
  }

  bool hex4(uint32_t& out) {
    if (at_ + 4 > text_.size()) return false;
    const char* from = text_.data() + at_;
    const auto [end, error] = std::from_chars(from, from + 4, out, 16);
    if (error != std::errc() || end != from + 4) return false;
    at_ += 4;
    return true;
  }

  bool unicode_escape(Text& out) {
    uint32_t c = 0;
    if (!hex4(c)) return false;
    if (c >= 0xDC00 && c < 0xE000) return false;
    if (c >= 0xD800 && c < 0xDC00) {
      uint32_t low = 0;
      if (!take('\\') || !take('u') || !hex4(low) || low < 0xDC00 || low >= 0xE000) return false;
      c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    }
    append_char(out, c);
    return true;
  }

  bool escape(Text& out) {
    if (at_ >= text_.size()) return false;
    switch (text_[at_++]) {
      case '"':
        out += '"';
        return true;
      case '\\':
        out += '\\';
        return true;
      case '/':
        out += '/';
        return true;
      case 'b':
        out += '\b';
        return true;
      case 'f':
        out += '\f';
        return true;
      case 'n':
        out += '\n';
        return true;
      case 'r':
        out += '\r';
        return true;
      case 't':
        out += '\t';
        return true;
      case 'u':
        return unicode_escape(out);
      default:
        return false;
    }
  }

  bool string(Text& out) {
    if (!take('"')) {
      fail("expected a string");
      return false;
    }
    while (at_ < text_.size()) {
      const size_t from = at_;
      while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\\' &&
             static_cast<unsigned char>(text_[at_]) >= 0x20) {
        ++at_;
      }
      const std::string_view plain = text_.substr(from, at_ - from);
      if (!is_ascii(plain) && !is_valid_utf8(plain)) break;
      out += plain;
      if (take('"')) return true;
      if (!take('\\') || !escape(out)) break;
    }
    fail("bad character, escape or end in a string");
    return false;
  }

  bool digits() {
    const size_t from = at_;
    while (peek() >= '0' && peek() <= '9') ++at_;
    return at_ > from;
  }

  Value number() {
    const size_t from = at_;
    take('-');
    bool ok = take('0') || digits();
    bool whole = true;
    if (ok && take('.')) ok = digits(), whole = false;
    if (ok && (peek() == 'e' || peek() == 'E')) {
      ++at_;
      if (!take('+')) take('-');
      ok = digits();
      whole = false;
    }
    if (!ok) {
      fail("expected a value");
      return {};
    }
    const Text text(text_.substr(from, at_ - from));
    int64_t i = 0;
    if (!whole) return Value::real(std::strtod(text.c_str(), nullptr));
    if (parse_int(text, 10, i)) return Value::integer(i);
    if (text.size() > 4300) fail("an integer of more than 4300 digits");
    return Value::object(Kind::kBigInt, heap_.make<Str>(Text(text)));
  }

  Heap& heap_;
  const std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

Value parse_json(Heap& heap, std::string_view text) {
  try {
    return Reader(heap, text).document();
  } catch (const std::bad_alloc&) {  // of the heap, which has noted why
    return {};
  }
}

}  // namespace weir::jinja
