// What a per-ISA translation unit includes before its namespace: plain structs, constants and declarations, no
// inline code of ours and no C++ library header, so that nothing compiled with its flags can be shared (STYLE 25).
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernels/cpu/constants.h"
#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/portable_kernels.h"

#define WEIR_INLINE static inline __attribute__((always_inline))
#define WEIR_INLINE_MEMBER inline __attribute__((always_inline))
