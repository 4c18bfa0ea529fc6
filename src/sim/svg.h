// Svg: a run as a picture: who waits and runs, how full the KV pool is, and the time to first token, over time.
//
// Pure; the text is self-contained SVG without scripts. Points are thinned to what a screen can show.
#pragma once

#include <string>

#include "sim/outcome.h"
#include "sim/report.h"

namespace weir::sim {

std::string plot_svg(const Outcome& outcome, const ReportContext& context);

}  // namespace weir::sim
