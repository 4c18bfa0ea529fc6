// A measured profile: the file, and the fit.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "config/toml_file.h"
#include "config/values.h"
#include "sim/profile.h"

namespace weir::sim {
namespace {

constexpr size_t kPointsMax = 4096, kKnotsMax = 64;

// Beside the curve, each linear.
struct Slopes {
  double sample_us = 0, attended_us = 0, context_us = 0;
};
constexpr size_t kSlopes = 3;

class Measured final : public StepProfile {
 public:
  Measured(std::vector<int64_t> knots, std::vector<double> us, Slopes slopes, std::string text, int64_t kv_tokens)
      : knots_(std::move(knots)),
        us_(std::move(us)),
        slopes_(slopes),
        text_(std::move(text)),
        kv_tokens_(kv_tokens) {}

  Micros step_us(const StepShape& shape) const override {
    const double us = curve(shape.tokens) + slopes_.sample_us * static_cast<double>(shape.samples) +
                      slopes_.attended_us * static_cast<double>(shape.attended_tokens) +
                      slopes_.context_us * static_cast<double>(shape.context_tokens);
    return std::max<Micros>(1, static_cast<Micros>(us + 0.5));
  }
  std::string description() const override { return text_; }
  int64_t kv_tokens() const override { return kv_tokens_; }

  // Beyond the last knot it goes on as between the last two.
  double curve(int64_t tokens) const {
    if (knots_.size() == 1) return us_[0] * static_cast<double>(tokens) / static_cast<double>(knots_[0]);
    const auto above = std::upper_bound(knots_.begin() + 1, knots_.end() - 1, tokens);
    const auto i = static_cast<size_t>(above - knots_.begin());
    const double share =
        static_cast<double>(tokens - knots_[i - 1]) / static_cast<double>(knots_[i] - knots_[i - 1]);
    return std::max(0.0, us_[i - 1] + share * (us_[i] - us_[i - 1]));
  }

 private:
  const std::vector<int64_t> knots_;
  const std::vector<double> us_;
  const Slopes slopes_;
  const std::string text_;
  const int64_t kv_tokens_;
};

// Solves the normal equations a x = b by Cholesky; a little of the diagonal is added, so that what no point tells
// apart stays small instead of unbounded. a: [n, n] symmetric, row-major, overwritten.
std::vector<double> solve(std::vector<double>* a, std::vector<double> b) {
  const size_t n = b.size();
  const auto at = [&](size_t i, size_t j) -> double& { return (*a)[i * n + j]; };
  for (size_t i = 0; i < n; ++i) at(i, i) = at(i, i) * (1 + 1e-9) + 1e-12;
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j <= i; ++j) {
      double sum = at(i, j);
      for (size_t k = 0; k < j; ++k) sum -= at(i, k) * at(j, k);
      at(i, j) = i == j ? std::sqrt(std::max(sum, 1e-12)) : sum / at(j, j);
    }
  }
  for (size_t i = 0; i < n; ++i) {
    for (size_t k = 0; k < i; ++k) b[i] -= at(i, k) * b[k];
    b[i] /= at(i, i);
  }
  for (size_t i = n; i-- > 0;) {
    for (size_t k = i + 1; k < n; ++k) b[i] -= at(k, i) * b[k];
    b[i] /= at(i, i);
  }
  return b;
}

// One point's row: hat functions of the knots, then samples, then attended and context tokens in thousands (for the
// scale).
std::vector<double> row_of(const StepShape& shape, const std::vector<int64_t>& knots) {
  std::vector<double> row(knots.size() + kSlopes);
  row[static_cast<size_t>(std::lower_bound(knots.begin(), knots.end(), shape.tokens) - knots.begin())] = 1;
  row[knots.size()] = static_cast<double>(shape.samples);
  row[knots.size() + 1] = static_cast<double>(shape.attended_tokens) / 1000;
  row[knots.size() + 2] = static_cast<double>(shape.context_tokens) / 1000;
  return row;
}

Result<MeasuredPoint> parse_point(const std::string& text) {
  const std::vector<std::string> words = split_words(text, " \t");
  MeasuredPoint point;
  if (words.size() != 5) {
    return invalid_argument("'" + text.substr(0, 60) + "': write five numbers: tokens samples attended context us");
  }
  StepShape& shape = point.shape;
  int64_t* const numbers[] = {&shape.tokens, &shape.samples, &shape.attended_tokens, &shape.context_tokens};
  for (size_t i = 0; i < 4; ++i) {
    WEIR_ASSIGN_OR_RETURN(*numbers[i], parse_integer(words[i], i == 0 ? 1 : 0, int64_t{1} << 40));
  }
  const auto end = std::from_chars(words[4].data(), words[4].data() + words[4].size(), point.us);
  if (end.ec != std::errc() || *end.ptr != 0 || !(point.us > 0 && point.us < 1e10)) {
    return invalid_argument("'" + words[4].substr(0, 40) + "' is no time in microseconds above 0");
  }
  return point;
}

}  // namespace

Result<std::unique_ptr<StepProfile>> fit_profile(const std::vector<MeasuredPoint>& points, std::string description,
                                                 int64_t kv_tokens) {
  std::vector<int64_t> knots;
  for (const MeasuredPoint& point : points) knots.push_back(point.shape.tokens);
  std::sort(knots.begin(), knots.end());
  knots.erase(std::unique(knots.begin(), knots.end()), knots.end());
  if (knots.size() < 2 || knots.size() > kKnotsMax || points.size() > kPointsMax) {
    return invalid_argument(fmt::format(
        "a profile needs 2 to {} different numbers of tokens in at most {} points; this one has {} in {}",
        kKnotsMax, kPointsMax, knots.size(), points.size()));
  }
  const size_t n = knots.size() + kSlopes;
  // What comes out negative is no cost: it is left out and the rest is fitted again.
  std::vector<double> x;
  std::vector<bool> left_out(n, false);
  for (size_t round = 0; round <= kSlopes; ++round) {
    std::vector<double> a(n * n), b(n);
    for (const MeasuredPoint& point : points) {
      const std::vector<double> row = row_of(point.shape, knots);
      const double weight = 1 / (point.us * point.us);
      for (size_t i = 0; i < n; ++i) {
        if (left_out[i] || row[i] == 0) continue;
        b[i] += weight * row[i] * point.us;
        for (size_t j = 0; j < n; ++j) a[i * n + j] += left_out[j] ? 0 : weight * row[i] * row[j];
      }
    }
    x = solve(&a, b);
    bool again = false;
    for (size_t i = knots.size(); i < n; ++i) {
      if (x[i] >= 0) continue;
      left_out[i] = again = true;
    }
    if (!again) break;
  }
  for (size_t i = 0; i < n; ++i) x[i] = left_out[i] ? 0 : std::max(0.0, x[i]);
  std::vector<double> curve(x.begin(), x.begin() + static_cast<ptrdiff_t>(knots.size()));
  for (size_t i = 1; i < curve.size(); ++i)
    curve[i] = std::max(curve[i], curve[i - 1]);  // more tokens never cost less
  std::vector<double> errors;
  const Slopes slopes{x[n - 3], x[n - 2] / 1000, x[n - 1] / 1000};
  const Measured fitted(knots, curve, slopes, "", kv_tokens);
  for (const MeasuredPoint& point : points) {
    const double us = static_cast<double>(fitted.step_us(point.shape));
    errors.push_back(std::abs(us / point.us - 1));
  }
  std::sort(errors.begin(), errors.end());
  description += fmt::format(" ({} points, error of the fit {:.1f}% at the median, {:.1f}% at most)", points.size(),
                             100 * errors[errors.size() / 2], 100 * errors.back());
  return std::unique_ptr<StepProfile>(
      std::make_unique<Measured>(knots, curve, slopes, std::move(description), kv_tokens));
}

Result<std::unique_ptr<StepProfile>> read_profile(const std::string& path) {
  WEIR_ASSIGN_OR_RETURN(const NamedTexts file,
                        read_settings_file(path, {"machine", "model", "date", "kv-tokens", "points"}));
  const auto found = file.find("points");
  if (found == file.end())
    return invalid_argument(path + ": points is missing; bench_step_profile writes such a file");
  std::vector<MeasuredPoint> points;
  for (const std::string& text : found->second) {
    Result<MeasuredPoint> point = parse_point(text);
    if (!point.ok()) return point.status().with_prefix(fmt::format("{}: point {}", path, points.size() + 1));
    points.push_back(*point);
  }
  int64_t kv_tokens = 0;
  if (const auto given = file.find("kv-tokens"); given != file.end()) {
    Result<int64_t> parsed = parse_integer(given->second[0], 1, int64_t{1} << 40);
    if (!parsed.ok()) return parsed.status().with_prefix(path + ": kv-tokens");
    kv_tokens = *parsed;
  }
  const auto text = [&](const char* name) {
    const auto given = file.find(name);
    return given == file.end() ? std::string("?") : given->second[0].substr(0, 120);
  };
  Result<std::unique_ptr<StepProfile>> profile =
      fit_profile(points, "measured: " + text("model") + " on " + text("machine"), kv_tokens);
  if (!profile.ok()) return profile.status().with_prefix(path);
  return profile;
}

}  // namespace weir::sim
