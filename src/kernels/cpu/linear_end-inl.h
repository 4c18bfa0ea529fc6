// What all linear kernels share: the cut into row tiles, what is fetched ahead, and what happens to a finished sum.
// Included by the per-ISA translation units after rowwise-inl.h.

WEIR_INLINE int64_t tile_row(const LinearTask& task, int64_t tile) { return tile * task.rows / task.tiles; }

WEIR_INLINE void prefetch_far(const uint8_t* p) { __builtin_prefetch(p, 0, 2); }

// What a kernel fetches while it computes. Weights come from DRAM once, for the first of the row tiles that use them, and
// a tile's arithmetic takes longer than its bytes: so each of the tiles fetches its share of the next block of panels,
// and DRAM never waits. With one tile that is what lies a little further in the same stream.
struct Ahead {
  int64_t bytes;  // from a byte in use to the one to fetch
  int64_t share;  // this tile's turn: it fetches at steps `share`, share + tiles, ...
  int64_t tiles;
  WEIR_INLINE_MEMBER bool takes(int64_t step) const { return tiles == 1 || step % tiles == share; }
};
// ~100 ns of DRAM latency at 20 bytes/ns, in every stream.
constexpr int64_t kPrefetchBytes = 2048;

// Bias, what the end asks for, the right edge.
WEIR_INLINE void finish(const LinearTask& task, int64_t row, int64_t panel, V16 sum) {
  if (task.bias != nullptr) sum = v_add(sum, v_load_part(task.bias + panel * kPanel, task.n - panel * kPanel));
  const bool paired = task.end == LinearEnd::kSwiglu;
  const int64_t col = (paired ? panel / 2 : panel) * kPanel;
  const int64_t left = task.out_cols - col;
  float* out = task.out + row * task.out_stride + col;
  if (task.end == LinearEnd::kAccumulate) sum = v_add(sum, v_load_part(out, left));
  if (paired && panel % 2 == 1) sum = v_swiglu(v_load_part(out, left), sum);  // the gate lies there since the panel before
  v_store_part(out, sum, left);
}
