#include "checkpoint/model_name.h"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <filesystem>
#include <functional>
#include <string_view>

namespace weir {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kHubPrefix = "models--";

// Each run of bytes that `unfit` names becomes one dash.
std::string with_dashes(std::string_view name, const std::function<bool(unsigned char)>& unfit) {
  std::string out;
  bool dashed = false;
  for (const char c : name) {
    const bool bad = unfit(static_cast<unsigned char>(c));
    if (!bad)
      out += c;
    else if (!dashed)
      out += '-';
    dashed = bad;
  }
  return out;
}

// A JSON string may hold any valid UTF-8 and nothing else.
bool is_utf8(const std::string& text) {
  boost::system::error_code error;
  boost::json::parse('"' + text + '"', error);
  return !error;
}

std::string fit(std::string_view name) {
  std::string out = with_dashes(
      name, [](unsigned char c) { return c <= ' ' || c == 0x7f || c == '"' || c == '\'' || c == '\\'; });
  if (!is_utf8(out)) out = with_dashes(out, [](unsigned char c) { return c >= 0x80; });
  return out.find_first_not_of("-.") == std::string::npos ? "model" : out;
}

// The path as it was given, without a trailing slash; empty where its last part is no name.
fs::path given_path(const std::string& model_dir) {
  const fs::path path(model_dir);
  if (std::find(path.begin(), path.end(), "..") != path.end()) return {};
  fs::path plain = path.lexically_normal();
  if (plain.filename().empty()) plain = plain.parent_path();
  return plain.filename().empty() || plain.filename() == "." ? fs::path() : plain;
}

}  // namespace

std::string snapshot_name_of(const std::string& path) {
  const fs::path snapshots = fs::path(path).parent_path();
  std::string name = snapshots.parent_path().filename().string();
  if (snapshots.filename() != "snapshots" || !name.starts_with(kHubPrefix)) return {};
  name.erase(0, kHubPrefix.size());
  for (size_t at = name.find("--"); at != std::string::npos; at = name.find("--", at + 1)) {
    name.replace(at, 2, "/");
  }
  return name;
}

std::string model_name_of(const std::string& model_dir) {
  std::error_code ignored;
  fs::path path = given_path(model_dir);
  path = path.empty() ? fs::canonical(model_dir, ignored) : fs::absolute(path, ignored);
  const std::string hub = snapshot_name_of(path.string());
  return fit(hub.empty() ? path.filename().string() : hub);
}

}  // namespace weir
