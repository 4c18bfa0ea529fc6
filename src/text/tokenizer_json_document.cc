#include <boost/json.hpp>
#include <new>

#include "base/python_json.h"
#include "text/tokenizer_json.h"

namespace weir {
namespace json = boost::json;
namespace {

constexpr size_t kJsonBytesMax = size_t{2} << 30;  // the largest published file, 33 MB, parses into 0.2 GB
constexpr size_t kJsonDepthMax = 64;

// Refuses to go on beyond a limit. bad_alloc is how a memory resource says so; parse() below catches it.
class LimitedMemory final : public json::memory_resource {
 public:
  explicit LimitedMemory(size_t bytes) : left_(bytes) {}

 private:
  void* do_allocate(size_t bytes, size_t alignment) override {
    if (bytes > left_) throw std::bad_alloc();
    left_ -= bytes;
    return ::operator new(bytes, std::align_val_t(alignment));
  }
  // Boost 1.81's pool gives back a size without its own header, so the size is of no use here. Nothing is
  // counted as free again: the pool releases everything at its end only.
  void do_deallocate(void* p, size_t, size_t alignment) override {
    ::operator delete(p, std::align_val_t(alignment));
  }
  bool do_is_equal(const json::memory_resource& other) const noexcept override { return this == &other; }

  size_t left_;
};

}  // namespace

struct JsonDocument::Impl {
  LimitedMemory memory{kJsonBytesMax};
  json::monotonic_resource pool{64 * 1024, json::storage_ptr(&memory)};
  json::value root;

  Impl() : root(json::storage_ptr(&pool)) {}  // in braces it would become an array of one
};

JsonDocument::JsonDocument(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
JsonDocument::JsonDocument(JsonDocument&&) noexcept = default;
JsonDocument::~JsonDocument() = default;

const json::value& JsonDocument::root() const { return impl_->root; }

Result<JsonDocument> JsonDocument::parse(std::string_view written, std::string_view what) {
  std::string buffer;
  const std::string_view text = plain_json(written, &buffer);
  auto impl = std::make_unique<Impl>();
  json::parse_options options;
  options.max_depth = kJsonDepthMax;
  try {
    json::error_code error;
    impl->root = json::parse(text, error, json::storage_ptr(&impl->pool), options);
    if (error) return json_error(what, "not valid JSON: " + error.message());
  } catch (const std::exception& e) {
    return Status(Code::kTooLarge, std::string(what) + ": too large to parse (" + e.what() + ")");
  }
  return JsonDocument(std::move(impl));
}

Status json_error(std::string_view where, std::string_view what) {
  return data_loss(std::string(where) + ": " + std::string(what));
}

const json::value* json_member(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

Result<const json::object*> json_object(const json::value& value, std::string_view where) {
  if (!value.is_object()) return json_error(where, "expected an object");
  return &value.get_object();
}

Result<bool> json_bool(const json::object& object, std::string_view key, bool fallback, std::string_view where) {
  const json::value* value = json_member(object, key);
  if (value == nullptr) return fallback;
  if (!value->is_bool()) return json_error(where, std::string(key) + " must be true or false");
  return value->get_bool();
}

Result<std::string> json_string(const json::object& object, std::string_view key, std::string_view where) {
  const json::value* value = json_member(object, key);
  if (value == nullptr || !value->is_string()) return json_error(where, std::string(key) + " must be a string");
  const json::string& text = value->get_string();
  return std::string(text.data(), text.size());
}

Result<int64_t> json_int(const json::value& value, int64_t max, std::string_view where) {
  if (!value.is_int64() || value.get_int64() < 0 || value.get_int64() > max) {
    return json_error(where, "expected a whole number from 0 to " + std::to_string(max));
  }
  return value.get_int64();
}

}  // namespace weir
