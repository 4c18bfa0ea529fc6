// Fields: typed, range-checked reads of one JSON object of a request. Private to this room's .cc files (boost::json).
//
// A value on the io thread. The first error sticks: later reads return nothing, so a parser is a list of reads and
// one look at error(). A JSON null counts as absent, as OpenAI's schema says.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "api/error.h"

namespace weir::api {

// The accepted numbers; `above_min` excludes min itself.
struct NumberRange {
  double min, max;
  bool above_min = false;
};

class Fields {
 public:
  // prefix: where the object stands, "stream_options."; empty at the top.
  explicit Fields(const boost::json::object& object, std::string prefix = {})
      : object_(object), prefix_(std::move(prefix)) {}

  const boost::json::value* find(std::string_view name) const;  // null when absent or JSON null, or after an error
  bool has(std::string_view name) const { return find(name) != nullptr; }

  std::optional<double> number(std::string_view name, NumberRange range);
  // Numbers such as 16.0 count as integers, 16.5 and 2^70 do not.
  std::optional<int64_t> integer(std::string_view name, int64_t min, int64_t max);
  std::optional<bool> boolean(std::string_view name);
  bool flag(std::string_view name, bool otherwise) { return boolean(name).value_or(otherwise); }
  std::optional<std::string_view> text(std::string_view name);  // points into the object
  const boost::json::object* object(std::string_view name);
  const boost::json::array* array(std::string_view name);

  void fail(std::string_view name, std::string_view message);  // "name message" as 400 with that param
  void fail(ApiError error);
  bool ok() const { return !error_.has_value(); }
  const std::optional<ApiError>& error() const { return error_; }
  std::string path(std::string_view name) const { return prefix_ + std::string(name); }
  const boost::json::object& raw() const { return object_; }

 private:
  const boost::json::object& object_;
  const std::string prefix_;
  std::optional<ApiError> error_;
};

// RETURNS: the value as an integer, nothing when it is none or beyond int64.
std::optional<int64_t> as_integer(const boost::json::value& value);
// RETURNS: the value as a double, infinity included; nothing when it is no number.
std::optional<double> as_number(const boost::json::value& value);
// What a client sent, for a message: "a string", "3.5".
std::string describe(const boost::json::value& value);

}  // namespace weir::api
