#include "checkpoint/json_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/parse.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "base/python_json.h"

namespace weir {
namespace {

namespace json = boost::json;

// Walks the text once and remembers the keys of the open objects alone; boost's DOM keeps the last of two equal
// keys in silence.
class DuplicateFinder {
 public:
  static constexpr size_t max_object_size = static_cast<size_t>(-1);
  static constexpr size_t max_array_size = static_cast<size_t>(-1);
  static constexpr size_t max_key_size = static_cast<size_t>(-1);
  static constexpr size_t max_string_size = static_cast<size_t>(-1);
  using Error = boost::system::error_code;

  bool on_document_begin(Error&) { return true; }
  bool on_document_end(Error&) { return true; }
  bool on_object_begin(Error&) {
    open_.emplace_back();
    return true;
  }
  bool on_object_end(size_t, Error&) {
    std::vector<std::string>& keys = open_.back();
    const bool outermost = open_.size() == 1;
    std::sort(keys.begin(), keys.end());
    for (auto at = std::adjacent_find(keys.begin(), keys.end()); at != keys.end();
         at = std::adjacent_find(at + 1, keys.end())) {
      twice.push_back({outermost ? *at : member_, *at});
    }
    open_.pop_back();
    return true;
  }
  bool on_array_begin(Error&) { return true; }
  bool on_array_end(size_t, Error&) { return true; }
  bool on_key_part(json::string_view part, size_t, Error&) {
    key_.append(part.data(), part.size());
    return true;
  }
  bool on_key(json::string_view part, size_t, Error&) {
    key_.append(part.data(), part.size());
    if (open_.size() == 1) member_ = key_;
    open_.back().push_back(std::move(key_));
    key_.clear();
    return true;
  }
  bool on_string_part(json::string_view, size_t, Error&) { return true; }
  bool on_string(json::string_view, size_t, Error&) { return true; }
  bool on_number_part(json::string_view, Error&) { return true; }
  bool on_int64(int64_t, json::string_view, Error&) { return true; }
  bool on_uint64(uint64_t, json::string_view, Error&) { return true; }
  bool on_double(double, json::string_view, Error&) { return true; }
  bool on_bool(bool, Error&) { return true; }
  bool on_null(Error&) { return true; }
  bool on_comment_part(json::string_view, Error&) { return true; }
  bool on_comment(json::string_view, Error&) { return true; }

  std::vector<JsonObject::Twice> twice;

 private:
  std::vector<std::vector<std::string>> open_;
  std::string key_, member_;
};

}  // namespace

std::string printable(std::string_view text, size_t bytes_max) {
  std::string out(text.substr(0, bytes_max));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  if (text.size() > bytes_max) out += "...";
  return out;
}

Result<JsonObject> parse_json_object(std::string_view written, std::string_view what, size_t bytes_max) {
  if (written.size() > bytes_max) {
    return Status(Code::kTooLarge,
                  fmt::format("{}: {} bytes, more than the {} allowed", what, written.size(), bytes_max));
  }
  std::string buffer;
  const std::string_view text = plain_json(written, &buffer);
  boost::system::error_code error;
  json::basic_parser<DuplicateFinder> finder{json::parse_options{}};
  const size_t used = finder.write_some(false, text.data(), text.size(), error);
  const auto blank = [](char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; };
  if (!error && !std::all_of(text.begin() + static_cast<ptrdiff_t>(used), text.end(), blank)) {
    error = json::make_error_code(json::error::extra_data);
  }
  if (error) return invalid_argument(fmt::format("{}: not valid JSON at byte {}: {}", what, used, error.message()));
  json::value value = json::parse({text.data(), text.size()}, error);
  if (error || !value.is_object()) return invalid_argument(fmt::format("{}: must hold one JSON object", what));
  return JsonObject{.object = std::move(value.get_object()), .twice = std::move(finder.handler().twice)};
}

const json::value* FieldReader::find(std::string_view key) {
  const json::value* value = object_.if_contains({key.data(), key.size()});
  if (twice_ != nullptr) {
    const auto at = std::find_if(twice_->begin(), twice_->end(),
                                 [&](const JsonObject::Twice& one) { return one.member == key; });
    if (at != twice_->end()) fail(fmt::format("the key '{}' is there twice", printable(at->key)));
  }
  return value == nullptr || value->is_null() ? nullptr : value;
}

bool FieldReader::is_null(std::string_view key) const {
  const json::value* value = object_.if_contains({key.data(), key.size()});
  return value != nullptr && value->is_null();
}

const json::value* FieldReader::require(std::string_view key, bool optional) {
  const json::value* value = find(key);
  if (value == nullptr && !optional) fail(fmt::format("'{}' is missing", key));
  return value;
}

int64_t FieldReader::integer(std::string_view key, int64_t min, int64_t max, std::optional<int64_t> fallback) {
  const json::value* value = require(key, fallback.has_value());
  if (value == nullptr) return fallback.value_or(0);
  const std::optional<int64_t> number = whole_number(*value);
  if (!number) {
    fail(fmt::format("'{}' must be a whole number", key));
  } else if (*number < min || *number > max) {
    fail(fmt::format("'{}' must be between {} and {}", key, min, max));
  } else {
    return *number;
  }
  return fallback.value_or(0);
}

std::optional<int64_t> whole_number(const json::value& value) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  constexpr double kExactMax = 9007199254740992.0;  // 2^53
  if (value.is_int64()) return value.get_int64();
  if (value.is_uint64()) return kMax;
  if (!value.is_double() || !std::isfinite(value.get_double()) ||
      std::floor(value.get_double()) != value.get_double())
    return {};
  const double number = value.get_double();
  return number > kExactMax ? kMax : number < -kExactMax ? -kMax : static_cast<int64_t>(number);
}

std::optional<double> finite_number(const json::value& value) {
  if (value.is_int64()) return static_cast<double>(value.get_int64());
  if (value.is_uint64()) return static_cast<double>(value.get_uint64());
  if (value.is_double() && std::isfinite(value.get_double())) return value.get_double();
  return {};
}

double FieldReader::number(std::string_view key, double min, double max, std::optional<double> fallback) {
  const json::value* value = require(key, fallback.has_value());
  if (value == nullptr) return fallback.value_or(0);
  const std::optional<double> number = finite_number(*value);
  if (!number) {
    fail(fmt::format("'{}' must be a number", key));
  } else if (*number < min || *number > max) {
    fail(fmt::format("'{}' must be between {} and {}", key, min, max));
  } else {
    return *number;
  }
  return fallback.value_or(0);
}

bool FieldReader::boolean(std::string_view key, bool fallback) {
  const json::value* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_bool()) {
    fail(fmt::format("'{}' must be true or false", key));
    return fallback;
  }
  return value->get_bool();
}

std::string FieldReader::text(std::string_view key, std::string fallback) {
  const json::value* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_string()) {
    fail(fmt::format("'{}' must be a string", key));
    return fallback;
  }
  return std::string(value->get_string().data(), value->get_string().size());
}

const json::object* FieldReader::object(std::string_view key) {
  const json::value* value = find(key);
  if (value == nullptr) return nullptr;
  if (!value->is_object()) {
    fail(fmt::format("'{}' must be an object", key));
    return nullptr;
  }
  return &value->get_object();
}

void FieldReader::fail(Status status) {
  if (status_.ok()) status_ = std::move(status);
}

void FieldReader::fail(std::string_view message) { fail(invalid_argument(fmt::format("{}: {}", what_, message))); }

}  // namespace weir
