#include "sim/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace weir::sim {
namespace {

constexpr double kWidth = 960, kLeft = 76, kRight = 24, kTop = 64, kPanel = 150, kGap = 46;
constexpr double kPlotWidth = kWidth - kLeft - kRight;
constexpr double kStretches = 800;

struct Point {
  double x, y;  // seconds, value
};
struct Line {
  std::string name, colour;
  std::vector<Point> points;
  bool dots = false;
};
struct Panel {
  std::string title;
  std::vector<Line> lines;
  double most = 0;  // of y; 0: from the points
};

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '&')
      out += "&amp;";
    else
      out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out;
}

// 1, 2 or 5 times a power of ten, so that about `steps` of them make `span`.
double round_step(double span, int steps) {
  const double rough = std::max(span, 1e-9) / steps, power = std::pow(10, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (rough <= factor * power * 1.0001) return factor * power;
  }
  return 10 * power;
}

// The highest of each stretch of time and the last, so that neither a peak nor its end is lost.
std::vector<Point> thinned(const std::vector<Point>& points, double seconds) {
  if (points.size() <= 2 * kStretches) return points;
  std::vector<Point> out;
  const auto stretch_of = [&](const Point& point) { return static_cast<int64_t>(point.x / seconds * kStretches); };
  for (size_t begin = 0, end = 0; begin < points.size(); begin = end) {
    size_t highest = begin;
    for (end = begin; end < points.size() && stretch_of(points[end]) == stretch_of(points[begin]); ++end) {
      if (points[end].y > points[highest].y) highest = end;
    }
    out.push_back(points[highest]);
    if (highest + 1 < end) out.push_back(points[end - 1]);
  }
  return out;
}

class Plot {
 public:
  explicit Plot(double seconds) : seconds_(std::max(seconds, 1e-6)) {}

  void add(const Panel& panel) {
    const double top = kTop + static_cast<double>(panels_++) * (kPanel + kGap);
    double most = panel.most;
    for (const Line& line : panel.lines) {
      for (const Point& point : line.points) most = std::max(most, point.y);
    }
    const double step = round_step(std::max(most, 1e-6), 4), end = std::ceil(most / step + 1e-9) * step;
    const auto y_of = [&](double value) { return top + kPanel * (1 - value / end); };
    body_ += fmt::format("<text x='{}' y='{:.1f}' class='title'>{}</text>\n", kLeft, top - 8, escaped(panel.title));
    for (double tick = 0; tick <= end * 1.0001; tick += step) {
      body_ += fmt::format("<line x1='{0}' x2='{1}' y1='{2:.1f}' y2='{2:.1f}' class='grid'/>", kLeft,
                           kWidth - kRight, y_of(tick));
      body_ += fmt::format("<text x='{}' y='{:.1f}' class='tick' text-anchor='end'>{:.6g}</text>\n", kLeft - 6,
                           y_of(tick) + 4, tick);
    }
    const double time_step = round_step(seconds_, 8);
    for (double tick = 0; tick <= seconds_ * 1.0001; tick += time_step) {
      body_ += fmt::format("<text x='{:.1f}' y='{:.1f}' class='tick' text-anchor='middle'>{:.6g} s</text>\n",
                           x_of(tick), top + kPanel + 15, tick);
    }
    double legend = kWidth - kRight;
    for (const Line& line : panel.lines) {
      add_line(line, y_of);
      body_ += fmt::format("<text x='{:.1f}' y='{:.1f}' class='tick' text-anchor='end' fill='{}'>{}</text>\n",
                           legend, top - 8, line.colour, escaped(line.name));
      legend -= 8 + 6.6 * static_cast<double>(line.name.size());
    }
  }

  std::string finish(const std::string& title, const std::string& subtitle) const {
    const double height = kTop + static_cast<double>(panels_) * (kPanel + kGap);
    return fmt::format(
               "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {0} {1}' width='{0}' height='{1}'>\n"
               "<style>text{{font-family:sans-serif;font-size:12px}}.title{{font-weight:bold}}.tick{{font-size:"
               "11px}}"
               ".grid{{stroke:#ddd}}</style>\n<rect width='{0}' height='{1}' fill='#fff'/>\n"
               "<text x='{2}' y='20' style='font-size:14px;font-weight:bold'>{3}</text>\n<text x='{2}' y='37' "
               "class='tick' fill='#555'>{4}</text>\n",
               kWidth, height, kLeft, escaped(title), escaped(subtitle)) +
           body_ + "</svg>\n";
  }

 private:
  double x_of(double seconds) const { return kLeft + kPlotWidth * seconds / seconds_; }

  template <class YOf>
  void add_line(const Line& line, const YOf& y_of) {
    const std::vector<Point> points = thinned(line.points, seconds_);
    std::string shape;
    for (const Point& point : points) {
      if (line.dots) {
        shape += fmt::format("M{:.1f} {:.1f}h0", x_of(point.x), y_of(point.y));
      } else {
        // A value holds until the next one.
        shape += shape.empty() ? fmt::format("M{:.1f} {:.1f}", x_of(point.x), y_of(point.y))
                               : fmt::format("H{:.1f}V{:.1f}", x_of(point.x), y_of(point.y));
      }
    }
    if (shape.empty()) return;
    const char* style =
        line.dots ? "stroke-width='3' stroke-linecap='round' stroke-opacity='0.5'" : "stroke-width='1.2'";
    body_ += fmt::format("<path d='{}' fill='none' stroke='{}' {}/>\n", shape, line.colour, style);
  }

  const double seconds_;
  std::string body_;
  int panels_ = 0;
};

std::vector<Point> series(const Outcome& outcome, double (*value)(const LoadSample&)) {
  std::vector<Point> points;
  for (const LoadSample& sample : outcome.samples)
    points.push_back({static_cast<double>(sample.at_us) / 1e6, value(sample)});
  return points;
}

constexpr const char* kColours[] = {"#1f77b4", "#d62728", "#2ca02c", "#9467bd",
                                    "#ff7f0e", "#8c564b", "#e377c2", "#7f7f7f"};

}  // namespace

std::string plot_svg(const Outcome& outcome, const ReportContext& context) {
  Plot plot(static_cast<double>(outcome.simulated_us) / 1e6);
  plot.add({"sequences that wait",
            {{"waiting", kColours[1],
              series(outcome, [](const LoadSample& s) { return static_cast<double>(s.waiting); })}},
            1});
  plot.add({"sequences that run",
            {{"running", kColours[0],
              series(outcome, [](const LoadSample& s) { return static_cast<double>(s.running); })}},
            static_cast<double>(context.shape.running_max)});
  plot.add(
      {"KV blocks",
       {{"pool", kColours[7],
         series(outcome, [](const LoadSample& s) { return static_cast<double>(s.blocks_total); })},
        {"live + cached", kColours[2],
         series(outcome, [](const LoadSample& s) { return static_cast<double>(s.blocks_live + s.blocks_kept); })},
        {"live", kColours[0],
         series(outcome, [](const LoadSample& s) { return static_cast<double>(s.blocks_live); })}},
       1});
  Panel ttft{"time to first token, seconds (by arrival)", {}, 0.001};
  for (size_t i = 0; i < context.shape.classes.size(); ++i) {
    Line line{context.shape.classes[i].name, kColours[i % std::size(kColours)], {}, true};
    for (const SequenceRecord& one : outcome.records) {
      if (one.class_index != static_cast<int32_t>(i) || one.first_token_us < 0) continue;
      line.points.push_back(
          {static_cast<double>(one.arrival_us) / 1e6, static_cast<double>(one.first_token_us) / 1e6});
    }
    std::sort(line.points.begin(), line.points.end(), [](const Point& a, const Point& b) { return a.x < b.x; });
    if (!line.points.empty()) ttft.lines.push_back(std::move(line));
  }
  plot.add(ttft);
  return plot.finish("weir simulate: " + context.load, context.profile + fmt::format(", seed {}", context.seed));
}

}  // namespace weir::sim
