#include "load/lengths.h"

#include <algorithm>
#include <cmath>

#include "load/spec_text.h"

namespace weir::load {
namespace {

constexpr double kNormalP90 = 1.2815515655446004;  // the standard normal's 0.9 quantile

Status bad_form(std::string_view text) {
  return invalid_argument("'" + std::string(text.substr(0, 60)) +
                          "' is no length; write fixed:N, uniform:A,B, lognormal:MEDIAN,P90 or zipf:MAX,EXPONENT");
}

std::shared_ptr<const std::vector<double>> zipf_table(size_t count, double exponent) {
  auto table = std::make_shared<std::vector<double>>(count);
  double sum = 0;
  for (size_t k = 0; k < count; ++k) (*table)[k] = sum += std::pow(static_cast<double>(k + 1), -exponent);
  for (double& weight : *table) weight /= sum;
  return table;
}

}  // namespace

Status LengthSpec::take(std::string_view name, const std::vector<std::string_view>& numbers) {
  const size_t wanted = name == "fixed" ? 1 : 2;
  if (numbers.size() != wanted) return bad_form(text_);
  const bool is_zipf = name == "zipf";
  WEIR_ASSIGN_OR_RETURN(const int64_t first, parse_whole(numbers[0], 1, kLengthMax));
  one_ = other_ = static_cast<double>(first);
  if (is_zipf) {
    WEIR_ASSIGN_OR_RETURN(const double exponent, parse_number(numbers[1], 0, 10));
    kind_ = Kind::kZipf;
    cumulative_ = zipf_table(static_cast<size_t>(first), exponent);
    return ok_status();
  }
  if (wanted == 1) return ok_status();
  WEIR_ASSIGN_OR_RETURN(const int64_t second, parse_whole(numbers[1], 1, kLengthMax));
  if (second < first) return invalid_argument("'" + text_ + "': the second number is below the first");
  other_ = static_cast<double>(second);
  kind_ = name == "uniform" ? Kind::kUniform : Kind::kLognormal;
  if (kind_ == Kind::kLognormal) {
    other_ = std::log(other_ / one_) / kNormalP90;
    one_ = std::log(one_);
  }
  return ok_status();
}

Result<LengthSpec> LengthSpec::parse(std::string_view text) {
  NamedSpec spec = named_spec(text, ',');
  if (spec.numbers.empty()) spec = {"fixed", {text}};
  LengthSpec length;
  length.text_ = std::string(text.substr(0, 60));
  for (const char* name : {"fixed", "uniform", "lognormal", "zipf"}) {
    if (spec.name != name) continue;
    const Status status = length.take(spec.name, spec.numbers);
    if (!status.ok()) return status;
    return length;
  }
  return bad_form(text);
}

int64_t LengthSpec::draw(Random* random) const {
  switch (kind_) {
    case Kind::kFixed:
      break;
    case Kind::kUniform:
      return static_cast<int64_t>(one_) +
             static_cast<int64_t>(random->below(static_cast<uint64_t>(other_ - one_) + 1));
    case Kind::kLognormal: {
      const double drawn = std::exp(one_ + other_ * random->normal());
      return static_cast<int64_t>(std::llround(std::clamp(drawn, 1.0, static_cast<double>(kLengthMax))));
    }
    case Kind::kZipf: {
      const auto place = std::lower_bound(cumulative_->begin(), cumulative_->end() - 1, random->unit());
      return place - cumulative_->begin() + 1;
    }
  }
  return static_cast<int64_t>(one_);
}

}  // namespace weir::load
