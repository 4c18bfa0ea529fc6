#include "schedule/step_time.h"

#include <algorithm>
#include <cmath>

namespace weir {
namespace {

// Features are divided by these, so that all of them are near 1 in a usual step and the normal equations stay well
// conditioned.
constexpr std::array<double, 5> kScale = {1, 256, 256.0 * 1024, 16, 16.0 * 1024};
// Per step in which the feature is present: a memory of about 200 steps, and of 50 steps with prefill, which are
// rarer.
constexpr std::array<double, 5> kForget = {0.995, 0.98, 0.98, 0.995, 0.995};
constexpr double kPaceWeight = 1.0 / 16;
constexpr double kDragWeight = 1.0 / 64,
                 kDragOutlier = 4;   // one step counts as so many times what is usual at most
constexpr int kFirstSteps = 8;       // taken as they are, and not judged: nothing is known to judge them by
constexpr uint64_t kLookEvery = 16;  // steps between two looks at the usual error
constexpr double kFastest = 0.1, kEvenPace = 0.85,
                 kFastPaceMin = 0.1;  // even: the fastest tenth takes so much of what is fitted
constexpr double kUsualErrorMin = 0.02;
constexpr double kConfidentError = 1.0 / 3;
constexpr double kPrefillShareOfBudget = 0.25;

double clean(double cost) { return std::isfinite(cost) && cost > 0 ? cost : 0; }

}  // namespace

bool StepTimeModel::features(const StepShape& shape, Vector* x) {
  if (shape.prefill_tokens < 0 || shape.prefill_context_tokens < 0 || shape.decode_sequences < 0 ||
      shape.decode_context_tokens < 0 || shape.prefill_tokens + shape.decode_sequences == 0) {
    return false;
  }
  *x = {1, static_cast<double>(shape.prefill_tokens), static_cast<double>(shape.prefill_context_tokens),
        static_cast<double>(shape.decode_sequences), static_cast<double>(shape.decode_context_tokens)};
  for (size_t i = 0; i < kTerms; ++i) (*x)[i] /= kScale[i];
  return true;
}

double StepTimeModel::dot(const Vector& x) const {
  double sum = 0;
  for (size_t i = 0; i < kTerms; ++i) sum += x[i] * cost_[i];
  return sum;
}

void StepTimeModel::load(const StepCosts& prior, double steps) {
  cost_ = {clean(prior.fixed), clean(prior.prefill_token), clean(prior.prefill_context_token),
           clean(prior.decode_sequence), clean(prior.decode_context_token)};
  double whole = 0;
  for (size_t i = 0; i < kTerms; ++i) {
    cost_[i] *= kScale[i];
    whole += cost_[i];
  }
  information_ = {};
  seen_prefill_ = cost_[1] > 0;
  has_prior_ = whole > 0;
  prior_steps_ = has_prior_ ? std::max(steps, kInitialInformation) : kInitialInformation;
  prior_step_us_ = whole;
}

StepCosts StepTimeModel::costs() const {
  return {cost_[0] / kScale[0], cost_[1] / kScale[1], cost_[2] / kScale[2], cost_[3] / kScale[3],
          cost_[4] / kScale[4]};
}

Micros StepTimeModel::predict_work(const StepShape& shape) const {
  Vector x;
  if (!features(shape, &x)) return 0;
  return static_cast<Micros>(std::min(fast_pace_ * dot(x), static_cast<double>(kTookMax)));
}

Micros StepTimeModel::predict(const StepShape& shape) const {
  Vector x;
  if (!features(shape, &x)) return 0;
  return static_cast<Micros>(std::min(drag_ * dot(x), static_cast<double>(kTookMax)));
}

double StepTimeModel::row_price(const StepShape& decodes) const {
  const double rows = static_cast<double>(std::max<int64_t>(1, decodes.decode_sequences));
  const StepCosts cost = costs();
  const double all = cost.decode_sequence * rows + cost.decode_context_token * static_cast<double>(decodes.decode_context_tokens);
  const double whole = cost.fixed + all;
  const bool known = confident() && whole > 0;
  return std::clamp(known ? all / whole : rows / (rows + kRowsHidden), kRowPriceMin, 1.0);
}

int64_t StepTimeModel::rows_within(const StepShape& decodes, Micros budget) const {
  if (budget <= 0) return kNoLimit;
  if (!confident()) return 0;
  const double rows = static_cast<double>(std::max<int64_t>(1, decodes.decode_sequences));
  const StepCosts cost = costs();
  const double row = drag_ * (cost.decode_sequence + cost.decode_context_token *
                                                         static_cast<double>(decodes.decode_context_tokens) / rows);
  const double room = std::max(0.0, static_cast<double>(budget - predict(decodes)));
  return room < row * 1e15 ? static_cast<int64_t>(room / row) : kNoLimit;
}

double StepTimeModel::prefill_token_us(int64_t context) const {
  const StepCosts cost = costs();
  return fast_pace_ *
         (cost.prefill_token + cost.prefill_context_token * static_cast<double>(std::max<int64_t>(context, 0)));
}

int64_t StepTimeModel::prefill_tokens_in(double work_us, int64_t context) const {
  const double per_token = prefill_token_us(context);
  if (!seen_prefill_ || !(per_token > 0)) return kPrefillFloorTokens;
  return std::max(kPrefillFloorTokens, static_cast<int64_t>(std::min(work_us / per_token, 1e15)));
}

int64_t StepTimeModel::prefill_tokens_within(const StepShape& decodes, Micros budget, int64_t context) const {
  if (budget <= 0 || !seen_prefill_ || !(prefill_token_us(context) > 0)) return kNoLimit;
  const auto others = static_cast<double>(predict_work(
      {.decode_sequences = decodes.decode_sequences, .decode_context_tokens = decodes.decode_context_tokens}));
  const double room =
      std::max(static_cast<double>(budget) - others, kPrefillShareOfBudget * static_cast<double>(budget));
  return prefill_tokens_in(room, context);
}

bool StepTimeModel::confident() const {
  if (errors_.count() == 0) return has_prior_;
  return (has_prior_ || observed_ >= kConfidentAfter) && usual_error_ <= kConfidentError;
}

void StepTimeModel::note_error(double predicted, double took, double wall) {
  if (observed_ < kFirstSteps && !has_prior_) return;
  errors_.add(std::abs(predicted / took - 1));
  if (predicted > 0) pace_ += kPaceWeight * (std::clamp(wall / (drag_ * predicted), 0.1, 10.0) - pace_);
  drag_ += kDragWeight * (std::min(wall / took, kDragOutlier * drag_) - drag_);
  if (predicted > 0) paces_.add(took / predicted);
  if (observed_ % kLookEvery != 0) return;
  usual_error_ = std::max(errors_.quantile(0.5, 1), kUsualErrorMin);
  fast_pace_ = std::clamp(paces_.quantile(kFastest, 1) / kEvenPace, kFastPaceMin, 1.0);
}

// Huber's weight of an observation: 1 up to kOutlierScale usual errors, then falling with its distance.
double StepTimeModel::trust(double predicted, double took) const {
  if (errors_.count() < kFirstSteps) return 1;
  const double error = std::abs(took - predicted) / std::max(predicted, 1.0);
  return std::min(1.0, kOutlierScale * usual_error_ / std::max(error, 1e-9));
}

void StepTimeModel::observe(const StepShape& shape, const StepTook& step) {
  Vector x;
  if (step.wall_us <= 0 || step.wall_us > kTookMax || step.work_us <= 0 || !features(shape, &x)) {
    ++ignored_;
    return;
  }
  const auto wall = static_cast<double>(step.wall_us);
  const auto took = std::min(static_cast<double>(step.work_us), wall);
  const double predicted = dot(x);
  const double reference =
      std::max(took, predicted);  // of relative errors: neither a stall nor a glitch weighs more
  const double weight = trust(predicted, took) / (reference * reference);
  note_error(predicted, took, wall);
  if (information_[0][0] == 0) {
    const double step_us =
        std::max(took, prior_step_us_);  // a prior that is far too low must not be believed the more
    for (size_t i = 0; i < kTerms; ++i) information_[i][i] = prior_steps_ / (step_us * step_us);
  }
  learn(x, took, weight);
  seen_prefill_ = seen_prefill_ || shape.prefill_tokens > 0;
  ++observed_;
}

// Minimises (c - cost)' I (c - cost) + weight (took - x'c)^2 over c >= 0: the information decides who moves, and
// whoever would become negative is held at 0 while the others are solved again.
void StepTimeModel::learn(const Vector& x, double took, double weight) {
  Vector kept;
  for (size_t i = 0; i < kTerms; ++i) kept[i] = x[i] > 0 ? std::sqrt(kForget[i]) : 1;
  for (size_t i = 0; i < kTerms; ++i) {
    for (size_t j = 0; j < kTerms; ++j) {
      information_[i][j] *= kept[i] * kept[j];
      information_[i][j] += weight * x[i] * x[j];
    }
  }
  const double residual = weight * (took - dot(x));
  std::array<bool, kTerms> held{};
  for (size_t round = 0; round < kTerms; ++round) {
    Vector right, delta{};
    for (size_t i = 0; i < kTerms; ++i) right[i] = x[i] * residual;
    for (size_t j = 0; j < kTerms; ++j) {
      if (!held[j]) continue;
      delta[j] = -cost_[j];
      for (size_t i = 0; i < kTerms; ++i) right[i] -= information_[i][j] * delta[j];
    }
    if (!solve(information_, right, held, &delta)) return;
    bool again = false;
    for (size_t i = 0; i < kTerms; ++i) {
      if (held[i] || cost_[i] + delta[i] >= 0) continue;
      held[i] = again = true;
    }
    if (again) continue;
    for (size_t i = 0; i < kTerms; ++i) cost_[i] = held[i] ? 0 : cost_[i] + delta[i];
    return;
  }
}

// Cholesky (Golub and Van Loan, section 4.2) of the rows that are not held, with a ridge far below what matters.
// MODIFIES: the entries of `delta` that are not held. RETURNS: false where the matrix is not positive.
bool StepTimeModel::solve(const Matrix& a, const Vector& b, const std::array<bool, kTerms>& held, Vector* delta) {
  Matrix l{};
  for (size_t i = 0; i < kTerms; ++i) {
    if (held[i]) continue;
    for (size_t j = 0; j <= i; ++j) {
      if (held[j]) continue;
      double sum = a[i][j] + (i == j ? a[i][i] * 1e-9 : 0);
      for (size_t k = 0; k < j; ++k) sum -= l[i][k] * l[j][k];
      if (i == j && !(sum > 0)) return false;
      l[i][j] = i == j ? std::sqrt(sum) : sum / l[j][j];
    }
  }
  Vector y{};
  for (size_t i = 0; i < kTerms; ++i) {
    if (held[i]) continue;
    double sum = b[i];
    for (size_t k = 0; k < i; ++k) sum -= l[i][k] * y[k];
    y[i] = sum / l[i][i];
  }
  for (size_t i = kTerms; i-- > 0;) {
    if (held[i]) continue;
    double sum = y[i];
    for (size_t k = i + 1; k < kTerms; ++k) {
      if (!held[k]) sum -= l[k][i] * (*delta)[k];
    }
    (*delta)[i] = sum / l[i][i];
  }
  return true;
}

}  // namespace weir
