// RowKernels: the passes over a row of logits, one body per instruction set, the same bits from each.
//
// Thread: any; pure functions over the caller's memory. Nothing allocates. The per-ISA units include this header,
// so it holds no inline function.
//
// The weight of a logit x is w(x) = e^z, z = (x - largest) * inverse_temperature, in IEEE single precision without
// fused operations, rounded to a multiple of the grid of its row, 2^(bits - 53) with 2^bits >= the row's length.
// Every weight is at most 1, so all sums of weights are exact in double precision: they are the same in any order,
// on any lanes, and after any selection. That is why the sampler may choose how it searches, and still gives one
// answer on every machine. A weight below half of the grid is 0: of 151,936 tokens, those less likely than the
// likeliest by 2^-36.
#pragma once

#include <cstdint>

namespace weir::rows {

constexpr int64_t kRowBlock = 256;  // logits that share a maximum and a sum: 16 vectors of 16

[[maybe_unused]] static constexpr int64_t block_count(int64_t logits) { return (logits + kRowBlock - 1) / kRowBlock; }

struct WeighTask {
  const float* logits;
  int64_t count;
  float largest;                     // finite; of the whole row
  float inverse_temperature;         // finite, > 0
  float least;                       // a logit whose z is below weighs nothing; -infinity: none
  double rounder;                    // grid_rounder() of the whole row's length
  const float* block_max = nullptr;  // of scan(), where known: block_sums() passes over blocks that weigh nothing
};

struct GatherTask {
  const float* logits;
  int64_t count;
  const float* block_max;  // of scan()
  float floor;             // finite: logits below are left out, and so is -infinity
  float largest, inverse_temperature, least;
};

struct RowKernels {
  const char* isa;
  // block_max: [block_count(count)], the largest logit of each block; NaN passes unseen. RETURNS: a NaN is in the
  // row.
  bool (*scan)(const float* logits, int64_t count, float* block_max);
  // sums: [block_count(count)], the weights of each block.
  void (*block_sums)(const WeighTask& task, double* sums);
  void (*weigh)(const WeighTask& task, float* weights);  // weights: [count]
  // Copies the logits that are no less than the floor and whose z is no less than `least`, in order. RETURNS: how
  // many.
  int64_t (*gather)(const GatherTask& task, float* logits, int32_t* ids);
};

// What a weight is added to and taken from again to round it to the grid: 1.5 x 2^52 grids. REQUIRES: length <
// 2^31.
double grid_rounder(int64_t length);

// Filled by the unit of that name; null where this build has no such code.
const RowKernels* portable_kernels();
const RowKernels* avx2_kernels();
const RowKernels* avx512_kernels();

// The best that this CPU has. WEIR_ISA in the environment bounds it: scalar (the portable one), avx2, avx512...
const RowKernels* choose_row_kernels();

}  // namespace weir::rows
