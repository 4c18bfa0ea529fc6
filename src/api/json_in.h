// A request body as a JSON object, read under hard limits. Private to this room's .cc files: it pulls in
// boost::json.
//
// Thread: the io thread that read the body up to kInlineBodyBytes, beyond that one of the text pool; one JsonBody
// lives on a thread at a time, and json_bytes_max() of its body is planned there (text_work.h). Limits:
// kJsonDepthMax levels, that heap, http/'s body size. Invalid UTF-8, lone surrogates, NaN, trailing bytes are
// errors; of duplicate keys the last one counts, as in the Python servers that clients were written against.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <memory>
#include <string>
#include <string_view>

#include "api/text_work.h"
#include "base/status.h"

namespace weir::api {

inline constexpr size_t kJsonDepthMax = 32;

class BoundedHeap;

class JsonBody {
 public:
  // ERRORS: kInvalidArgument (not one JSON object; the message says where), kTooLarge (json_bytes_max).
  static Result<JsonBody> parse(std::string_view text);
  JsonBody(JsonBody&&) noexcept;
  ~JsonBody();

  const boost::json::object& object() const;

 private:
  JsonBody();
  std::unique_ptr<BoundedHeap> heap_;  // outlives value_
  std::unique_ptr<boost::json::value> value_;
};

// Writes a value back as JSON that any reader accepts. RETURNS: false when a number in it is not finite (1e400).
[[nodiscard]] bool append_json_value(const boost::json::value& value, std::string* out);

}  // namespace weir::api
