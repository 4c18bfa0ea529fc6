#include "sampling/sampler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>

#include "base/check.h"
#include "sampling/portable_log.h"

namespace weir {
namespace {

constexpr float kNothing = -std::numeric_limits<float>::infinity();
constexpr float kLowest = std::numeric_limits<float>::lowest();

uint64_t mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

using rows::block_count;
using rows::kRowBlock;

}  // namespace

double uniform_draw(uint64_t seed, int32_t choice_index, uint64_t position) {
  const uint64_t bits = mix(mix(mix(seed) ^ static_cast<uint64_t>(static_cast<uint32_t>(choice_index))) ^ position);
  return static_cast<double>(bits >> 11) * 0x1.0p-53;
}

SamplerScratch::SamplerScratch(int32_t vocab, const rows::RowKernels* kernels)
    : kernels_(kernels != nullptr ? kernels : rows::choose_row_kernels()),
      block_max_(static_cast<size_t>(block_count(vocab))),
      block_sums_(static_cast<size_t>(block_count(vocab))),
      candidate_logits_(static_cast<size_t>(vocab)),
      candidate_weights_(static_cast<size_t>(vocab)),
      candidate_ids_(static_cast<size_t>(vocab)),
      raw_(static_cast<size_t>(vocab)),
      seen_epoch_(static_cast<size_t>(vocab), 0),
      output_count_(static_cast<size_t>(vocab), 0) {}

uint64_t SamplerScratch::bytes(int32_t vocab) {
  return sizeof(SamplerScratch) + static_cast<uint64_t>(vocab) * (3 * sizeof(float) + 3 * sizeof(int32_t)) +
         static_cast<uint64_t>(block_count(vocab)) * (sizeof(float) + sizeof(double));
}

// The steps of one row, in order. Lives on the stack of sample_row().
class RowSampler {
 public:
  RowSampler(const SampleRow& row, SamplerScratch* scratch) : row_(row), params_(*row.params), s_(*scratch) {
    WEIR_CHECK(s_.candidate_ids_.size() >= row.logits.size());
    rounder_ = rows::grid_rounder(size());
  }

  bool sample(TokenEvent* out) {
    if (!look()) return false;
    double raw_norm = 0;
    out->top_count = 0;
    const bool given = row_.output.size() < params_.scored.size();
    const bool changes = !given && changes_logits();
    if (params_.wants_logprobs()) {
      raw_norm = log_sum_exp();
      write_top(raw_norm, out);
      if (changes) std::copy(row_.logits.begin(), row_.logits.end(), s_.raw_.begin());
    }
    if (changes) {
      apply_bias();
      if (params_.has_penalties()) apply_penalties();
      if (bans()) apply_bans();
      if (!look()) return false;
    }
    out->token = given ? params_.scored[row_.output.size()] : is_greedy() ? best_ : draw();
    const float raw = changes ? s_.raw_[static_cast<size_t>(out->token)] : logit(out->token);
    out->logprob = params_.wants_logprobs() ? static_cast<float>(static_cast<double>(raw) - raw_norm) : 0.0f;
    return true;
  }

 private:
  float& logit(int32_t id) { return row_.logits[static_cast<size_t>(id)]; }
  bool in_vocab(int32_t id) const { return id >= 0 && static_cast<size_t>(id) < row_.logits.size(); }
  int64_t size() const { return static_cast<int64_t>(row_.logits.size()); }
  bool is_greedy() const { return params_.temperature == 0 || params_.top_p <= 0; }
  std::span<const int32_t> chosen() const {
    return row_.output.subspan(std::min(params_.scored.size(), row_.output.size()));
  }
  bool bans() const { return chosen().size() < static_cast<size_t>(params_.min_tokens); }
  bool changes_logits() const { return !params_.logit_bias.empty() || bans() || params_.has_penalties(); }

  // Finds the largest logit, the lowest id among equals, and each block's. RETURNS: false without a finite one.
  bool look() {
    if (size() == 0 || s_.kernels_->scan(row_.logits.data(), size(), s_.block_max_.data())) return false;
    const auto blocks = s_.block_max_.begin();
    const auto most = std::max_element(blocks, blocks + block_count(size()));  // the first of equals
    largest_ = *most;
    if (!std::isfinite(largest_)) return false;
    best_ = static_cast<int32_t>((most - blocks) * kRowBlock);
    while (logit(best_) != largest_) ++best_;
    return true;
  }

  rows::WeighTask weigh_task(float inverse_temperature, float least) const {
    return {.logits = row_.logits.data(),
            .count = size(),
            .largest = largest_,
            .inverse_temperature = inverse_temperature,
            .least = least,
            .rounder = rounder_};
  }

  // The weight of the whole row; each block's stays in block_sums_.
  double weigh_row(float inverse_temperature, float least) {
    rows::WeighTask task = weigh_task(inverse_temperature, least);
    task.block_max = s_.block_max_.data();
    s_.kernels_->block_sums(task, s_.block_sums_.data());
    double total = 0;
    for (int64_t b = 0; b < block_count(size()); ++b) total += s_.block_sums_[static_cast<size_t>(b)];
    return total;
  }

  double log_sum_exp() { return static_cast<double>(largest_) + portable_log(weigh_row(1, kNothing)); }

  // A logit that at least k of the row reach, so that few others do: the k-th largest of the blocks' maxima. Above
  // as many as there are blocks, what every 16th logit makes likely.
  float floor_of(int64_t k) {
    constexpr int64_t kStride = 16;
    const int64_t blocks = block_count(size()), sample = size() / kStride;
    const int64_t rank = k <= blocks ? k : k / kStride * 3 / 2 + 16;
    const auto begin = s_.candidate_weights_.begin();  // not in use yet
    auto end = begin + blocks;
    if (k <= blocks) {
      std::copy(s_.block_max_.begin(), s_.block_max_.begin() + blocks, begin);
    } else {
      end = begin + sample;
      for (int64_t i = 0; i < sample; ++i) begin[i] = row_.logits[static_cast<size_t>(i * kStride)];
    }
    if (rank > end - begin) return kLowest;
    std::nth_element(begin, begin + (rank - 1), end, std::greater<>());
    return std::max(begin[rank - 1], kLowest);
  }

  // The candidates become the k likeliest among those whose z reaches `least`.
  void gather_likeliest(int64_t k, float inverse_temperature, float least) {
    const float floor = floor_of(k);
    gather(floor, inverse_temperature, least);
    if (count_ < k && floor > kLowest) gather(kLowest, inverse_temperature, least);  // min-p, or an unlucky sample
    if (count_ <= k) return;
    count_ = keep_prefix(find_cut(logits(), {}, static_cast<double>(k), &s_.cut_), logits(), ids(), {});
  }

  // The candidates become the logits that reach `floor` and whose z reaches `least`.
  void gather(float floor, float inverse_temperature, float least) {
    count_ = s_.kernels_->gather({.logits = row_.logits.data(),
                                  .count = size(),
                                  .block_max = s_.block_max_.data(),
                                  .floor = floor,
                                  .largest = largest_,
                                  .inverse_temperature = inverse_temperature,
                                  .least = least},
                                 s_.candidate_logits_.data(), s_.candidate_ids_.data());
  }
  std::span<float> logits() { return {s_.candidate_logits_.data(), static_cast<size_t>(count_)}; }
  std::span<int32_t> ids() { return {s_.candidate_ids_.data(), static_cast<size_t>(count_)}; }
  std::span<float> weights() { return {s_.candidate_weights_.data(), static_cast<size_t>(count_)}; }

  // The k likeliest of the raw distribution, likeliest first.
  void write_top(double norm, TokenEvent* out) {
    const int64_t k = std::min<int64_t>(params_.top_logprobs, size());
    if (k <= 0) return;
    gather_likeliest(k, 1, kNothing);
    std::array<int32_t, kTopLogprobsMax> top;
    std::copy(ids().begin(), ids().end(), top.begin());
    std::sort(top.begin(), top.begin() + count_,
              [&](int32_t a, int32_t b) { return logit(a) != logit(b) ? logit(a) > logit(b) : a < b; });
    out->top_count = static_cast<int32_t>(count_);
    for (size_t i = 0; i < static_cast<size_t>(count_); ++i) {
      out->top[i] = {top[i], static_cast<float>(static_cast<double>(logit(top[i])) - norm)};
    }
  }

  void apply_bias() {
    for (const LogitBias& b : params_.logit_bias) {
      if (in_vocab(b.token)) logit(b.token) += b.bias;
    }
  }

  // What the model has at -infinity stays there; the others are above it, or nothing might be left to draw.
  void apply_bans() {
    const auto ban = [&](int32_t id) {
      if (in_vocab(id)) logit(id) = std::min(logit(id), kLowest);
    };
    for (const int32_t id : row_.eos_ids) ban(id);
    for (const int32_t id : params_.stop_token_ids) ban(id);
  }

  // Counts each distinct id once: epoch marks replace clearing two vocabulary-sized arrays per row.
  void apply_penalties() {
    if (++s_.epoch_ == 0) {
      std::fill(s_.seen_epoch_.begin(), s_.seen_epoch_.end(), 0);
      s_.epoch_ = 1;
    }
    for (const int32_t id : row_.prompt) touch(id);
    for (const int32_t id : row_.output) touch(id);
    for (const int32_t id : chosen()) {
      if (in_vocab(id)) ++s_.output_count_[static_cast<size_t>(id)];
    }
    penalise(row_.prompt);
    penalise(row_.output);
  }

  void touch(int32_t id) {
    if (!in_vocab(id)) return;
    const auto i = static_cast<size_t>(id);
    if (s_.seen_epoch_[i] != s_.epoch_) s_.output_count_[i] = 0;
    s_.seen_epoch_[i] = s_.epoch_;
  }

  void penalise(std::span<const int32_t> ids) {
    for (const int32_t id : ids) {
      if (!in_vocab(id)) continue;
      const auto i = static_cast<size_t>(id);
      if (s_.seen_epoch_[i] != s_.epoch_) continue;  // done already
      s_.seen_epoch_[i] = s_.epoch_ - 1;
      float& x = row_.logits[i];
      if (x == kNothing) continue;
      x = x > 0 ? x / params_.repetition_penalty : x * params_.repetition_penalty;
      const int32_t count = s_.output_count_[i];
      x -= params_.frequency_penalty * static_cast<float>(count);
      x -= count > 0 ? params_.presence_penalty : 0.0f;
      x = std::clamp(x, kLowest, -kLowest);  // a penalty near 0 divides to infinity
    }
  }

  int32_t draw() {
    const float inverse = std::min(1 / params_.temperature, std::numeric_limits<float>::max());
    const float least =
        params_.min_p > 0 ? static_cast<float>(portable_log(static_cast<double>(params_.min_p))) : kNothing;
    const double u = uniform_draw(params_.seed, row_.choice_index, chosen().size());
    const bool top_k = params_.top_k > 0 && params_.top_k < size(), top_p = params_.top_p < 1;
    if (!top_k && !top_p) return draw_from_row(u * weigh_row(inverse, least), inverse, least);
    double total = 0;
    if (top_k) {
      gather_likeliest(params_.top_k, inverse, least);
      weigh_candidates(inverse, least);
      for (const float w : weights()) total += static_cast<double>(w);
    } else {
      total = weigh_row(inverse, least);
      gather(kLowest, inverse, std::max(least, nucleus_bound(total)));
      weigh_candidates(inverse, least);
    }
    if (top_p) keep_nucleus(total);
    return draw_from_candidates(u);
  }

  void weigh_candidates(float inverse_temperature, float least) {
    rows::WeighTask task = weigh_task(inverse_temperature, least);
    task.logits = s_.candidate_logits_.data();
    task.count = count_;
    s_.kernels_->weigh(task, s_.candidate_weights_.data());
  }

  // A z that every token of the nucleus reaches. Tokens that weigh less than (1 - top_p) x total / size are
  // together less than what the nucleus may leave out. Rounding to the grid may double a weight, hence 0.8 > log 2
  // of margin.
  float nucleus_bound(double total) const {
    const double left_out = (1 - static_cast<double>(params_.top_p)) * total / static_cast<double>(size());
    return static_cast<float>(portable_log(left_out) - 0.8);
  }

  void keep_nucleus(double total) {
    const PrefixCut cut = find_cut(logits(), weights(), static_cast<double>(params_.top_p) * total, &s_.cut_);
    count_ = keep_prefix(cut, logits(), ids(), weights());
  }

  int32_t draw_from_candidates(double u) {
    double total = 0;
    for (const float w : weights()) total += static_cast<double>(w);
    return ids()[first_above(weights(), u * total)];
  }

  // The block first: weights are computed again for one alone. As u <= 1 - 2^-53, the target is below the total
  // even after rounding, so some block exceeds it. All differences are exact: multiples of the target's last bit.
  int32_t draw_from_row(double target, float inverse_temperature, float least) {
    const auto last = static_cast<size_t>(block_count(size()) - 1);
    size_t b = 0;
    while (b < last && target >= s_.block_sums_[b]) target -= s_.block_sums_[b++];
    rows::WeighTask task = weigh_task(inverse_temperature, least);
    task.logits += static_cast<int64_t>(b) * kRowBlock;
    task.count = std::min(kRowBlock, size() - static_cast<int64_t>(b) * kRowBlock);
    s_.kernels_->weigh(task, s_.candidate_weights_.data());
    count_ = task.count;
    return static_cast<int32_t>(b * kRowBlock + first_above(weights(), target));
  }

  // The first place at which the sum of the weights exceeds the target; the last one with a weight where none does.
  static size_t first_above(std::span<const float> weights, double target) {
    size_t last = 0;
    for (size_t i = 0; i < weights.size(); ++i) {
      if (weights[i] == 0) continue;
      last = i;
      if (target < static_cast<double>(weights[i])) break;
      target -= static_cast<double>(weights[i]);
    }
    return last;
  }

  const SampleRow& row_;
  const SamplingParams& params_;
  SamplerScratch& s_;
  double rounder_ = 0;
  float largest_ = 0;  // of the row as it is now
  int32_t best_ = 0;
  int64_t count_ = 0;  // candidates
};

bool sample_row(const SampleRow& row, SamplerScratch* scratch, TokenEvent* out) {
  return RowSampler(row, scratch).sample(out);
}

}  // namespace weir
