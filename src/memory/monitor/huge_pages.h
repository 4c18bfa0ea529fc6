// How much of this process's memory the kernel really gave as huge pages.
//
// Asking for them (madvise in device/host) is a wish: the answer is in /proc/self/smaps_rollup. Any thread; a value.
// Costs the kernel a walk over the page tables, a millisecond per few GiB: after start, and not at every scrape.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace weir {

// RETURNS: AnonHugePages in bytes; nothing when the kernel does not say.
// root: "/" on a real machine; tests give a directory with its own proc/.
std::optional<uint64_t> read_huge_page_bytes(const std::string& root = "/");

}  // namespace weir
