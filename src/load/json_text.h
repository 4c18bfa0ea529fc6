// json_text: writing JSON. Pure, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace weir {

// Appends `text` in quotes. Valid UTF-8 is kept; each byte that breaks it becomes U+FFFD.
void append_json_string(std::string* out, std::string_view text);

// A document written front to back; the caller keeps brackets in pairs. Numbers are rounded to six decimals, and
// one that is not finite becomes null.
class JsonWriter {
 public:
  JsonWriter& key(std::string_view name);
  JsonWriter& open(char bracket);   // '{' or '['
  JsonWriter& close(char bracket);  // '}' or ']'
  JsonWriter& value(std::string_view text);
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(int64_t number);
  JsonWriter& value(double number);
  JsonWriter& boolean(bool yes);
  JsonWriter& null();
  std::string take() { return std::move(text_); }

 private:
  void comma();
  std::string text_;
};

}  // namespace weir
