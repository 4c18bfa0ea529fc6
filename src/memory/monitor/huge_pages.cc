#include "memory/monitor/huge_pages.h"

#include "memory/monitor/proc_text.h"

namespace weir {

std::optional<uint64_t> read_huge_page_bytes(const std::string& root) {
  const std::optional<std::string> text = read_proc_file(root + "/proc/self/smaps_rollup");
  return text ? kib_line(*text, "AnonHugePages") : std::nullopt;
}

}  // namespace weir
