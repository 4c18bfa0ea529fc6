// Every byte that malloc has handed out in this process, operator new and C libraries included, and what is mapped
// beside it. Linking counted_malloc.cc replaces malloc, mmap and their kin. Any thread.
#pragma once

#include <cstdint>

namespace weir::testing {

int64_t malloc_live_bytes();  // with what the allocator sets aside around them
int64_t malloc_peak_bytes();  // the most since the last reset
void reset_malloc_peak();

}  // namespace weir::testing
