#include "load/arrivals.h"

#include <cmath>

#include "load/spec_text.h"

namespace weir::load {

Result<ArrivalSpec> ArrivalSpec::parse(std::string_view text) {
  ArrivalSpec arrivals;
  arrivals.text = std::string(text.substr(0, 60));
  const NamedSpec spec = named_spec(text, '/');
  if (spec.numbers.empty() && (spec.name == "constant" || spec.name == "poisson")) {
    arrivals.kind = spec.name == "constant" ? Kind::kConstant : Kind::kPoisson;
    return arrivals;
  }
  if (spec.name == "gamma" && spec.numbers.size() == 1) {
    arrivals.kind = Kind::kGamma;
    WEIR_ASSIGN_OR_RETURN(arrivals.shape, parse_number(spec.numbers[0], 0.01, 1000));
    return arrivals;
  }
  if (spec.name == "burst" && spec.numbers.size() == 2) {
    arrivals.kind = Kind::kBurst;
    WEIR_ASSIGN_OR_RETURN(const Micros on_us, parse_span(spec.numbers[0]));
    WEIR_ASSIGN_OR_RETURN(const Micros off_us, parse_span(spec.numbers[1]));
    if (on_us < 1000) return invalid_argument("burst: ON must be at least 1ms");
    arrivals.on_s = static_cast<double>(on_us) / 1e6;
    arrivals.off_s = static_cast<double>(off_us) / 1e6;
    return arrivals;
  }
  return invalid_argument(
      "'" + arrivals.text +
      "' is no arrival process; write constant, poisson, gamma:SHAPE or burst:ON/OFF (burst:2s/8s)");
}

ArrivalSchedule::ArrivalSchedule(const ArrivalSpec& spec, double rate_per_s, uint64_t seed)
    : spec_(spec),
      rate_per_s_(spec.kind == ArrivalSpec::Kind::kBurst ? rate_per_s * (spec.on_s + spec.off_s) / spec.on_s
                                                         : rate_per_s),
      random_(seed, Purpose::kArrivals) {}

double ArrivalSchedule::gap() {
  const double mean_one =
      spec_.kind == ArrivalSpec::Kind::kGamma ? random_.gamma(spec_.shape) / spec_.shape : random_.exponential();
  return mean_one / rate_per_s_;
}

Micros ArrivalSchedule::next_us() {
  if (spec_.kind == ArrivalSpec::Kind::kConstant) {
    at_s_ = static_cast<double>(count_++) / rate_per_s_;
  } else {
    at_s_ += gap();
  }
  double at_s = at_s_;
  if (spec_.kind == ArrivalSpec::Kind::kBurst) at_s += std::floor(at_s_ / spec_.on_s) * spec_.off_s;
  return static_cast<Micros>(std::min(at_s, 1e12) * 1e6);
}

}  // namespace weir::load
