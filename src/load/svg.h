// svg: line plots as SVG text, for a page that needs no script. Pure, any thread.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::load {

struct PlotLine {
  std::string name;
  std::vector<std::pair<double, double>> points;  // ascending x; those that are not finite are left out
  bool steps = false;                             // holds a value until the next one
};

struct Plot {
  std::string title, x_label, y_label;
  std::vector<PlotLine> lines;  // at most 6 colours, then again
  bool log_x = false;           // powers of ten; points at x <= 0 stand at the left edge
};

// An <svg> element of 720 x 300 units that scales with the page. Text is escaped. A plot without points says so.
std::string svg_plot(const Plot& plot);

std::string html_escaped(std::string_view text);  // & < > " '; bytes outside ASCII become '?'

// Round numbers that divide [0, top] into about five parts; the last is >= top. RETURNS: {0, 1} for a top of 0.
std::vector<double> axis_ticks(double top);

}  // namespace weir::load
