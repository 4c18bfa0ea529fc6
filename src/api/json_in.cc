#include "api/json_in.h"

#include <boost/json/memory_resource.hpp>
#include <boost/json/parser.hpp>
#include <cmath>
#include <new>

#include <fmt/format.h>

#include "api/json_out.h"
#include "base/check.h"
#include "base/slabs.h"
#include "base/units.h"

namespace weir::api {

// Takes what the parser and the values hold from slabs and throws bad_alloc above their limit, inside
// JsonBody::parse only.
class BoundedHeap final : public boost::json::memory_resource {
 public:
  explicit BoundedHeap(size_t bytes_max) : slabs_(bytes_max) {}
  size_t bytes_max() const { return slabs_.bytes_max(); }

 private:
  void* do_allocate(size_t bytes, size_t align) override {
    WEIR_CHECK(align <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);  // what JSON is made of
    void* const at = slabs_.take(bytes);
    if (at == nullptr) throw std::bad_alloc();
    return at;
  }
  void do_deallocate(void* at, size_t bytes, size_t) override { slabs_.give(at, bytes); }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }

  Slabs slabs_;
};

namespace {

boost::json::parse_options strict() {
  boost::json::parse_options options;
  options.max_depth = kJsonDepthMax;
  return options;
}

Status parse_into(std::string_view text, BoundedHeap* heap, std::unique_ptr<boost::json::value>* value) {
  try {
    boost::json::parser parser(boost::json::storage_ptr(heap), strict());
    parser.reset(boost::json::storage_ptr(heap));
    boost::json::error_code error;
    const size_t used = parser.write(text.data(), text.size(), error);
    if (error) {
      return invalid_argument(
          fmt::format("the body is not valid JSON: {} near byte {}", error.message(), std::min(used, text.size())));
    }
    *value = std::make_unique<boost::json::value>(parser.release());
    return ok_status();
  } catch (const std::exception&) {  // bad_alloc of the BoundedHeap, or a string beyond boost's own limit
    return {Code::kTooLarge, fmt::format("the body's JSON needs more than {}; send less at once",
                                         format_bytes(heap->bytes_max()))};
  }
}

bool append_object(const boost::json::object& object, std::string* out) {
  out->push_back('{');
  bool first = true;
  for (const auto& member : object) {
    if (!first) out->push_back(',');
    first = false;
    append_json_string(std::string_view(member.key()), out);
    out->push_back(':');
    if (!append_json_value(member.value(), out)) return false;
  }
  out->push_back('}');
  return true;
}

bool append_array(const boost::json::array& array, std::string* out) {
  out->push_back('[');
  bool first = true;
  for (const auto& element : array) {
    if (!first) out->push_back(',');
    first = false;
    if (!append_json_value(element, out)) return false;
  }
  out->push_back(']');
  return true;
}

// Keeps a float a float (1.0 stays 1.0 and not 1), because templates print what they are given.
bool append_double(double number, std::string* out) {
  if (!std::isfinite(number)) return false;
  const size_t begin = out->size();
  append_number(number, out);
  if (out->find_first_of(".en", begin) == std::string::npos) out->append(".0");
  return true;
}

}  // namespace

JsonBody::JsonBody() = default;
JsonBody::JsonBody(JsonBody&&) noexcept = default;
JsonBody::~JsonBody() { value_.reset(); }

const boost::json::object& JsonBody::object() const { return value_->get_object(); }

Result<JsonBody> JsonBody::parse(std::string_view text) {
  JsonBody body;
  body.heap_ = std::make_unique<BoundedHeap>(json_bytes_max(text.size()));
  WEIR_RETURN_IF_ERROR(parse_into(text, body.heap_.get(), &body.value_));
  if (!body.value_->is_object()) return invalid_argument("the body must be a JSON object");
  return body;
}

bool append_json_value(const boost::json::value& value, std::string* out) {
  switch (value.kind()) {
    case boost::json::kind::null: out->append("null"); return true;
    case boost::json::kind::bool_: out->append(value.get_bool() ? "true" : "false"); return true;
    case boost::json::kind::int64: append_integer(value.get_int64(), out); return true;
    case boost::json::kind::uint64: out->append(std::to_string(value.get_uint64())); return true;
    case boost::json::kind::double_: return append_double(value.get_double(), out);
    case boost::json::kind::string: append_json_string(std::string_view(value.get_string()), out); return true;
    case boost::json::kind::array: return append_array(value.get_array(), out);
    case boost::json::kind::object: return append_object(value.get_object(), out);
  }
  return false;
}

}  // namespace weir::api
