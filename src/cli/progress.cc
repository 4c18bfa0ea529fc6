#include "cli/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/output.h"

namespace weir {
namespace {

constexpr Micros kRedrawUs = 100'000;
constexpr int kBarColumns = 24;

std::string bar(int percent) {
  const int filled = percent * kBarColumns / 100;
  return "[" + std::string(static_cast<size_t>(filled), '#') +
         std::string(static_cast<size_t>(kBarColumns - filled), '.') + "]";
}

}  // namespace

void ProgressLine::show(double fraction, const std::string& text, Micros now_us) {
  if (!std::isfinite(fraction)) return;
  const int percent = static_cast<int>(std::lround(std::clamp(fraction, 0.0, 1.0) * 100));
  if (in_place_) {
    if (line_open_ && percent < 100 && text == last_text_ && now_us - last_us_ < kRedrawUs) return;
    print_text(fd_, fmt::format("\r\033[K{} {:3} %  {}", bar(percent), percent, text.substr(0, 60)));
    line_open_ = true;
  } else {
    if (last_percent_ >= 0 && percent / 10 == last_percent_ / 10 && text == last_text_) return;
    print_text(fd_, fmt::format("loading: {:3} %  {}\n", percent, text));
  }
  last_percent_ = percent;
  last_text_ = text;
  last_us_ = now_us;
}

void ProgressLine::done() {
  if (!line_open_) return;
  print_text(fd_, "\r\033[K");
  line_open_ = false;
}

}  // namespace weir
