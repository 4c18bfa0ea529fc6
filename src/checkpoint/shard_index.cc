#include "checkpoint/shard_index.h"

#include "base/files.h"
#include <fmt/format.h>

#include <algorithm>

#include "checkpoint/json_fields.h"

namespace weir {
namespace {

namespace json = boost::json;

constexpr uint64_t kIndexBytesMax = uint64_t{16} << 20;
constexpr size_t kShardsMax = 1024;

// What an index may name, so that it cannot reach outside its directory.
bool plain_name(std::string_view name) {
  constexpr std::string_view kForbidden("/\\\0", 3);
  return name.ends_with(".safetensors") && !name.starts_with('.') && name.size() <= 255 &&
         name.find_first_of(kForbidden) == std::string_view::npos;
}

Result<std::string> file_name(const json::value& value, std::string_view tensor, std::string_view what) {
  if (value.is_string()) {
    const std::string_view name(value.get_string().data(), value.get_string().size());
    if (plain_name(name)) return std::string(name);
  }
  return invalid_argument(
      fmt::format("{}: tensor '{}' must name a .safetensors file of the same directory", what, printable(tensor)));
}

}  // namespace

Result<ShardIndex> parse_shard_index(std::string_view text, std::string_view what) {
  WEIR_ASSIGN_OR_RETURN(const JsonObject root, parse_json_object(text, what, kIndexBytesMax));
  FieldReader in(root, std::string(what));
  const json::value* map = in.find("weight_map");
  WEIR_RETURN_IF_ERROR(in.status());
  if (map == nullptr || !map->is_object())
    return invalid_argument(fmt::format("{}: has no 'weight_map' object", what));
  ShardIndex out;
  for (const auto& item : map->get_object()) {
    WEIR_ASSIGN_OR_RETURN(std::string file, file_name(item.value(), {item.key().data(), item.key().size()}, what));
    out.files.push_back(std::move(file));
  }
  std::sort(out.files.begin(), out.files.end());
  out.files.erase(std::unique(out.files.begin(), out.files.end()), out.files.end());
  if (out.files.empty()) return invalid_argument(fmt::format("{}: 'weight_map' is empty", what));
  if (out.files.size() > kShardsMax) {
    return invalid_argument(
        fmt::format("{}: {} shards, more than the {} allowed", what, out.files.size(), kShardsMax));
  }
  for (const auto& item : map->get_object()) {
    const std::string_view file(item.value().get_string().data(), item.value().get_string().size());
    const auto at = std::lower_bound(out.files.begin(), out.files.end(), file);
    out.entries.push_back(
        {std::string(item.key().data(), item.key().size()), static_cast<uint32_t>(at - out.files.begin())});
  }
  std::sort(out.entries.begin(), out.entries.end(),
            [](const auto& a, const auto& b) { return a.tensor < b.tensor; });
  return out;
}

Result<ShardIndex> load_shard_index(const std::string& path) {
  WEIR_ASSIGN_OR_RETURN(const std::string text, read_small_file(path, kIndexBytesMax));
  return parse_shard_index(text, path);
}

}  // namespace weir
