#include "api/fields.h"

#include <cmath>

#include <fmt/format.h>

namespace weir::api {
namespace {

bool in_range(double number, NumberRange range) {
  return std::isfinite(number) && number <= range.max && (range.above_min ? number > range.min : number >= range.min);
}

}  // namespace

std::optional<double> as_number(const boost::json::value& value) {
  if (value.is_double()) return value.get_double();
  if (value.is_int64()) return static_cast<double>(value.get_int64());
  if (value.is_uint64()) return static_cast<double>(value.get_uint64());
  return {};
}

std::optional<int64_t> as_integer(const boost::json::value& value) {
  if (value.is_int64()) return value.get_int64();
  if (!value.is_double()) return {};
  constexpr double kExact = 9007199254740992.0;  // 2^53: beyond it a double no longer names one integer
  const double number = value.get_double();
  if (!(std::abs(number) <= kExact) || number != std::floor(number)) return {};
  return static_cast<int64_t>(number);
}

std::string describe(const boost::json::value& value) {
  switch (value.kind()) {
    case boost::json::kind::null: return "null";
    case boost::json::kind::bool_: return value.get_bool() ? "true" : "false";
    case boost::json::kind::string: return "a string";
    case boost::json::kind::array: return "an array";
    case boost::json::kind::object: return "an object";
    default: return fmt::format("{}", *as_number(value));
  }
}

const boost::json::value* Fields::find(std::string_view name) const {
  if (error_) return nullptr;
  const auto* value = object_.if_contains(boost::json::string_view(name.data(), name.size()));
  return value == nullptr || value->is_null() ? nullptr : value;
}

std::optional<double> Fields::number(std::string_view name, NumberRange range) {
  const auto* value = find(name);
  if (value == nullptr) return {};
  const auto number = as_number(*value);
  if (number && in_range(*number, range)) return number;
  fail(name, fmt::format("must be a number {} {} and at most {}, got {}", range.above_min ? "above" : "of at least",
                         range.min, range.max, describe(*value)));
  return {};
}

std::optional<int64_t> Fields::integer(std::string_view name, int64_t min, int64_t max) {
  const auto* value = find(name);
  if (value == nullptr) return {};
  const auto number = as_integer(*value);
  if (number && *number >= min && *number <= max) return number;
  fail(name, fmt::format("must be an integer from {} to {}, got {}", min, max, describe(*value)));
  return {};
}

std::optional<bool> Fields::boolean(std::string_view name) {
  const auto* value = find(name);
  if (value == nullptr) return {};
  if (value->is_bool()) return value->get_bool();
  fail(name, fmt::format("must be true or false, got {}", describe(*value)));
  return {};
}

std::optional<std::string_view> Fields::text(std::string_view name) {
  const auto* value = find(name);
  if (value == nullptr) return {};
  if (value->is_string()) return std::string_view(value->get_string());
  fail(name, fmt::format("must be a string, got {}", describe(*value)));
  return {};
}

const boost::json::object* Fields::object(std::string_view name) {
  const auto* value = find(name);
  if (value == nullptr) return nullptr;
  if (value->is_object()) return &value->get_object();
  fail(name, fmt::format("must be an object, got {}", describe(*value)));
  return nullptr;
}

const boost::json::array* Fields::array(std::string_view name) {
  const auto* value = find(name);
  if (value == nullptr) return nullptr;
  if (value->is_array()) return &value->get_array();
  fail(name, fmt::format("must be an array, got {}", describe(*value)));
  return nullptr;
}

void Fields::fail(std::string_view name, std::string_view message) {
  fail(bad_param(path(name), fmt::format("{} {}", path(name), message)));
}

void Fields::fail(ApiError error) {
  if (!error_) error_ = std::move(error);
}

}  // namespace weir::api
