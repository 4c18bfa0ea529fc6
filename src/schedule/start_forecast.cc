#include "schedule/start_forecast.h"

#include <cmath>
#include <functional>

#include "base/check.h"
#include "base/counting_resource.h"

namespace weir {
namespace {

// Added to both sides of a ratio: the turn of the step loop, below which a wait is none and its relative error says
// nothing.
constexpr double kSlackUs = 20'000;
constexpr double kRatioMin = 0.1, kRatioMax = 20;
constexpr double kInMaxUs = 86'400e6;  // a day: what is later is as good as never

Micros to_micros(double us) { return static_cast<Micros>(std::clamp(us, 0.0, kInMaxUs)); }
double not_negative(int64_t tokens) { return static_cast<double>(std::max<int64_t>(tokens, 0)); }

}  // namespace

StartForecast::StartForecast(int places_max, const StepTimeModel* model, std::pmr::memory_resource* memory)
    : model_(model), places_(memory) {
  WEIR_CHECK(places_max >= 1);
  places_.reserve(static_cast<size_t>(places_max));
}

uint64_t StartForecast::bytes(int places_max) {
  return arena_bytes(static_cast<uint64_t>(places_max) * sizeof(double));
}

void StartForecast::begin(const ForecastLoad& load) {
  places_.clear();
  places_now_ = std::clamp<size_t>(static_cast<size_t>(std::max(load.places, 1)), 1, places_.capacity());
  running_closed_ = false;
  now_ = {};
  after_ = {};
  const auto batch = std::min<int64_t>(static_cast<int64_t>(places_now_), std::max(load.sequences, 1));
  step_us_ = static_cast<double>(
      model_->predict({.decode_sequences = batch,
                       .decode_context_tokens = batch * std::max<int64_t>(load.context_tokens_mean, 0)}));
  const StepCosts costs = model_->costs();
  prefill_token_us_ = costs.prefill_token + costs.prefill_context_token * not_negative(load.prompt_tokens_mean) / 2;
  int64_t chunk = std::max<int64_t>(load.step_tokens - batch, 1);
  if (load.prefill_tokens_max > 0) chunk = std::min(chunk, load.prefill_tokens_max);
  prefill_per_step_ = static_cast<double>(chunk);
  if (ratios_.count() < kCalibratedAfter) return;
  ratio_p50_ = std::clamp(ratios_.quantile(0.5, 1), kRatioMin, kRatioMax);
  ratio_p90_ = std::clamp(ratios_.quantile(0.9, 2), ratio_p50_, kRatioMax);
}

void StartForecast::add_running(const ForecastRunning& running) {
  WEIR_CHECK(!running_closed_ && places_.size() < places_.capacity());
  double done = 0;
  if (running.pending_prefill_tokens > 0) {
    const double tokens = not_negative(running.pending_prefill_tokens);
    now_.prefill_step += tokens / prefill_per_step_;
    now_.prefill_us += tokens * prefill_token_us_;
    done = now_.prefill_step;
  }
  places_.push_back(done + not_negative(running.remaining_tokens));
}

// Places that nobody holds are free at once. Where more run than may, the first ends give no place.
void StartForecast::close_running() {
  running_closed_ = true;
  while (places_.size() < places_now_) places_.push_back(0);
  std::make_heap(places_.begin(), places_.end(), std::greater<>());
  while (places_.size() > places_now_) {
    std::pop_heap(places_.begin(), places_.end(), std::greater<>());
    places_.pop_back();
  }
  now_.free_step = places_.front();
  after_.fill(now_);
}

// The first of the heap becomes `step`, which is not smaller: it sinks to its place.
void StartForecast::replace_first(double step) {
  size_t at = 0;
  for (size_t child = 1; child < places_.size(); child = 2 * at + 1) {
    if (child + 1 < places_.size() && places_[child + 1] < places_[child]) ++child;
    if (places_[child] >= step) break;
    places_[at] = places_[child];
    at = child;
  }
  places_[at] = step;
}

// Steps of decodes, and the prefill that has been done by then.
double StartForecast::wall_us(const Frontier& at, double step) const {
  const double undone = std::max(at.prefill_step - step, 0.0) * prefill_per_step_ * prefill_token_us_;
  return step * step_us_ + std::max(at.prefill_us - undone, 0.0);
}

StartTimes StartForecast::add_waiting(const ForecastWaiting& waiting) {
  if (!running_closed_) close_running();
  const double start = now_.free_step;
  const double start_us = wall_us(now_, start);
  const double prompt = not_negative(waiting.prompt_tokens);
  const double first = std::max(start, now_.prefill_step) + prompt / prefill_per_step_;
  now_.prefill_step = first;
  now_.prefill_us += prompt * prefill_token_us_;
  replace_first(first + std::max(not_negative(waiting.output_tokens), 1.0));
  now_.free_step = places_.front();
  const auto class_index = static_cast<size_t>(std::clamp(waiting.class_index, 0, kClassesMax - 1));
  for (size_t i = class_index; i < after_.size(); ++i) after_[i] = now_;
  return {to_micros(start_us), to_micros(first * step_us_ + now_.prefill_us)};
}

StartTimes StartForecast::newcomer(int class_index, int64_t prompt_tokens) {
  if (!running_closed_) close_running();
  const Frontier& at = after_[static_cast<size_t>(std::clamp(class_index, 0, kClassesMax - 1))];
  const double prompt = not_negative(prompt_tokens);
  const double first = std::max(at.free_step, at.prefill_step) + prompt / prefill_per_step_;
  return {to_micros(wall_us(at, at.free_step)),
          to_micros(first * step_us_ + at.prefill_us + prompt * prefill_token_us_)};
}

Quantiles StartForecast::calibrated(Micros in_us) const {
  const double slack = static_cast<double>(in_us) + kSlackUs;
  return {to_micros(slack * ratio_p50_ - kSlackUs), to_micros(slack * ratio_p90_ - kSlackUs)};
}

Micros StartForecast::prefill_us_per_1k_tokens() const {
  return to_micros(1000 * (prefill_token_us_ + step_us_ / prefill_per_step_));
}

void StartForecast::note_ratio(const StartTold& told, Micros waited) {
  ratios_.add((static_cast<double>(waited) + kSlackUs) / (static_cast<double>(told.model_in_us) + kSlackUs));
  lateness_.add((static_cast<double>(waited) + kSlackUs) / (static_cast<double>(told.p90_in_us) + kSlackUs));
}

// Starts at once that were foreseen say nothing about queues, and must not push out what does.
void StartForecast::started(const StartTold& told, Micros now) {
  const Micros waited = now - told.at_us;
  const bool trivial = told.model_in_us == 0 && static_cast<double>(waited) < kSlackUs;
  if (told.at_us == 0 || waited < 0 || trivial) return;
  note_ratio(told, waited);
}

void StartForecast::gave_up(const StartTold& told, Micros now) {
  const Micros waited = now - told.at_us;
  if (told.at_us != 0 && waited > told.model_in_us) note_ratio(told, waited);
}

}  // namespace weir
