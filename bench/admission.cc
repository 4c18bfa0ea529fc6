// bench_admission: what a decision at the front door costs while 10,000 sequences are admitted, and what it costs the
// engine to keep the predictions behind it.
//
//   bench_admission [QUEUED]      default 10000
//
// Floor: a mutex that nobody else wants (about 20 ns) and the vector of Places. Each figure is a quantile over single
// calls, so a stall of the machine shows in the p99 and not in the median. A decision is knock, admit, and, at the end of
// the request, the place given back; a refusal is knock alone, with the time to come back.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "admission/front_door.h"
#include "schedule/start_forecast.h"
#include "schedule/step_time.h"

namespace weir {
namespace {

using SteadyTime = std::chrono::steady_clock;
constexpr int kPlaces = 256;
constexpr int kRounds = 20'000;

double us_since(SteadyTime::time_point begin) {
  return std::chrono::duration<double, std::micro>(SteadyTime::now() - begin).count();
}

void print(const char* what, std::vector<double> us) {
  std::sort(us.begin(), us.end());
  const auto at = [&us](double q) { return us[static_cast<size_t>(q * static_cast<double>(us.size() - 1))]; };
  std::printf("%-62s %9.2f %9.2f %9.2f\n", what, at(0.5), at(0.99), us.back());
}

template <class Call>
std::vector<double> timed(int rounds, Call call) {
  std::vector<double> us;
  us.reserve(static_cast<size_t>(rounds));
  for (int i = 0; i < rounds; ++i) {
    const auto begin = SteadyTime::now();
    call();
    us.push_back(us_since(begin));
  }
  return us;
}

// The door with so many admitted and a forecast for every class.
void door_decisions(int queued) {
  Gateway gateway(kPlaces + queued + 1, kPlaces, 1, 8);
  FrontDoor door({.running_max = kPlaces, .queued_max = queued + 1, .queued_tokens_max = int64_t{1} << 40,
                  .session_tokens = 1 << 20, .pool_tokens = 1 << 24, .ttft_slo_us = 3'600'000'000},
                 &gateway);
  door.set_ready();
  LoadGauges& load = gateway.load();
  load.running = kPlaces;
  load.waiting = queued - kPlaces;
  load.finish_interval_us = 5'000;
  load.prefill_us_per_1k_tokens = 30'000;
  for (auto& start : load.start_in_us_p90) start = 30'000'000;
  std::vector<Place> held;
  for (int i = 0; i < queued; ++i) {
    auto places = door.admit({.prompt_tokens = {100}});
    if (!places.ok()) std::exit(1);
    held.push_back(std::move(places->front()));
  }
  const Timing timing{.class_index = 1, .now_us = 1, .deadline_us = 600'000'000};
  print("knock, admit with a deadline, give back", timed(kRounds, [&] {
          auto knock = door.knock();
          if (!knock.ok()) std::exit(1);
          auto places = door.admit({.prompt_tokens = {100}, .timing = timing}, std::move(*knock));
          if (!places.ok()) std::exit(1);
        }));
  door.refuse_for_brown_out(true);
  print("refusal with Retry-After", timed(kRounds, [&] {
          if (door.knock().ok() || door.next_retry_after_seconds() < 1) std::exit(1);
        }));
}

// One look at everything that waits, and the slice of it that one step would bear.
void forecast_refresh(int queued) {
  StepTimeModel model(StepCosts{.fixed = 8'000, .prefill_token = 20, .prefill_context_token = 0.002, .decode_sequence = 60,
                                .decode_context_token = 0.02});
  StartForecast forecast(kPlaces, &model);
  const auto begin = [&] {
    forecast.begin({.places = kPlaces, .sequences = kPlaces + queued, .step_tokens = 512, .context_tokens_mean = 800,
                    .prompt_tokens_mean = 400});
    for (int i = 0; i < kPlaces; ++i) forecast.add_running({.remaining_tokens = 1 + i * 7 % 300});
  };
  const auto wait = [&](int from, int count) {
    for (int i = from; i < from + count; ++i) {
      const StartTimes times = forecast.add_waiting(
          {.prompt_tokens = 100 + i * 131 % 900, .output_tokens = 1 + i * 37 % 500, .class_index = 3 * i / (queued + 1)});
      if (times.first_token_in_us < times.start_in_us) std::exit(1);
    }
  };
  print("forecast of all that wait, in one go", timed(200, [&] {
          begin();
          wait(0, queued);
        }));
  int next = queued;
  print("the same in slices of 1,024, each", timed(2'000, [&] {
          if (next >= queued) {
            begin();
            next = 0;
          }
          wait(next, std::min(1'024, queued - next));
          next += 1'024;
        }));
  int64_t step = 0;
  print("a step observed by the step-time model", timed(kRounds, [&] {
          ++step;
          model.observe({.prefill_tokens = step % 4 == 0 ? 256 : 0, .prefill_context_tokens = step % 4 == 0 ? 256 * 300 : 0,
                         .decode_sequences = 1 + step % 64, .decode_context_tokens = (1 + step % 64) * (500 + step % 700)},
                        9'000 + step % 1'000);
        }));
  print("the prefill chunk within a step's budget", timed(kRounds, [&] {
          if (model.prefill_tokens_within({.decode_sequences = 64, .decode_context_tokens = 64'000}, 50'000, 400) < 1) std::exit(1);
        }));
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  const int queued = argc > 1 ? std::atoi(argv[1]) : 10'000;
  if (queued < weir::kPlaces) {
    std::fprintf(stderr, "bench_admission [QUEUED]: at least %d\n", weir::kPlaces);
    return 2;
  }
  std::printf("%-62s %9s %9s %9s\n", "us", "median", "p99", "max");
  weir::door_decisions(queued);
  weir::forecast_refresh(queued);
  return 0;
}
