// LengthHistory: how long answers have been, to forecast how long a running one will still go on.
//
// Past-Future scheduling (Gong et al., ASPLOS 2025): the remaining length of a sequence that has produced k tokens is
// taken from those past answers that were longer than k. A window of the last kWindow answers, in buckets of
// at most 1/16 relative width. Owner: the engine thread; nothing allocates after construction.
#pragma once

#include <array>
#include <cstdint>

namespace weir {

class LengthHistory {
 public:
  static constexpr int kWindow = 1024;

  // quantile: (0, 1]; the share of answers that a forecast should cover. unknown: what is forecast while no past
  // answer says anything: one block, so that nobody's whole session is reserved.
  LengthHistory(double quantile, int64_t unknown_tokens);

  void add(int64_t output_tokens);  // an answer that ended by itself
  // RETURNS: tokens still to come, at least 1.
  int64_t remaining(int64_t produced_tokens);
  int samples() const { return samples_; }

 private:
  static constexpr int kExact = 16;    // lengths below have a bucket each
  static constexpr int kOctaves = 28;  // up to 2^32
  static constexpr int kBuckets = kExact + kOctaves * 16;
  static int bucket_of(int64_t tokens);
  static int64_t upper_bound(int bucket);
  void refresh();

  const double quantile_;
  const int64_t unknown_tokens_;
  std::array<int16_t, kWindow> window_{};
  std::array<int32_t, kBuckets> counts_{};
  std::array<int16_t, kBuckets> forecast_{};  // [bucket of produced] the bucket of the final length; -1: none longer
  int samples_ = 0;  // in the window
  int next_ = 0;
  bool stale_ = true;
};

}  // namespace weir
