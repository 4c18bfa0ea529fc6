// Bytes that nobody can guess, from the kernel (getrandom). Any thread; blocks only before the kernel's pool is
// ready, early at boot.
#pragma once

#include <cstdint>
#include <span>

namespace weir {

// A kernel that has none is a CHECK: there is nothing sensible to go on with.
void fill_random(std::span<uint8_t> bytes);

}  // namespace weir
