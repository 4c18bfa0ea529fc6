// The page of report.h: the table, and plots as inline SVG.
#include "load/report.h"
#include "load/svg.h"

namespace weir::load {
namespace {

constexpr size_t kCurvePointsMax = 300;

PlotLine curve(const char* name, const Histogram& histogram) {
  PlotLine line{.name = name, .steps = true};
  const std::vector<Histogram::Point> points = histogram.cumulative();
  if (points.empty()) return line;
  const auto x_of = [](const Histogram::Point& point) { return static_cast<double>(point.value) / 1000; };
  line.points.emplace_back(x_of(points[0]), 0);
  const size_t stride = points.size() / kCurvePointsMax + 1;
  for (size_t i = 0; i < points.size(); i += stride) line.points.emplace_back(x_of(points[i]), points[i].fraction);
  line.points.emplace_back(x_of(points.back()), 1);
  return line;
}

Plot latency_plot(const Report& report) {
  const Meter& meter = report.result.meter;
  Plot plot{.title = "Latency", .x_label = "milliseconds", .y_label = "fraction at most so long", .log_x = true};
  const std::pair<const char*, const Histogram*> lines[] = {{"first token", &meter.ttft},
                                                            {"per token", &meter.tpot},
                                                            {"between tokens", &meter.gap},
                                                            {"end to end", &meter.whole},
                                                            {"refusal", &meter.refusal}};
  for (const auto& [name, histogram] : lines) {
    if (histogram->count() > 0) plot.lines.push_back(curve(name, *histogram));
  }
  return plot;
}

// One value per bin, as a rate per second.
template <class Value>
PlotLine rate_line(const char* name, const Series& series, Value value) {
  PlotLine line{.name = name, .steps = true};
  const double bin_s = static_cast<double>(series.bin_us()) / 1e6;
  for (size_t i = 0; i < series.bins().size(); ++i) {
    line.points.emplace_back(static_cast<double>(i) * bin_s, static_cast<double>(value(series.bins()[i])) / bin_s);
  }
  return line;
}

std::string plots(const Report& report) {
  using Bin = Series::Bin;
  const Series& series = report.result.meter.series;
  const char* seconds = "seconds since the start";
  Plot requests{.title = "Requests", .x_label = seconds, .y_label = "per second"};
  requests.lines.push_back(rate_line("sent", series, [](const Bin& bin) { return bin.started; }));
  requests.lines.push_back(rate_line("completed", series, [](const Bin& bin) { return bin.completed; }));
  Plot tokens{.title = "Output tokens", .x_label = seconds, .y_label = "events with text per second"};
  tokens.lines.push_back(rate_line("tokens", series, [](const Bin& bin) { return bin.tokens; }));
  Plot in_flight{.title = "In flight", .x_label = seconds, .y_label = "requests"};
  PlotLine levels{.name = "in flight", .steps = true};
  const std::vector<int64_t> counts = series.in_flight();
  for (size_t i = 0; i < counts.size(); ++i) {
    levels.points.emplace_back(static_cast<double>(i) * static_cast<double>(series.bin_us()) / 1e6,
                               static_cast<double>(counts[i]));
  }
  in_flight.lines.push_back(std::move(levels));
  Plot refusals{.title = "Refusals and errors", .x_label = seconds, .y_label = "per second"};
  refusals.lines.push_back(rate_line("refused", series, [](const Bin& bin) { return bin.refused; }));
  refusals.lines.push_back(rate_line("failed", series, [](const Bin& bin) { return bin.failed; }));
  std::string out;
  for (const Plot& plot : {latency_plot(report), requests, tokens, in_flight, refusals}) {
    out += "<figure>\n" + svg_plot(plot) + "</figure>\n";
  }
  return out;
}

}  // namespace

std::string report_html(const Report& report) {
  std::string page =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>weir bench</title>\n<style>\n"
      "body{font:15px/1.5 sans-serif;color:#24292f;max-width:60rem;margin:2rem auto;padding:0 1rem}\n"
      "pre{background:#f6f8fa;padding:1rem;overflow-x:auto;font-size:12px}\n"
      "figure{margin:1.5rem 0}\nsvg{width:100%;height:auto}\n</style>\n</head>\n<body>\n<h1>weir bench</h1>\n";
  page += "<pre>" + html_escaped(report_text(report)) + "</pre>\n" + plots(report);
  page +=
      "<p>Latencies count from the intended arrival. Percentiles lie at most 0.2 % above the true ones. Aborted "
      "and slow "
      "readers are not among the completed.</p>\n";
  return page + "</body>\n</html>\n";
}

}  // namespace weir::load
