// What all linear kernels share: the cut into row tiles, what is fetched ahead, and what happens to a finished sum.
// Included by the per-ISA translation units after rowwise-inl.h.

WEIR_INLINE int64_t tile_row(const LinearTask& task, int64_t tile) { return tile * task.rows / task.tiles; }

// What a kernel fetches while it computes. Weights come from DRAM once, for the first of the row tiles that use them, and
// a tile's arithmetic takes longer than its bytes: so each of the tiles fetches its share of the next block of panels, and
// DRAM never waits. With one tile that is what lies a little further in the same stream: ~100 ns of DRAM latency at 20
// bytes/ns, twice. (Into L1: fetching into L2 alone took a quarter longer on Zen 4.)
struct Ahead {
  int64_t bytes;  // from a byte in use to the one to fetch
  int64_t share;  // this tile's turn: it fetches at steps `share`, share + tiles, ...
  int64_t tiles;
};
constexpr int64_t kPrefetchBytes = 4096;

class Fetcher {
 public:
  WEIR_INLINE_MEMBER explicit Fetcher(const Ahead& ahead) : ahead_(ahead), wait_(ahead.share) {}
  // Once a step: of P streams the lines that lie as far ahead of those which the step itself uses.
  template <int kLines, int P>
  WEIR_INLINE_MEMBER void step(const uint8_t* const* streams, int64_t offset) {
    if (wait_-- > 0) return;
    wait_ = ahead_.tiles - 1;
    for (int p = 0; p < P; ++p) {
      const uint8_t* from = streams[p] + offset + ahead_.bytes;
      for (int line = 0; line < kLines; ++line) __builtin_prefetch(from + line * 64);
    }
  }

 private:
  const Ahead ahead_;
  int64_t wait_;
};

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
