#include "cli/progress.h"

#include <algorithm>
#include <cmath>

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
    std::fprintf(out_, "\r\033[K%s %3d %%  %s", bar(percent).c_str(), percent, text.substr(0, 60).c_str());
    line_open_ = true;
  } else {
    if (last_percent_ >= 0 && percent / 10 == last_percent_ / 10 && text == last_text_) return;
    std::fprintf(out_, "loading: %3d %%  %s\n", percent, text.c_str());
  }
  std::fflush(out_);
  last_percent_ = percent;
  last_text_ = text;
  last_us_ = now_us;
}

void ProgressLine::done() {
  if (!line_open_) return;
  std::fputs("\r\033[K", out_);
  std::fflush(out_);
  line_open_ = false;
}

}  // namespace weir
