// A request body as a JSON object, read under hard limits. Private to this room's .cc files: it pulls in boost::json.
//
// Thread: the io thread that read the body; one JsonBody lives there at a time, so json_bytes_max() of the largest body
// times io threads is all the memory that JSON can take. Limits: kJsonDepthMax levels, that heap, http/'s body size.
// Invalid UTF-8, lone surrogates, NaN, trailing bytes are errors; of duplicate keys the last one counts, as in the
// Python servers that clients were written against.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

namespace weir::api {

inline constexpr size_t kJsonDepthMax = 32;
inline constexpr size_t kJsonBytesMax = size_t{64} << 20;
// The heap that a body of so many bytes may take, and never more than kJsonBytesMax. 40 bytes a byte is above what the
// densest texts need with the parser's stack ("[]," takes three values of 16 bytes for its three), so that a body is
// refused for its heap only at the cap.
constexpr size_t json_bytes_max(size_t body_bytes) {
  constexpr size_t kFloor = size_t{256} << 10;
  return body_bytes >= (kJsonBytesMax - kFloor) / 40 ? kJsonBytesMax : kFloor + 40 * body_bytes;
}

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
