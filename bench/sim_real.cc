// bench_sim_real: the simulator beside the machine. Measures step times, serves a Poisson load with the real engine
// and the real model, simulates the same load with the measured steps, and prints both medians.
//
//   bench_sim_real [--model DIR] [--threads N] [--seconds N] [--busy SHARE] [--rounds N] [--clock wall|processor]
//
// Goal: the simulated median of TTFT and TPOT lies within 15 % of the real one. The steps are measured before and
// after the real run and the mean counts, because a shared machine does not stay the same. On a machine that others
// use, --clock processor sets the processor time of the engine's thread beside the simulation.
#include "real_model.h"
#include "sim/generate.h"
#include "sim/report.h"
#include "sim/scheduler_setup.h"
#include "sim/world.h"

namespace weir {
namespace {

struct Arrived {
  RequestSpec spec;
  Micros first_us = -1, last_us = -1;
  int tokens = 0;
};

// The real executor, with a note of every step: what it was and how long it took.
class WatchedExecutor final : public Executor {
 public:
  WatchedExecutor(Executor* inner, const BenchClock* clock, size_t steps_max) : inner_(inner), clock_(clock) {
    steps_.reserve(steps_max);
  }
  void bind_thread() override { inner_->bind_thread(); }
  Status run(const Step& step, std::span<StepResult> results) override {
    const double begin = clock_->us();
    Status status = inner_->run(step, results);
    const double us = clock_->us() - begin;
    if (steps_.size() < steps_.capacity()) steps_.push_back({sim::shape_of(step), us});
    return status;
  }
  struct Taken {
    sim::StepShape shape;
    double us;
  };
  const std::vector<Taken>& steps() const { return steps_; }

 private:
  Executor* const inner_;
  const BenchClock* const clock_;
  std::vector<Taken> steps_;
};

// Serves the load with the real engine, clients in the same thread. While nothing runs the clock is put forward to
// the next arrival. RETURNS: per request, times from its arrival.
std::vector<sim::SequenceRecord> serve(RealModel* rig, Executor* executor, BenchClock* clock,
                                       const sim::ServerShape& shape, const sim::Load& load) {
  const SchedulerOptions options = sim::scheduler_options(shape);
  Gateway gateway(options.slots, options.running_max, 1, Gateway::kRingEvents);
  BlockPool pool(sim::pool_options(shape), nullptr);
  Engine engine(options, &pool, nullptr, &gateway, executor, clock);
  std::vector<Arrived> requests(static_cast<size_t>(options.slots));
  std::vector<sim::SequenceRecord> records;
  std::vector<SlotIndex> free_slots;
  for (SlotIndex slot = 0; slot < options.slots; ++slot) free_slots.push_back(slot);
  const Micros begin = clock->now_us();
  size_t next = 0;
  const auto submit_due = [&] {
    while (next < load.requests.size() && clock->now_us() - begin >= load.requests[next].arrival_us) {
      const sim::SimRequest& request = load.requests[next++];
      const SlotIndex slot = free_slots.back();
      free_slots.pop_back();
      Arrived& one = requests[static_cast<size_t>(slot)] = Arrived{};
      one.spec.arrival_us = begin + request.arrival_us;
      for (int i = 0; i < request.prompt_tokens; ++i) {
        one.spec.prompt.push_back(static_cast<int32_t>(sim::mix(next, static_cast<uint64_t>(i)) %
                                                       static_cast<uint64_t>(rig->spec.vocab)));
      }
      one.spec.params.temperature = 0;
      one.spec.params.ignore_eos = true;
      one.spec.params.max_tokens = request.output_tokens;
      gateway.channel(slot).spec = &one.spec;
      gateway.submit(slot);
    }
  };
  const auto read_all = [&] {
    Notice notice;
    while (gateway.next_notice(0, &notice)) {
      Arrived& one = requests[static_cast<size_t>(notice.slot)];
      TokenEvent event;
      while (gateway.channel(notice.slot).ring->try_pop(&event)) {
        one.last_us = clock->now_us() - one.spec.arrival_us;
        if (one.tokens++ == 0) one.first_us = one.last_us;
      }
      if (notice.finish == FinishReason::kNone) continue;
      records.push_back({.first_token_us = one.first_us,
                         .last_token_us = one.last_us,
                         .output_tokens = one.tokens,
                         .reason = notice.finish});
      gateway.release(notice.slot);
      free_slots.push_back(notice.slot);
    }
  };
  while (records.size() < load.requests.size()) {
    submit_due();
    const bool worked = engine.turn();
    read_all();
    if (worked || next == load.requests.size()) continue;
    clock->skip_us(std::max<Micros>(0, begin + load.requests[next].arrival_us - clock->now_us() + 1));
  }
  engine.turn();  // takes the last releases
  return records;
}

struct Medians {
  double ttft_ms, tpot_ms, e2e_ms;
};

Medians medians_of(const std::vector<sim::SequenceRecord>& records) {
  std::vector<double> ttft, tpot, e2e;
  for (const sim::SequenceRecord& one : records) {
    ttft.push_back(static_cast<double>(one.first_token_us) / 1e3);
    e2e.push_back(static_cast<double>(one.last_token_us) / 1e3);
    if (one.output_tokens > 1) tpot.push_back(one.token_gap_us() / 1e3);
  }
  return {sim::percentiles_of(&ttft).p50, sim::percentiles_of(&tpot).p50, sim::percentiles_of(&e2e).p50};
}

int run(int argc, char** argv) {
  std::string dir = "models/weir-demo";
  int threads = 1, rounds = 15;
  bool processor_time = false;
  double seconds = 20, busy = 0.6;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i], value = argv[i + 1];
    if (flag == "--model")
      dir = value;
    else if (flag == "--threads")
      threads = std::clamp(std::atoi(value.c_str()), 1, 1024);
    else if (flag == "--clock")
      processor_time = value == "processor";
    else if (flag == "--rounds")
      rounds = std::clamp(std::atoi(value.c_str()), 1, 10'000);
    else if (flag == "--seconds")
      seconds = std::clamp(std::atof(value.c_str()), 1.0, 3600.0);
    else if (flag == "--busy")
      busy = std::clamp(std::atof(value.c_str()), 0.01, 2.0);
    else
      return std::fprintf(stderr, "bench_sim_real: unknown flag %s\n", flag.c_str()), 2;
  }
  if (processor_time && threads != 1) return std::fprintf(stderr, "--clock processor goes with --threads 1\n"), 2;
  BenchClock clock(processor_time);
  RealModel rig(dir, threads);
  rig.backend->bind_calling_thread();
  sim::ServerShape shape;
  shape.running_max = RealModel::kPlaces;
  shape.queued_max = 4096;
  shape.queued_tokens_max = int64_t{1} << 30;
  shape.session_tokens = rig.options.session_tokens;
  shape.step_tokens_max = RealModel::kStepTokens;
  shape.block_tokens = RealModel::kBlockTokens;
  shape.blocks = shape.blocks_max = static_cast<int32_t>(rig.blocks);
  shape.prefix = false;
  shape.queue_timeout_us = 0;
  std::vector<sim::MeasuredPoint> points = measure_steps(&rig, clock, rounds);
  // So that the engine is busy for about that share if nothing were batched.
  const auto before = must(sim::fit_profile(points, "before", 0), "the fit");
  constexpr int kPrompt = 200, kOutput = 40;
  const double alone_us = static_cast<double>(before->step_us({kPrompt, 1, kPrompt * kPrompt / 2, kPrompt})) +
                          kOutput * static_cast<double>(before->step_us({1, 1, kPrompt, kPrompt}));
  const double rate = busy * 1e6 / alone_us;
  sim::Load load = sim::generate({.requests = static_cast<int64_t>(rate * seconds),
                                  .arrivals = {.rate = rate},
                                  .prompt = {kPrompt, 0.5},
                                  .output = {kOutput, 0.5},
                                  .tokens_max = shape.session_tokens});
  for (sim::SimRequest& one : load.requests) one.max_tokens = one.output_tokens;
  WatchedExecutor watched(rig.executor.get(), &clock, 1 << 20);
  const Medians real = medians_of(serve(&rig, &watched, &clock, shape, load));
  const std::vector<sim::MeasuredPoint> after = measure_steps(&rig, clock, rounds);
  double drift = 0;
  for (size_t i = 0; i < points.size(); ++i) {
    drift += after[i].us / points[i].us / static_cast<double>(points.size());
    points[i].us = (points[i].us + after[i].us) / 2;
  }
  const auto profile = must(sim::fit_profile(points, "measured", 0), "the fit");
  const sim::Outcome outcome = sim::World({{.shape = shape, .check_every = 64}, {}}, profile.get(), &load).run();
  if (outcome.violation) return std::fprintf(stderr, "%s\n", outcome.violation->text().c_str()), 1;
  const Medians simulated = medians_of(outcome.records);
  std::printf("%s, %d threads, %s; %zu requests at %.1f a second; steps %+.1f%% between before and after\n%s\n",
              dir.c_str(), threads, processor_time ? "processor time" : "wall time", load.requests.size(), rate,
              100 * (drift - 1), profile->description().c_str());
  std::printf("%-12s %10s %10s %10s\n", "median, ms", "real", "simulated", "off by");
  const auto row = [](const char* name, double truth, double guess) {
    std::printf("%-12s %10.3f %10.3f %9.1f%%\n", name, truth, guess, 100 * (guess / truth - 1));
  };
  double real_us = 0, profile_us = 0;
  std::vector<double> ratios;
  for (const WatchedExecutor::Taken& step : watched.steps()) {
    real_us += step.us;
    profile_us += static_cast<double>(profile->step_us(step.shape));
    ratios.push_back(step.us / static_cast<double>(profile->step_us(step.shape)));
  }
  row("mean step", real_us / 1e3 / static_cast<double>(ratios.size()),
      profile_us / 1e3 / static_cast<double>(ratios.size()));
  std::printf("%-12s %10.3f times what the profile says, 90 %% below %.3f\n", "a step",
              sim::percentiles_of(&ratios).p50, sim::percentiles_of(&ratios).p90);
  row("TTFT", real.ttft_ms, simulated.ttft_ms);
  row("TPOT", real.tpot_ms, simulated.tpot_ms);
  row("E2E", real.e2e_ms, simulated.e2e_ms);
  return 0;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) { return weir::run(argc, argv); }
