// LengthSpec: how many tokens a prompt or an answer has. A value; drawing is pure but for the Random given, any
// thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "load/random.h"

namespace weir::load {

inline constexpr int64_t kLengthMax = int64_t{1} << 20;  // tokens; what is drawn is cut to [1, kLengthMax]

class LengthSpec {
 public:
  LengthSpec() = default;  // fixed:128

  // fixed:N | uniform:A,B | lognormal:MEDIAN,P90 | zipf:MAX,EXPONENT (length k with a weight of k^-EXPONENT, k up
  // to MAX) | a plain N. ERRORS: kInvalidArgument, with all the forms in it.
  static Result<LengthSpec> parse(std::string_view text);

  int64_t draw(Random* random) const;
  const std::string& text() const { return text_; }  // as it was written

 private:
  enum class Kind { kFixed, kUniform, kLognormal, kZipf };
  Status take(std::string_view name, const std::vector<std::string_view>& numbers);

  Kind kind_ = Kind::kFixed;
  double one_ = 128, other_ = 128;  // N | A, B | ln(median), sigma
  // Zipf: weight of 1..k, ascending to 1. Shared, never written after parse(), because a copy may have 8 MiB.
  std::shared_ptr<const std::vector<double>> cumulative_;
  std::string text_ = "fixed:128";
};

}  // namespace weir::load
