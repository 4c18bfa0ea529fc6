// JSON of a model directory, read strictly: the one place of this room that turns JSON into typed fields.
// Private to checkpoint/*.cc (it pulls in boost::json). Any thread; values only.
// Limits: text size by the caller, depth 32. Text as Python writes it (base/python_json.h) is read; a key that is
// there twice is an error where it is read, because two readers would disagree, and none where it is not.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "checkpoint/printable.h"

namespace weir {

struct JsonObject {
  // A key of the object that is there twice, or that holds an object with one: `member` of the outermost object,
  // `key`.
  struct Twice {
    std::string member, key;
  };
  boost::json::object object;  // the last of two equal keys, as in Python
  std::vector<Twice> twice;
};

// ERRORS: kTooLarge above bytes_max; kInvalidArgument when it is not one JSON object.
Result<JsonObject> parse_json_object(std::string_view text, std::string_view what, size_t bytes_max);

// Reads fields of one object; the first error sticks and later reads return the fallback or a zero, so that a
// parser is a list of reads and one look at status(). A JSON null counts as absent.
class FieldReader {
 public:
  FieldReader(const JsonObject& all, std::string what)
      : object_(all.object), twice_(&all.twice), what_(std::move(what)) {}
  FieldReader(const boost::json::object& object, std::string what) : object_(object), what_(std::move(what)) {}

  const boost::json::value* find(std::string_view key);  // null when absent or JSON null
  bool is_null(std::string_view key) const;              // written as null

  // Without a fallback the key is required. A whole number may be written as 1e6 or 1000000.0.
  int64_t integer(std::string_view key, int64_t min, int64_t max, std::optional<int64_t> fallback = {});
  double number(std::string_view key, double min, double max, std::optional<double> fallback = {});
  bool boolean(std::string_view key, bool fallback);
  std::string text(std::string_view key, std::string fallback);
  const boost::json::object* object(std::string_view key);  // null when absent

  void fail(Status status);
  // "what: message" as kInvalidArgument.
  void fail(std::string_view message);
  const Status& status() const { return status_; }
  bool ok() const { return status_.ok(); }

 private:
  const boost::json::value* require(std::string_view key, bool optional);

  const boost::json::object& object_;
  const std::vector<JsonObject::Twice>* twice_ = nullptr;
  std::string what_;
  Status status_;
};

// The double of a JSON number of any kind. RETURNS: nothing for other kinds and for infinities.
std::optional<double> finite_number(const boost::json::value& value);

// The whole number that a JSON number is. RETURNS: nothing for other kinds and for fractions; a number that 64 bits
// cannot hold is the largest or smallest that they can.
std::optional<int64_t> whole_number(const boost::json::value& value);

}  // namespace weir
