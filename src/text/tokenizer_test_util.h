// Small tokenizer files for tests. Test code only.
#pragma once

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace weir::test {

using Ids = std::vector<int32_t>;

inline std::string read_whole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The data of other projects that is not committed; tests that need it skip where it is absent.
inline std::string data_dir() {
  const char* set = std::getenv("WEIR_DATA");
  return set != nullptr ? set : "../shared/data";
}

// A whole file around a vocabulary: "parts" are further top-level members, each with a comma before it.
inline std::string tokenizer_json(const std::string& vocab, const std::string& merges, const std::string& parts = "",
                                  const std::string& model_options = "") {
  return R"({"model":{"type":"BPE","vocab":{)" + vocab + R"(},"merges":[)" + merges + "]" + model_options + "}" + parts +
         "}";
}

}  // namespace weir::test
