#include "sampling/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"

namespace weir {
namespace {

constexpr float kBanned = -std::numeric_limits<float>::infinity();

uint64_t mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

// Index of the largest value, the lowest one among equals; -1 when nothing is greater than -inf or a NaN stands there.
int32_t argmax(std::span<const float> logits) {
  int32_t best = -1;
  float best_value = kBanned;
  bool nan = false;
  for (size_t i = 0; i < logits.size(); ++i) {
    nan |= std::isnan(logits[i]);
    if (logits[i] > best_value) {
      best_value = logits[i];
      best = static_cast<int32_t>(i);
    }
  }
  return nan ? -1 : best;
}

double log_sum_exp(std::span<const float> logits, float largest) {
  double sum = 0;
  for (const float x : logits) sum += std::exp(x - largest);
  return static_cast<double>(largest) + std::log(sum);
}

}  // namespace

double uniform_draw(uint64_t seed, int32_t choice_index, uint64_t position) {
  const uint64_t bits = mix(mix(mix(seed) ^ static_cast<uint64_t>(static_cast<uint32_t>(choice_index))) ^ position);
  return static_cast<double>(bits >> 11) * 0x1.0p-53;
}

SamplerScratch::SamplerScratch(int32_t vocab)
    : candidates_(static_cast<size_t>(vocab)),
      raw_(static_cast<size_t>(vocab)),
      seen_epoch_(static_cast<size_t>(vocab), 0),
      output_count_(static_cast<size_t>(vocab), 0) {}

uint64_t SamplerScratch::bytes(int32_t vocab) {
  return static_cast<uint64_t>(vocab) * (sizeof(Candidate) + sizeof(float) + sizeof(uint32_t) + sizeof(int32_t));
}

// The steps of one row, in order. Lives on the stack of sample_row().
class RowSampler {
 public:
  RowSampler(const SampleRow& row, SamplerScratch* scratch) : row_(row), params_(*row.params), s_(*scratch) {
    WEIR_CHECK(s_.candidates_.size() >= row.logits.size());
  }

  bool sample(TokenEvent* out) {
    const int32_t raw_best = argmax(row_.logits);
    if (raw_best < 0) return false;
    double raw_norm = 0;
    out->top_count = 0;
    if (params_.wants_logprobs()) {
      raw_norm = log_sum_exp(row_.logits, row_.logits[static_cast<size_t>(raw_best)]);
      write_top(raw_norm, out);
      std::copy(row_.logits.begin(), row_.logits.end(), s_.raw_.begin());
    }
    apply_bias_and_bans();
    if (params_.has_penalties()) apply_penalties();
    out->token = params_.temperature == 0 ? argmax(row_.logits) : draw();
    if (out->token < 0) return false;
    out->logprob = params_.wants_logprobs() ? static_cast<float>(s_.raw_[static_cast<size_t>(out->token)] - raw_norm) : 0.0f;
    return true;
  }

 private:
  float& logit(int32_t id) { return row_.logits[static_cast<size_t>(id)]; }
  bool in_vocab(int32_t id) const { return id >= 0 && static_cast<size_t>(id) < row_.logits.size(); }
  static bool likelier(const SamplerScratch::Candidate& a, const SamplerScratch::Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  }

  // The k likeliest of the raw distribution, through a heap of k whose root is the least likely of them.
  void write_top(double norm, TokenEvent* out) {
    const size_t k = std::min<size_t>(static_cast<size_t>(params_.top_logprobs), row_.logits.size());
    std::array<SamplerScratch::Candidate, kTopLogprobsMax> heap;
    size_t size = 0;
    for (size_t i = 0; i < row_.logits.size() && k > 0; ++i) {
      const SamplerScratch::Candidate c{row_.logits[i], static_cast<int32_t>(i)};
      if (size == k && !likelier(c, heap[0])) continue;
      if (size == k) std::pop_heap(heap.begin(), heap.begin() + static_cast<ptrdiff_t>(size--), likelier);
      heap[size++] = c;
      std::push_heap(heap.begin(), heap.begin() + static_cast<ptrdiff_t>(size), likelier);
    }
    std::sort(heap.begin(), heap.begin() + static_cast<ptrdiff_t>(size), likelier);
    for (size_t i = 0; i < size; ++i) out->top[i] = {heap[i].id, static_cast<float>(heap[i].logit - norm)};
    out->top_count = static_cast<int32_t>(size);
  }

  void apply_bias_and_bans() {
    for (const LogitBias& b : params_.logit_bias) {
      if (in_vocab(b.token)) logit(b.token) += b.bias;
    }
    if (row_.output.size() >= static_cast<size_t>(params_.min_tokens)) return;
    for (const int32_t id : row_.eos_ids) {
      if (in_vocab(id)) logit(id) = kBanned;
    }
    for (const int32_t id : params_.stop_token_ids) {
      if (in_vocab(id)) logit(id) = kBanned;
    }
  }

  // Counts each distinct id once: epoch marks replace clearing two vocabulary-sized arrays per row.
  void apply_penalties() {
    if (++s_.epoch_ == 0) {
      std::fill(s_.seen_epoch_.begin(), s_.seen_epoch_.end(), 0);
      s_.epoch_ = 1;
    }
    for (const int32_t id : row_.prompt) touch(id);
    for (const int32_t id : row_.output) {
      touch(id);
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
      x = x > 0 ? x / params_.repetition_penalty : x * params_.repetition_penalty;
      const int32_t count = s_.output_count_[i];
      x -= params_.frequency_penalty * static_cast<float>(count);
      x -= count > 0 ? params_.presence_penalty : 0.0f;
    }
  }

  int32_t draw() {
    const int32_t best = argmax(row_.logits);
    if (best < 0) return -1;
    const float largest = logit(best);
    const double u = uniform_draw(params_.seed, row_.choice_index, row_.output.size());
    if (params_.top_k <= 0 && params_.top_p >= 1 && params_.min_p <= 0) return draw_unfiltered(largest, u);
    size_t count = gather(largest);
    if (params_.top_k > 0 && static_cast<size_t>(params_.top_k) < count) {
      const auto nth = s_.candidates_.begin() + params_.top_k;
      std::nth_element(s_.candidates_.begin(), nth, s_.candidates_.begin() + static_cast<ptrdiff_t>(count), likelier);
      count = static_cast<size_t>(params_.top_k);
    }
    return draw_nucleus(count, largest, u);
  }

  double weight(float x, float largest) const { return std::exp((x - largest) / params_.temperature); }

  int32_t draw_unfiltered(float largest, double u) {
    double total = 0;
    for (const float x : row_.logits) total += weight(x, largest);
    double target = u * total;
    int32_t last = -1;
    for (size_t i = 0; i < row_.logits.size(); ++i) {
      const double w = weight(row_.logits[i], largest);
      if (w <= 0) continue;
      last = static_cast<int32_t>(i);
      target -= w;
      if (target < 0) break;
    }
    return last;
  }

  // Candidates that pass min-p (all finite ones when it is off) go to the front of the array.
  size_t gather(float largest) {
    size_t count = 0;
    for (size_t i = 0; i < row_.logits.size(); ++i) {
      const float x = row_.logits[i];
      if (x == kBanned || (params_.min_p > 0 && weight(x, largest) < params_.min_p)) continue;
      s_.candidates_[count++] = {x, static_cast<int32_t>(i)};
    }
    return count;
  }

  // A heap gives the likeliest first; the nucleus is usually small, so few pops replace a full sort.
  int32_t draw_nucleus(size_t count, float largest, double u) {
    const auto begin = s_.candidates_.begin();
    auto end = begin + static_cast<ptrdiff_t>(count);
    double total = 0;
    for (auto it = begin; it != end; ++it) total += weight(it->logit, largest);
    const auto less_likely = [](const auto& a, const auto& b) { return likelier(b, a); };
    std::make_heap(begin, end, less_likely);
    double mass = 0;
    const auto all_end = end;
    while (end != begin) {  // after the loop [end, all_end) is the nucleus, least likely first
      std::pop_heap(begin, end--, less_likely);
      mass += weight(end->logit, largest);
      if (mass >= params_.top_p * total) break;
    }
    double target = u * mass;
    for (auto it = all_end; it != end;) {
      --it;
      target -= weight(it->logit, largest);
      if (target < 0) return it->id;
    }
    return end->id;
  }

  const SampleRow& row_;
  const SamplingParams& params_;
  SamplerScratch& s_;
};

bool sample_row(const SampleRow& row, SamplerScratch* scratch, TokenEvent* out) {
  return RowSampler(row, scratch).sample(out);
}

}  // namespace weir
