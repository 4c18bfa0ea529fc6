// Azure's CSV: a header line that names the columns, in any order, and one request a line.
#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>

#include "sim/trace_lines.h"

namespace weir::sim {
namespace {

constexpr std::array<const char*, 3> kColumns = {"TIMESTAMP", "ContextTokens", "GeneratedTokens"};

std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells;
  for (size_t begin = 0; begin <= line.size();) {
    const size_t end = std::min(line.find(',', begin), line.size());
    cells.push_back(line.substr(begin, end - begin));
    begin = end + 1;
  }
  return cells;
}

bool parse_number(std::string_view text, int64_t* value) {
  const auto end = std::from_chars(text.data(), text.data() + text.size(), *value);
  return end.ec == std::errc() && end.ptr == text.data() + text.size();
}

// Days since 1970-01-01 (Hinnant, "chrono-compatible low-level date algorithms").
int64_t days_from_civil(int64_t year, int64_t month, int64_t day) {
  year -= month <= 2;
  const int64_t era = (year >= 0 ? year : year - 399) / 400;
  const int64_t of_era = year - era * 400;
  const int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

// "2023-11-16 18:17:03.9799600", or seconds as a plain number. RETURNS: false when it is neither.
bool parse_time(const std::string& text, int64_t* micros) {
  double seconds = 0;
  const auto plain = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (plain.ec == std::errc() && plain.ptr == text.data() + text.size()) {
    if (!(seconds > -1e12 && seconds < 1e12)) return false;
    *micros = static_cast<int64_t>(seconds * 1e6);
    return true;
  }
  if (text.size() < 19 || text[4] != '-' || text[7] != '-' || (text[10] != ' ' && text[10] != 'T') ||
      text[13] != ':' || text[16] != ':') {
    return false;
  }
  int64_t parts[6] = {};
  const std::array<std::pair<size_t, size_t>, 6> places = {{{0, 4}, {5, 2}, {8, 2}, {11, 2}, {14, 2}, {17, 2}}};
  for (size_t i = 0; i < places.size(); ++i) {
    if (!parse_number(std::string_view(text).substr(places[i].first, places[i].second), &parts[i])) return false;
  }
  if (parts[1] < 1 || parts[1] > 12 || parts[2] < 1 || parts[2] > 31 || parts[3] > 23 || parts[4] > 59 ||
      parts[5] > 60) {
    return false;
  }
  double fraction = 0;
  if (text.size() > 19) {
    const std::string rest = "0" + text.substr(19);
    const auto end = std::from_chars(rest.data(), rest.data() + rest.size(), fraction);
    if (text[19] != '.' || end.ec != std::errc() || end.ptr != rest.data() + rest.size()) return false;
  }
  const int64_t seconds_of_day = (parts[3] * 60 + parts[4]) * 60 + parts[5];
  *micros = (days_from_civil(parts[0], parts[1], parts[2]) * 86400 + seconds_of_day) * 1'000'000 +
            static_cast<int64_t>(fraction * 1e6 + 0.5);
  return true;
}

}  // namespace

Result<Load> parse_azure(std::istream* text, const std::string& where, const TraceOptions& options) {
  TraceLines lines(text, where);
  std::string line;
  if (!lines.next(&line)) return lines.status().ok() ? lines.empty() : lines.status();
  if (line.rfind("\xEF\xBB\xBF", 0) == 0) line.erase(0, 3);
  const std::vector<std::string> header = cells_of(line);
  std::array<size_t, 3> column{};
  for (size_t i = 0; i < kColumns.size(); ++i) {
    column[i] = static_cast<size_t>(std::find(header.begin(), header.end(), kColumns[i]) - header.begin());
    if (column[i] == header.size()) {
      return lines.error(
          fmt::format("the column {} is missing; an Azure trace begins with "
                      "TIMESTAMP,ContextTokens,GeneratedTokens",
                      kColumns[i]));
    }
  }
  Load load;
  int64_t first_us = 0, previous_us = 0;
  while (lines.next(&line)) {
    if (options.requests_max > 0 && static_cast<int64_t>(load.requests.size()) >= options.requests_max) break;
    const std::vector<std::string> cells = cells_of(line);
    if (cells.size() != header.size()) {
      return lines.error(fmt::format("{} columns where the header has {}", cells.size(), header.size()));
    }
    int64_t time_us = 0, prompt = 0, output = 0;
    if (!parse_time(cells[column[0]], &time_us)) {
      return lines.error("'" + cells[column[0]].substr(0, 40) +
                         "' is no time; write 2023-11-16 18:17:03.9799600 or seconds");
    }
    for (const auto& [index, value] : {std::pair{column[1], &prompt}, std::pair{column[2], &output}}) {
      if (!parse_number(cells[index], value)) {
        return lines.error("'" + cells[index].substr(0, 40) + "' is no number of tokens");
      }
    }
    if (load.requests.empty()) first_us = time_us;
    const int64_t since_first = time_us - first_us;
    if (since_first < 0) {
      return lines.error(
          fmt::format("the time goes back by {} us; sort the trace by time", previous_us - since_first));
    }
    WEIR_RETURN_IF_ERROR(append_request(lines, options, since_first, prompt, output, &previous_us, &load));
  }
  if (!lines.status().ok()) return lines.status();
  if (load.requests.empty()) return lines.empty();
  return load;
}

Result<Load> read_trace(const std::string& path, const TraceOptions& options) {
  std::ifstream file(path, std::ios::binary);
  if (!file || file.peek() == std::ifstream::traits_type::eof()) {
    if (!file.is_open()) return not_found(path + ": cannot be opened; give an Azure CSV or a Mooncake JSONL file");
    return invalid_argument(path + ": the trace is empty, or it is a directory");
  }
  return file.peek() == '{' ? parse_mooncake(&file, path, options) : parse_azure(&file, path, options);
}

}  // namespace weir::sim
