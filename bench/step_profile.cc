// bench_step_profile: how long steps of a real model take on this machine, as a profile for `weir simulate
// --profile`.
//
//   bench_step_profile [--model DIR] [--threads N] [--rounds N] [--machine TEXT] [--clock wall|processor] > FILE
//
// --clock processor, with one thread: what the work costs, however many others use the machine.
// The whole of the executor is timed, sampling included; what the engine itself takes for so many sequences is timed
// without a model and added.
#include <ctime>

#include "real_model.h"

int main(int argc, char** argv) {
  using namespace weir;
  std::string dir = "models/weir-demo", machine = "an unnamed machine";
  int threads = 1, rounds = 25;
  bool processor_time = false;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i], value = argv[i + 1];
    if (flag == "--model")
      dir = value;
    else if (flag == "--machine")
      machine = value;
    else if (flag == "--threads")
      threads = std::clamp(std::atoi(value.c_str()), 1, 1024);
    else if (flag == "--clock")
      processor_time = value == "processor";
    else if (flag == "--rounds")
      rounds = std::clamp(std::atoi(value.c_str()), 1, 10'000);
    else
      return std::fprintf(stderr, "bench_step_profile: unknown flag %s\n", flag.c_str()), 2;
  }
  if (processor_time && threads != 1) return std::fprintf(stderr, "--clock processor goes with --threads 1\n"), 2;
  RealModel rig(dir, threads);
  rig.backend->bind_calling_thread();
  const std::vector<sim::MeasuredPoint> points = measure_steps(&rig, BenchClock(processor_time), rounds);
  const auto fitted = must(sim::fit_profile(points, "", 0), "the fit");
  char date[32] = "";
  const std::time_t now = std::time(nullptr);
  std::strftime(date, sizeof date, "%Y-%m-%d", std::gmtime(&now));
  const std::string name = dir.substr(dir.find_last_of('/') + 1);
  std::printf("# Step times for weir simulate --profile, by bench_step_profile: medians of %d rounds.\n#%s\n",
              rounds, fitted->description().c_str());
  std::printf("machine = \"%s, %s, %s\"\nmodel = \"%s\"\ndate = \"%s\"\nkv-tokens = %ld\n", machine.c_str(),
              std::string(rig.backend->description()).c_str(), processor_time ? "processor time" : "wall time",
              name.c_str(), date, static_cast<long>(rig.blocks * rig.options.block_tokens));
  std::printf(
      "# tokens, samples, attended (sum over the tokens of the positions each looks at), context (over the "
      "sequences), microseconds\npoints = [\n");
  for (const sim::MeasuredPoint& point : points) {
    const sim::StepShape& shape = point.shape;
    std::printf("  \"%ld %ld %ld %ld %.1f\",\n", static_cast<long>(shape.tokens), static_cast<long>(shape.samples),
                static_cast<long>(shape.attended_tokens), static_cast<long>(shape.context_tokens), point.us);
  }
  std::printf("]\n");
  return 0;
}
