// mixes: loops over the instructions that the linear kernels are made of, in registers alone, so that the rest of
// a run can say how near a kernel comes to what the core could do at best.
//
// One function per mix; each runs `steps` times a group of 32 products per output in 16-bit, 32-bit or float lanes
// and touches no memory. Thread: any, several at once. A function may be called only where cpu_can() of machine.cc
// says so: the units are compiled with their own flags, as the kernels are, and this header holds no inline code.
//
// "alone" is the multiply-and-accumulate instructions only; "scaled" adds what a weight with a scale per group of
// 32 needs besides: the integers become floats, the two scales are multiplied, and one fma takes them in. What is
// shared by all rows (loading and splitting weights, broadcasting activations from memory) is in neither.
#pragma once

#include <cstdint>

namespace weir::bench {

struct Mix {
  const char* isa;           // the kernel table's name
  const char* name;          // "fma f32", "int8", "int8 scaled", "int4", "int4 scaled"
  const char* instructions;  // for the table
  double ops_per_step;       // 2 per multiply-add, of one call with steps = 1
  void (*run)(int64_t steps);
};

// RETURNS: `count` mixes; none where this build has no such code.
const Mix* avx2_mixes(int* count);
const Mix* avx512_mixes(int* count);  // without VNNI
const Mix* avx512vnni_mixes(int* count);

}  // namespace weir::bench
