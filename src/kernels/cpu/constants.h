// Numbers that every instruction set must share, so that their results agree to the last bit. Constants only.
#pragma once

namespace weir::cpu {

// exp(x): t = fma(x, log2(e), kMagic) rounds x/ln2 to the nearest integer n in its low bits (1.5 * 2^23 puts the
// unit in the last place at 1); r = x - n*ln2 in two steps, |r| <= 0.3466; e^r by its Taylor series to r^7, whose
// first left-out term is 5.3e-9 relative, an eleventh of a half ulp; times 2^n by adding n to the exponent bits.
// Below kExpLow the result is 0 (2^n would leave the normal range at -87.3), above kExpHigh it is +infinity.
constexpr float kMagic = 12582912.0f;
constexpr float kLog2E = 0x1.715476p+0f;
constexpr float kNegLn2High = -0x1.62e4p-1f;    // the first 15 bits of ln2, so that n * it is exact
constexpr float kNegLn2Low = -0x1.7f7d1cp-20f;  // ln2 minus those
constexpr float kExpLow = -86.0f;
constexpr float kExpHigh = 88.0f;
constexpr float kExp7 = 1.0f / 5040, kExp6 = 1.0f / 720, kExp5 = 1.0f / 120, kExp4 = 1.0f / 24, kExp3 = 1.0f / 6,
                kExp2 = 0.5f;

// 2^23 as bits. A small integer in the low bits of it is the float 2^23 + n: one `or` instead of a conversion, and
// the difference of two of them is exact.
constexpr int kBiasBits = 0x4b000000;

constexpr int kScoreTile = 64;  // positions per step of the online softmax; 4 groups of 16 lanes

// Positions of a partition: attention over a long context is cut so that several workers can share one sequence. In
// bf16 at head size 64 that is 128 KiB of K and V, some 5 us of reading on one core, against about 1 us to wake a
// worker and 2.6 KiB of partial results for 7 heads (2 %). Half of it would double both, twice of it would leave a
// context of 4096 with 4 parts a head.
constexpr int kPartition = 512;

// Groups whose largest magnitude is below this count as zero, so that 127 / amax stays finite.
constexpr float kQuantTiny = 0x1p-100f;

}  // namespace weir::cpu
