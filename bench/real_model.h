// RealModel: a model directory behind the real executor, and its step times over a grid of shapes. For bench
// programs that set the simulator beside the machine; one thread.
#pragma once

#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/model_executor.h"
#include "sim/profile.h"

namespace weir {

// Ends the program with a message: nothing here is worth going on with.
template <class T>
T must(Result<T> result, const char* what) {
  if (!result.ok()) {
    std::fprintf(stderr, "%s: %s\n", what, result.status().message().c_str());
    std::exit(1);
  }
  return std::move(result).value();
}

// Wall time, or what this thread alone used of a processor: on a machine that others share, the second one tells
// what the work costs, and the first one mostly who else was there. One thread of the backend only.
class BenchClock final : public Clock {
 public:
  explicit BenchClock(bool processor_time) : id_(processor_time ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC) {}
  double us() const {
    timespec now{};
    ::clock_gettime(id_, &now);
    return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3 +
           static_cast<double>(skipped_us_);
  }
  Micros now_us() const override { return static_cast<Micros>(us()); }
  void skip_us(Micros by) { skipped_us_ += by; }  // idle time that nobody waits for

 private:
  const clockid_t id_;
  Micros skipped_us_ = 0;
};

struct RealModel {
  static constexpr int kPlaces = 32, kBlockTokens = 64, kStepTokens = 512;

  ModelSpec spec;
  ModelOptions options;
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Transformer> model;
  Region kv;
  int64_t blocks = 0;
  std::unique_ptr<ModelExecutor> executor;

  RealModel(const std::string& dir, int threads) {
    spec = must(load_spec(dir), "the model's config");
    backend = must(make_backend("cpu", {.threads = threads, .isa = "", .pin = false}), "the backend");
    options = {.format = WeightFormat::kBF16,
               .kv_format = KvFormat::kBF16,
               .session_tokens = std::min<int64_t>(spec.context_max, 2048),
               .block_tokens = kBlockTokens,
               .step_tokens_max = kStepTokens,
               .sequences_max = kPlaces};
    const auto checkpoint = must(Checkpoint::open(dir), "the weights");
    model = must(Transformer::load(spec, options, *checkpoint, *backend, nullptr), "the weights");
    blocks = kPlaces * options.blocks_per_sequence();
    const uint64_t block_bytes = Transformer::needs(spec, options, backend->ops()).kv_block;
    kv = must(backend->device().reserve(static_cast<uint64_t>(blocks) * block_bytes), "the KV cache");
    model->attach_kv(kv.span(), blocks);
    executor = std::make_unique<ModelExecutor>(model.get(), backend.get(), &kv, std::vector<int32_t>{});
  }
};

// One sequence's part of a measured step.
struct MeasuredPart {
  int count = 1, position = 0;
  bool samples = true;
};

// Decodes over batch and context, prefill chunks over length and position, and both together, as steps mix them.
inline std::vector<std::vector<MeasuredPart>> profile_grid(int64_t session) {
  std::vector<std::vector<MeasuredPart>> grid;
  const int longest = static_cast<int>(session) - 1;
  for (const int batch : {1, 2, 4, 8, 16, 32}) {
    for (const int context : {31, 255, 767}) {
      if (context <= longest) grid.emplace_back(static_cast<size_t>(batch), MeasuredPart{1, context, true});
    }
  }
  for (const int count : {8, 32, 64, 128, 256, 512}) {
    for (const int position : {0, 256, 448}) {
      if (position + count <= longest) grid.push_back({{count, position, true}});
    }
  }
  for (const int decodes : {4, 16}) {
    for (const int count : {64, 240, 496}) {
      grid.emplace_back(static_cast<size_t>(decodes), MeasuredPart{1, 255, true});
      grid.back().push_back({count, 0, true});
    }
  }
  return grid;
}

class StepTimer {
 public:
  StepTimer(RealModel* rig, const BenchClock* clock) : rig_(rig), clock_(clock), results_(RealModel::kPlaces) {
    step_.reserve(RealModel::kStepTokens, RealModel::kPlaces);
    text_.assign(static_cast<size_t>(rig->options.session_tokens), 7);
    for (int32_t b = 0; b < rig->blocks; ++b) table_.push_back(b);
    params_.temperature = 0;
  }

  // RETURNS: microseconds.
  double run(const std::vector<MeasuredPart>& parts) {
    step_.clear();
    const auto row = static_cast<size_t>(rig_->options.blocks_per_sequence());
    for (size_t s = 0; s < parts.size(); ++s) {
      const MeasuredPart& part = parts[s];
      step_.sequences.push_back(
          {.slot = static_cast<SlotIndex>(s),
           .place = static_cast<int32_t>(s),
           .token_begin = static_cast<int32_t>(step_.tokens.size()),
           .token_count = part.count,
           .position_begin = part.position,
           .samples = part.samples,
           .params = &params_,
           .prompt = std::span<const int32_t>(text_).first(static_cast<size_t>(part.position + part.count)),
           .blocks = std::span<const int32_t>(table_).subspan(s * row, row)});
      for (int i = 0; i < part.count; ++i) {
        step_.tokens.push_back((static_cast<int32_t>(s) * 7919 + i * 104729) %
                               static_cast<int32_t>(rig_->spec.vocab));
        step_.positions.push_back(part.position + i);
        step_.rows.push_back(static_cast<int32_t>(s));
      }
    }
    const double begin = clock_->us();
    const Status status = rig_->executor->run(step_, std::span<StepResult>(results_).first(parts.size()));
    if (!status.ok()) std::exit(1);
    return clock_->us() - begin;
  }
  sim::StepShape shape() const { return sim::shape_of(step_); }

 private:
  RealModel* const rig_;
  const BenchClock* const clock_;
  Step step_;
  std::vector<StepResult> results_;
  std::vector<int32_t> text_, table_;
  SamplingParams params_;
};

// What the engine itself takes for a step of so many decodes, rings and notices included: a turn without a model.
inline double engine_us(int sequences, const BenchClock& clock) {
  constexpr int kSession = 1024, kTurns = 300;
  NullExecutor executor(32000);
  const SchedulerOptions options{
      .slots = sequences, .running_max = sequences, .step_tokens_max = 512, .session_tokens = kSession};
  Gateway gateway(sequences, sequences, 1, Gateway::kRingEvents);
  BlockPool pool({.blocks = sequences * kSession / 64,
                  .block_tokens = 64,
                  .sequences_max = sequences,
                  .blocks_per_sequence_max = kSession / 64});
  Engine engine(options, &pool, nullptr, &gateway, &executor, &clock);
  RequestSpec spec;
  spec.prompt.assign(8, 1);
  spec.params.max_tokens = kSession - 8;
  spec.params.ignore_eos = true;
  std::vector<RequestSpec> specs(static_cast<size_t>(sequences), spec);
  for (SlotIndex slot = 0; slot < sequences; ++slot) {
    gateway.channel(slot).spec = &specs[static_cast<size_t>(slot)];
    gateway.submit(slot);
  }
  std::vector<double> times;
  for (int i = 0; i < kTurns; ++i) {
    const double begin = clock.us();
    engine.turn();
    Notice notice;
    TokenEvent event;
    while (gateway.next_notice(0, &notice)) {
      while (gateway.channel(notice.slot).ring->try_pop(&event)) {
      }
    }
    times.push_back(clock.us() - begin);
  }
  std::nth_element(times.begin(), times.begin() + kTurns / 2, times.end());
  return times[kTurns / 2];
}

// Medians of `rounds`, the shapes in turn within each, so that a noise of the machine meets all of them.
inline std::vector<sim::MeasuredPoint> measure_steps(RealModel* rig, const BenchClock& clock, int rounds) {
  StepTimer timer(rig, &clock);
  const auto grid = profile_grid(rig->options.session_tokens);
  std::vector<std::vector<double>> times(grid.size());
  std::vector<sim::MeasuredPoint> points(grid.size());
  for (int round = -1; round < rounds; ++round) {  // the first warms up
    for (size_t i = 0; i < grid.size(); ++i) {
      // The first of each has cold caches after another shape, which a run of like steps has not.
      for (int turn = 0; turn < 3; ++turn) {
        const double us = timer.run(grid[i]);
        if (round >= 0 && turn > 0) times[i].push_back(us);
      }
      points[i].shape = timer.shape();
    }
  }
  for (size_t i = 0; i < grid.size(); ++i) {
    std::nth_element(times[i].begin(), times[i].begin() + rounds, times[i].end());
    points[i].us = times[i][static_cast<size_t>(rounds)] + engine_us(static_cast<int>(grid[i].size()), clock);
  }
  return points;
}

}  // namespace weir
