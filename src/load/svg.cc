#include "load/svg.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace weir::load {
namespace {

constexpr double kWidth = 720, kHeight = 300, kLeft = 64, kRight = 28, kTop = 46, kBottom = 46;
constexpr const char* kColours[] = {"#1f6feb", "#d1242f", "#1a7f37", "#bc4c00", "#8250df", "#57606a"};

std::string fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string tick_text(double value) {
  char text[64];
  std::snprintf(text, sizeof text, std::abs(value) >= 1e5 ? "%.3g" : "%.6g", value);
  return text;
}

struct Range {
  double x_min = 0, x_max = 0, y_max = 0;
  bool any = false;
};

bool is_plottable(const std::pair<double, double>& point) {
  return std::isfinite(point.first) && std::isfinite(point.second);
}

Range range_of(const Plot& plot) {
  Range range;
  double least_positive = INFINITY;
  for (const PlotLine& line : plot.lines) {
    for (const auto& point : line.points) {
      if (!is_plottable(point)) continue;
      range.any = true;
      range.x_max = std::max(range.x_max, point.first);
      range.y_max = std::max(range.y_max, point.second);
      if (point.first > 0) least_positive = std::min(least_positive, point.first);
    }
  }
  if (plot.log_x) {
    if (!std::isfinite(least_positive)) least_positive = 1;
    range.x_min = std::pow(10, std::floor(std::log10(least_positive)));
    range.x_max = std::pow(10, std::ceil(std::log10(std::max(range.x_max, least_positive * 1.0001))));
  } else if (range.x_max == 0) {
    range.x_max = 1;
  }
  return range;
}

// Values -> places on the page.
class Scale {
 public:
  Scale(const Range& range, double y_top, bool log_x) : range_(range), y_top_(y_top), log_x_(log_x) {}

  double x(double value) const {
    double part = value / range_.x_max;
    if (log_x_) {
      part = std::log10(std::max(value, range_.x_min) / range_.x_min) / std::log10(range_.x_max / range_.x_min);
    }
    return kLeft + std::clamp(part, 0.0, 1.0) * (kWidth - kLeft - kRight);
  }
  double y(double value) const {
    return kHeight - kBottom - std::clamp(value / y_top_, 0.0, 1.0) * (kHeight - kTop - kBottom);
  }

 private:
  const Range range_;
  const double y_top_;
  const bool log_x_;
};

std::string text_at(double x, double y, const char* anchor, std::string_view text) {
  return "<text x=\"" + fixed(x, 1) + "\" y=\"" + fixed(y, 1) + "\" text-anchor=\"" + anchor + "\">" +
         html_escaped(text) + "</text>\n";
}

std::string rule(double x1, double y1, double x2, double y2) {
  return "<line x1=\"" + fixed(x1, 1) + "\" y1=\"" + fixed(y1, 1) + "\" x2=\"" + fixed(x2, 1) + "\" y2=\"" +
         fixed(y2, 1) + "\" stroke=\"#d0d7de\"/>\n";
}

std::string axes(const Plot& plot, const Range& range, const std::vector<double>& y_ticks, const Scale& scale) {
  std::string out;
  const double floor = kHeight - kBottom;
  for (const double tick : y_ticks) {
    out += rule(kLeft, scale.y(tick), kWidth - kRight, scale.y(tick));
    out += text_at(kLeft - 6, scale.y(tick) + 4, "end", tick_text(tick));
  }
  std::vector<double> x_ticks;
  if (plot.log_x) {
    for (double at = range.x_min; at <= range.x_max * 1.001; at *= 10) x_ticks.push_back(at);
  } else {
    x_ticks = axis_ticks(range.x_max);
    while (x_ticks.size() > 1 && x_ticks.back() > range.x_max) x_ticks.pop_back();
  }
  for (const double tick : x_ticks) {
    out += rule(scale.x(tick), floor, scale.x(tick), floor + 4);
    out += text_at(scale.x(tick), floor + 17, "middle", tick_text(tick));
  }
  return out + text_at((kLeft + kWidth - kRight) / 2, kHeight - 8, "middle", plot.x_label);
}

std::string polyline(const PlotLine& line, const char* colour, const Scale& scale) {
  std::string points;
  double last_y = 0;
  bool first = true;
  for (const auto& point : line.points) {
    if (!is_plottable(point)) continue;
    const double x = scale.x(point.first), y = scale.y(point.second);
    if (line.steps && !first) points += fixed(x, 1) + "," + fixed(last_y, 1) + " ";
    points += fixed(x, 1) + "," + fixed(y, 1) + " ";
    last_y = y;
    first = false;
  }
  if (points.empty()) return "";
  points.pop_back();
  return std::string("<polyline fill=\"none\" stroke-width=\"1.6\" stroke=\"") + colour + "\" points=\"" + points +
         "\"/>\n";
}

std::string legend(const Plot& plot) {
  std::string out;
  double x = kWidth - kRight;
  for (size_t i = plot.lines.size(); i-- > 0;) {
    out += text_at(x, 33, "end", plot.lines[i].name);
    x -= 7.0 * static_cast<double>(plot.lines[i].name.size()) + 8;
    out += "<rect x=\"" + fixed(x - 10, 1) + "\" y=\"24\" width=\"10\" height=\"10\" fill=\"" +
           kColours[i % std::size(kColours)] + "\"/>\n";
    x -= 22;
  }
  return out;
}

}  // namespace

std::string html_escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += (c < ' ' && c != '\n') || c > '~' ? '?' : c;
    }
  }
  return out;
}

std::vector<double> axis_ticks(double top) {
  if (!(top > 0) || !std::isfinite(top)) return {0, 1};
  const double raw = top / 5, power = std::pow(10, std::floor(std::log10(raw)));
  const double lead = raw / power;
  const double step = power * (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 5 ? 5 : 10);
  std::vector<double> ticks;
  for (int i = 0; i <= 12; ++i) {
    ticks.push_back(i * step);
    if (ticks.back() >= top * (1 - 1e-9)) break;
  }
  return ticks;
}

std::string svg_plot(const Plot& plot) {
  std::string out = "<svg viewBox=\"0 0 " + fixed(kWidth, 0) + " " + fixed(kHeight, 0) +
                    "\" role=\"img\" font-size=\"12\" font-family=\"sans-serif\" fill=\"#24292f\">\n";
  out += "<title>" + html_escaped(plot.title) + "</title>\n";
  out += text_at(kLeft, 16, "start", plot.title + (plot.y_label.empty() ? "" : " (" + plot.y_label + ")"));
  const Range range = range_of(plot);
  if (!range.any) return out + text_at(kWidth / 2, kHeight / 2, "middle", "nothing to show") + "</svg>\n";
  const std::vector<double> y_ticks = axis_ticks(range.y_max);
  const Scale scale(range, y_ticks.back(), plot.log_x);
  out += axes(plot, range, y_ticks, scale) + legend(plot);
  for (size_t i = 0; i < plot.lines.size(); ++i) {
    out += polyline(plot.lines[i], kColours[i % std::size(kColours)], scale);
  }
  return out + "</svg>\n";
}

}  // namespace weir::load
