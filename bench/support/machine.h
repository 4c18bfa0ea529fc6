// Machine: what this machine can do at best, measured in the run that quotes it: read bandwidth, f32 multiply-adds,
// and the integer instructions of the linear kernels (mixes.h). Clocks and neighbours differ from minute to minute,
// so a figure is worth its share of the peaks of the same run.
//
// One thread calls; helpers are started and joined inside. Takes about three seconds and 512 MiB.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/dtype.h"

namespace weir::bench {

// Wall time, or with `cpu_time` what the calling thread alone used: on a shared machine the second one says what
// the work costs. Only for work of one thread.
double now_seconds(bool cpu_time);
double median(std::vector<double> values);  // REQUIRES: not empty

// `rounds` times, work(0..threads-1) at once, begun together. RETURNS: wall seconds of the fastest round; with one
// thread its processor seconds.
double best_seconds(int threads, int rounds, const std::function<void(int)>& work);

// Bytes per second that so many threads read from 512 MiB, prefetching 2 KiB ahead as the kernels do.
class ReadMeter {
 public:
  ReadMeter();
  ~ReadMeter();
  ReadMeter(const ReadMeter&) = delete;
  ReadMeter& operator=(const ReadMeter&) = delete;
  double bytes_per_second(int threads, int rounds = 7) const;

 private:
  void* memory_;
};

// Figures of all threads are never below those of one: where others hold the cores, one thread's is the better
// bound.
struct Peak {
  std::string isa, name, instructions;
  double one = 0, all = 0;  // operations per second on one thread, and on all
};

struct Machine {
  int threads = 0;
  double read_one = 0, read_all = 0;  // bytes per second
  std::vector<Peak> peaks;

  // The peak that bounds a linear kernel: f32, f16 and bf16 weights are widened to f32 multiply-adds, int8 and the
  // int4 formats use the integer mix of that width. scaled: with the work of a scale per group; the same as without
  // for the float formats. RETURNS: operations per second on `threads` threads; 0 when this build has no such mix
  // (scalar, NEON).
  double linear_peak(std::string_view isa, WeightFormat format, bool scaled) const;
  double fma_peak(std::string_view isa) const;
};

// isa: peaks of that kernel table alone; "" for all that this CPU can run.
Machine measure_machine(int threads, std::string_view isa = "");
void print(const Machine& machine);  // to stdout

// "cpu avx2, 2 threads" -> "avx2": the kernel table behind a Backend's description.
std::string isa_of(std::string_view description);

// Every weight format that this build knows, widest first.
std::vector<WeightFormat> all_weight_formats();
bool is_float(WeightFormat format);

}  // namespace weir::bench
