// Helpers of this room's tests: a scratch directory, hand-made safetensors files, the shared data's place.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace weir {

// A new directory under the system's temporary one, removed with everything in it.
class ScratchDir {
 public:
  ScratchDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "weir-test-XXXXXX").string();
    path_ = mkdtemp(pattern.data()) != nullptr ? pattern : "";
  }
  ~ScratchDir() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  ScratchDir(const ScratchDir&) = delete;
  ScratchDir& operator=(const ScratchDir&) = delete;

  const std::string& path() const { return path_; }
  void write(const std::string& name, std::string_view bytes) const {
    const std::filesystem::path at = std::filesystem::path(path_) / name;
    std::filesystem::create_directories(at.parent_path());
    std::ofstream(at, std::ios::binary) << bytes;
  }

 private:
  std::string path_;
};

// The bytes of a safetensors file: length, header text, then data_bytes bytes 0, 1, 2, ...
inline std::string safetensors_bytes(std::string_view header, size_t data_bytes) {
  std::string out;
  for (int i = 0; i < 8; ++i) out += static_cast<char>(static_cast<uint64_t>(header.size()) >> (8 * i));
  out += header;
  for (size_t i = 0; i < data_bytes; ++i) out += static_cast<char>(i);
  return out;
}

inline std::string data_path(const std::string& below) {
  const char* root = std::getenv("WEIR_DATA");
  return std::string(root != nullptr ? root : "../shared/data") + "/" + below;
}

inline bool have_data(const std::string& below) { return std::filesystem::exists(data_path(below)); }

}  // namespace weir
