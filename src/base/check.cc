#include "base/check.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "base/output.h"

namespace weir {

void check_failed(const char* condition, const char* file, int line, std::string_view detail) {
  char text[2048];
  const int size = std::snprintf(text, sizeof text - 1, "weir: bug at %s:%d: CHECK(%s) failed %.*s", file, line,
                                 condition, static_cast<int>(detail.size()), detail.data());
  const size_t end = std::min<size_t>(static_cast<size_t>(std::max(size, 0)), sizeof text - 2);
  text[end] = '\n';
  write_last_words({text, end + 1});
  std::abort();
}

}  // namespace weir
