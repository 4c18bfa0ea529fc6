// Linear: y = x W^T on packed panels (layout: kernel_table.h). Included by the per-ISA translation units after its
// parts: linear_end-, linear_float-, linear_int- and linear_prepare-inl.h.
//
// A micro-kernel takes R rows and P panels and runs the whole of k with its accumulators in registers: one fma chain per
// output, so that R, P and the cut into workers cannot change a bit.

// `count` panels for R rows: as many at once as the registers allow, then halves.
template <class Kernels, int R, int P>
void panels_of(const LinearTask& task, int64_t row, int64_t panel, int64_t count, const Ahead& ahead) {
  for (; count >= P; count -= P, panel += P) Kernels::template run<R, P>(task, row, panel, ahead);
  if constexpr (P > 1) {
    if (count > 0) panels_of<Kernels, R, P / 2>(task, row, panel, count, ahead);
  }
}

template <class Kernels, int R>
void rows_of(const LinearTask& task, int64_t rows, int64_t row, int64_t panel, int64_t count, const Ahead& ahead) {
  if (rows == R) return panels_of<Kernels, R, Kernels::panels(R)>(task, row, panel, count, ahead);
  if constexpr (R > 1) rows_of<Kernels, R - 1>(task, rows, row, panel, count, ahead);
}

// Panels that all row tiles pass before the next ones are touched: this block and the next one, which is fetched
// meanwhile, are to stay in L2 (512 KiB of the smallest core that matters) beside a tile's activations. Many panels a
// tile make few reads of the activations; few tiles need no large block. At least two: gate and up.
constexpr int64_t kBlockBytes = 160 * 1024;
WEIR_INLINE int64_t block_panels(const LinearTask& task) {
  const int64_t fit = kBlockBytes / task.panel_bytes / 2 * 2;
  const int64_t useful = task.tiles < 4 ? 2 : task.tiles;
  return fit < 2 ? 2 : fit < useful ? fit : useful / 2 * 2;
}

// Blocks of panels outside, row tiles inside: DRAM is read once. With one tile the block may be long.
template <class Kernels>
void run_panels(const LinearTask& task, int64_t begin, int64_t end) {
  const int64_t block = task.tiles == 1 ? end - begin : block_panels(task);
  const int64_t ahead = task.tiles == 1 ? kPrefetchBytes : block * task.panel_bytes;
  for (int64_t panel = begin; panel < end; panel += block) {
    const int64_t count = end - panel < block ? end - panel : block;
    for (int64_t tile = 0; tile < task.tiles; ++tile) {
      const int64_t row = tile_row(task, tile);
      rows_of<Kernels, Kernels::kRows>(task, tile_row(task, tile + 1) - row, row, panel, count,
                                       {ahead, tile, task.tiles});
    }
  }
}

void linear_prepare(const LinearTask& task, int64_t begin, int64_t end) {
  if (task.format < WeightFormat::kInt8G32 && task.rows == 1 && task.norm == nullptr) return;  // the kernel reads x itself
  for (int64_t tile = begin; tile < end; ++tile) {
    switch (task.format) {
      case WeightFormat::kInt8G32:
        prepare_quantised_tile<Int8Weights>(task, tile);
        break;
      case WeightFormat::kInt4G32:
        prepare_quantised_tile<Int4Weights<32, false>>(task, tile);
        break;
      case WeightFormat::kInt4G64:
        prepare_quantised_tile<Int4Weights<64, false>>(task, tile);
        break;
      case WeightFormat::kInt4ZG32:
        prepare_quantised_tile<Int4Weights<32, true>>(task, tile);
        break;
      case WeightFormat::kInt4ZG64:
        prepare_quantised_tile<Int4Weights<64, true>>(task, tile);
        break;
      default:
        prepare_float_tile(task, tile);
    }
  }
}

void linear_panels(const LinearTask& task, int64_t begin, int64_t end) {
  switch (task.format) {
    case WeightFormat::kF32:
      return run_panels<FloatKernels<F32>>(task, begin, end);
    case WeightFormat::kF16:
      return run_panels<FloatKernels<F16>>(task, begin, end);
    case WeightFormat::kBF16:
      return run_panels<FloatKernels<Bf16>>(task, begin, end);
    case WeightFormat::kInt8G32:
      return run_panels<QuantKernels<Int8Weights>>(task, begin, end);
    case WeightFormat::kInt4G32:
      return run_panels<QuantKernels<Int4Weights<32, false>>>(task, begin, end);
    case WeightFormat::kInt4G64:
      return run_panels<QuantKernels<Int4Weights<64, false>>>(task, begin, end);
    case WeightFormat::kInt4ZG32:
      return run_panels<QuantKernels<Int4Weights<32, true>>>(task, begin, end);
    case WeightFormat::kInt4ZG64:
      return run_panels<QuantKernels<Int4Weights<64, true>>>(task, begin, end);
  }
}
