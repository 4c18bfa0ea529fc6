// The two functions of values.h that open files.
#include <sys/stat.h>

#include "base/files.h"
#include "config/values.h"

namespace weir {
namespace {

constexpr size_t kKeysFileBytesMax = 1 << 20;

}  // namespace

bool world_readable(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && (info.st_mode & S_IROTH) != 0;
}

Result<std::vector<std::string>> read_api_keys_file(const std::string& path, std::vector<std::string>* warnings) {
  WEIR_ASSIGN_OR_RETURN(const std::string text, read_small_file(path, kKeysFileBytesMax));
  std::vector<std::string> keys;
  for (const std::string& line : split_words(text, "\r\n")) {
    const std::vector<std::string> words = split_words(line, " \t");
    if (words.empty() || words[0][0] == '#') continue;
    if (words.size() > 1)
      return invalid_argument(path + ": a line holds more than one word; write one key per line");
    Status good = check_api_key(words[0]);
    if (!good.ok()) return good.with_prefix(path);
    keys.push_back(words[0]);
    if (keys.size() > kApiKeysMax) return invalid_argument(path + ": holds more than 1024 keys");
  }
  if (keys.empty()) return invalid_argument(path + ": holds no key; write one key per line");
  if (world_readable(path)) {
    warnings->push_back(path + " holds API keys and every user of this machine may read it; run: chmod o-r " +
                        path);
  }
  return keys;
}

}  // namespace weir
