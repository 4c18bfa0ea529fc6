#include "config/toml_file.h"

#include <algorithm>
#include <charconv>

#include "base/files.h"
#include "config/foreign.h"
#include "config/nearest.h"
#include "config/toml_parser.h"
#include "config/values.h"

namespace weir {
namespace {

constexpr size_t kFileBytesMax = 1 << 20;

std::string dashed(std::string_view name) {
  std::string result(name);
  std::replace(result.begin(), result.end(), '_', '-');
  return result;
}

// RETURNS: the value as one would write it on the command line.
Result<std::string> scalar_text(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* flag = node.as_boolean()) return std::string(flag->get() ? "true" : "false");
  if (const auto* number = node.as_floating_point()) {
    char digits[64];
    const auto end = std::to_chars(digits, digits + sizeof digits, number->get(), std::chars_format::fixed).ptr;
    if (end != digits + sizeof digits) return std::string(digits, end);
  }
  return invalid_argument("write a string, a number, true or false");
}

Result<std::vector<std::string>> value_texts(const toml::node& node) {
  std::vector<std::string> texts;
  if (const toml::array* list = node.as_array()) {
    for (const toml::node& item : *list) {
      WEIR_ASSIGN_OR_RETURN(std::string text, scalar_text(item));
      texts.push_back(std::move(text));
    }
    if (texts.empty()) return invalid_argument("the list is empty; leave the name out instead");
    return texts;
  }
  WEIR_ASSIGN_OR_RETURN(std::string text, scalar_text(node));
  texts.push_back(std::move(text));
  return texts;
}

Status unknown_name(const std::string& name, const std::vector<std::string>& known) {
  const std::string hint = foreign_flag_hint(name);
  if (!hint.empty()) return invalid_argument(name + ": " + hint);
  const std::string meant = did_you_mean(name, known);
  return invalid_argument("unknown setting " + name + (meant.empty() ? "; see weir serve --help" : meant));
}

Status read_table(const toml::table& table, bool at_top, const std::string& where,
                  const std::vector<std::string>& known, NamedTexts* found) {
  for (const auto& [key, node] : table) {
    const std::string name = dashed(key.str());
    const std::string line = toml_line(where, node.source());
    if (at_top && name == "serve" && node.is_table()) continue;  // the caller reads it next
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      return unknown_name(name, known).with_prefix(line);
    }
    Result<std::vector<std::string>> texts = value_texts(node);
    if (!texts.ok()) return texts.status().with_prefix(line + ": " + name);
    if (!found->emplace(name, *std::move(texts)).second) {
      return invalid_argument(line + ": " + name + " is given twice; keep one");
    }
  }
  return ok_status();
}

}  // namespace

Result<NamedTexts> parse_settings_toml(std::string_view text, const std::string& where,
                                       const std::vector<std::string>& known) {
  const toml::parse_result parsed = toml::parse(text);
  if (!parsed) {
    const toml::parse_error& error = parsed.error();
    return invalid_argument(toml_line(where, error.source()) + ": " + toml_message(error));
  }
  NamedTexts found;
  WEIR_RETURN_IF_ERROR(read_table(parsed.table(), true, where, known, &found));
  if (const toml::table* serve = parsed.table()["serve"].as_table()) {
    WEIR_RETURN_IF_ERROR(read_table(*serve, false, where, known, &found));
  }
  return found;
}

Result<NamedTexts> read_settings_file(const std::string& path, const std::vector<std::string>& known) {
  WEIR_ASSIGN_OR_RETURN(const std::string text, read_small_file(path, kFileBytesMax));
  return parse_settings_toml(text, path, known);
}

}  // namespace weir
