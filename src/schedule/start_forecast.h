// StartForecast: when each waiting sequence will start and have its first token, and when one that came now would.
//
// A fluid model of the step loop. Every running sequence makes one token a step; a place is free again when its
// sequence has made the tokens that are still expected of it. Prefill is a server of its own beside the decodes:
// first come, first served, at most so many tokens a step, and each of its tokens makes its step longer by what the
// StepTimeModel says. So a start is bound by places (short prompts, long answers) or by the token rate (long
// prompts), whichever is later, without a case distinction. One pass over the waiting in their order with a heap of
// places: O(waiting x log places).
//
//   begin(load); add_running(...) for each; add_waiting(...) for each, in the order of starting; newcomer(class)
//
// add_waiting may stop anywhere and go on in a later step: nothing is kept per waiting sequence, and times count
// from begin(). An order that changed meanwhile makes the rest a little wrong, which the next pass mends.
//
// What it tells is corrected by experience: started() records how long each really waited over what the model had
// said, and the median and the 90th percentile of the last SampleWindow::kMax such ratios turn the model's number
// into p50 and p90: 90 % start by p90 because 90 % did. Without kCalibratedAfter samples these are the model's
// number and twice it.
//
// Owner: the scheduler, on the engine thread. No clock, no I/O, no allocation after construction. Places that KV
// blocks keep empty are for the caller to leave out of ForecastLoad::places.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory_resource>
#include <vector>

#include "base/clock.h"
#include "message/classes.h"
#include "schedule/sample_window.h"
#include "schedule/step_time.h"

namespace weir {

// What holds for a whole forecast.
struct ForecastLoad {
  int places = 1;                   // that may be taken at once, [1, places_max]
  int sequences = 0;                // running and waiting: how full the steps will be
  int64_t step_tokens = 1;          // the step's token budget, decodes included
  int64_t prefill_tokens_max = 0;   // of one step, by its decodes or a brown-out; 0: no limit of its own
  int64_t context_tokens_mean = 0;  // of the sequences that decode
  int64_t prompt_tokens_mean = 0;   // of the prompts that wait
};

struct ForecastRunning {
  int64_t pending_prefill_tokens = 0;
  int64_t remaining_tokens = 1;  // of its answer, as expected; at least 1
};

struct ForecastWaiting {
  int64_t prompt_tokens = 1;  // to be computed: without what the prefix cache knows
  int64_t output_tokens = 1;  // expected
  int class_index = 0;        // [0, kClassesMax)
};

// From begin() on, as the model says; calibrated() makes p50 and p90 of it.
struct StartTimes {
  Micros start_in_us = 0;
  Micros first_token_in_us = 0;
};

struct Quantiles {
  Micros p50_us = 0, p90_us = 0;
};

// What a sequence was told when it arrived; kept by whoever keeps the sequence.
struct StartTold {
  Micros at_us = 0;        // when; 0: never told
  Micros model_in_us = 0;  // StartTimes::start_in_us
  Micros p90_in_us = 0;
};

class StartForecast {
 public:
  static constexpr int kCalibratedAfter = 16;

  // model outlives it.
  StartForecast(int places_max, const StepTimeModel* model,
                std::pmr::memory_resource* memory = std::pmr::get_default_resource());
  static uint64_t bytes(int places_max);  // what the constructor takes from an arena

  void begin(const ForecastLoad& load);
  void add_running(
      const ForecastRunning& running);  // REQUIRES: at most places_max of them, before the first waiting one
  StartTimes add_waiting(const ForecastWaiting& waiting);
  // One of this class that comes now: after all that were added of its class and of higher ones.
  StartTimes newcomer(int class_index, int64_t prompt_tokens);
  Quantiles calibrated(Micros in_us) const;
  // What 1,000 more prompt tokens mean for a first token, the decodes that share their steps included. 0: not
  // known.
  Micros prefill_us_per_1k_tokens() const;

  void started(const StartTold& told, Micros now);
  // It ended without a start: a lower bound, which counts where it is longer than what the model had said.
  void gave_up(const StartTold& told, Micros now);
  // Of waited / what the model had said; 1 is exact, above it later than said; 0 without samples.
  double ratio_quantile(double q) const { return ratios_.quantile(q, 0); }
  // The part that started by the p90 that it was told; 0.9 is the aim.
  double within_p90() const { return lateness_.share_up_to(1); }
  int samples() const { return ratios_.count(); }

 private:
  // Where the queue stands after some of the waiting; steps are fractional.
  struct Frontier {
    double free_step = 0;     // the next place
    double prefill_step = 0;  // all prefill so far is done
    double prefill_us = 0;    // what it takes in all
  };
  void close_running();
  void replace_first(double step);
  double wall_us(const Frontier& at, double step) const;
  void note_ratio(const StartTold& told, Micros waited);

  const StepTimeModel* const model_;
  std::pmr::vector<double> places_;  // heap, smallest first: the step in which each is free
  size_t places_now_ = 1;
  bool running_closed_ = false;
  double step_us_ = 0;  // of a step of decodes alone
  double prefill_token_us_ = 0;
  double prefill_per_step_ = 1;  // tokens
  Frontier now_;
  std::array<Frontier, kClassesMax> after_;  // [class] after the last one of it or a higher class
  SampleWindow ratios_;                      // waited / model
  SampleWindow lateness_;                    // waited / p90 told
  double ratio_p50_ = 1, ratio_p90_ = 2;
};

}  // namespace weir
