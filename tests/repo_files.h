// repo_files: the text files of the repository, for tests that read the sources themselves.
//
// Thread: any. The working directory is the root of the repository, as CTest sets it. Build output, caches and
// files above 4 MiB are left out.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace weir {

struct SourceFile {
  std::string path;  // from the root: "src/base/ring.h"
  std::string text;
};

inline std::string read_text(const std::filesystem::path& path) {
  std::stringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

// RETURNS: the files under `folder` in order of their paths; none where there is no such folder.
inline std::vector<SourceFile> files_under(const std::string& folder) {
  std::vector<SourceFile> files;
  if (!std::filesystem::is_directory(folder)) return files;
  std::filesystem::recursive_directory_iterator at(folder), end;
  for (; at != end; ++at) {
    const std::string name = at->path().filename().string();
    if (at->is_directory() && (name == "__pycache__" || name[0] == '.')) at.disable_recursion_pending();
    if (!at->is_regular_file() || at->file_size() > (4u << 20)) continue;
    files.push_back({at->path().generic_string(), read_text(at->path())});
  }
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  return files;
}

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

}  // namespace weir
