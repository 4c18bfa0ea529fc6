#include "load/trace.h"

#include <boost/json.hpp>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <optional>

#include "base/files.h"
#include "base/units.h"
#include "load/lengths.h"
#include "load/spec_text.h"

namespace weir::load {
namespace {

namespace json = boost::json;

constexpr uint64_t kFileBytesMax = 256 * kMiB;
constexpr size_t kRowsMax = 4'000'000;

// The digits [at, at + count) of text as a number.
bool digits(std::string_view text, size_t at, size_t count, int* number) {
  if (text.size() < at + count) return false;
  const auto [end, error] = std::from_chars(text.data() + at, text.data() + at + count, *number);
  return error == std::errc() && end == text.data() + at + count && *number >= 0;
}

// "+01:00", "-0800", "Z" or nothing -> seconds to subtract.
std::optional<int> zone_seconds(std::string_view zone) {
  if (zone.empty() || zone == "Z") return 0;
  int hours = 0, minutes = 0;
  const bool colon = zone.size() == 6 && zone[3] == ':';
  if ((zone[0] != '+' && zone[0] != '-') || (!colon && zone.size() != 5)) return std::nullopt;
  if (!digits(zone, 1, 2, &hours) || !digits(zone, colon ? 4 : 3, 2, &minutes)) return std::nullopt;
  return (zone[0] == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
}

// "2023-11-16 18:17:03.9799600" -> microseconds since 1970.
std::optional<Micros> calendar_us(std::string_view text) {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  if (!digits(text, 0, 4, &year) || !digits(text, 5, 2, &month) || !digits(text, 8, 2, &day) ||
      !digits(text, 11, 2, &hour) || !digits(text, 14, 2, &minute) || !digits(text, 17, 2, &second)) {
    return std::nullopt;
  }
  if (text[4] != '-' || text[7] != '-' || (text[10] != ' ' && text[10] != 'T') || text[13] != ':' ||
      text[16] != ':') {
    return std::nullopt;
  }
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok() || hour > 23 || minute > 59 || second > 60) return std::nullopt;
  std::string_view rest = text.substr(19);
  double fraction = 0;
  if (!rest.empty() && rest[0] == '.') {
    const size_t end = std::min(rest.find_first_not_of("0123456789", 1), rest.size());
    if (end == 1) return std::nullopt;
    std::from_chars(rest.data(), rest.data() + end, fraction);
    rest = rest.substr(end);
  }
  const std::optional<int> zone = zone_seconds(rest);
  if (!zone) return std::nullopt;
  const int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  const int64_t seconds = ((days * 24 + hour) * 60 + minute) * 60 + second - *zone;
  return seconds * 1'000'000 + static_cast<Micros>(std::llround(fraction * 1e6));
}

Result<Micros> time_us(std::string_view text) {
  if (const std::optional<Micros> calendar = calendar_us(text)) return *calendar;
  const Result<double> seconds = parse_number(text, 0, 1e10);
  if (seconds.ok()) return static_cast<Micros>(std::llround(*seconds * 1e6));
  return invalid_argument("'" + std::string(text.substr(0, 40)) +
                          "' is no time; write 2023-11-16 18:17:03.98 or seconds");
}

// Collects rows and holds them to the order of time.
class Builder {
 public:
  explicit Builder(const std::string& name) : name_(name) {}

  Status at_line(size_t line, const std::string& what) const {
    return invalid_argument(name_ + " line " + std::to_string(line) + ": " + what);
  }

  Status add(size_t line, TraceRow row) {
    if (trace_.rows.empty()) start_us_ = row.at_us;
    row.at_us -= start_us_;
    if (!trace_.rows.empty() && row.at_us < trace_.rows.back().at_us) {
      return at_line(line, "its time is before the one of the row above; sort the trace by time");
    }
    if (trace_.rows.size() == kRowsMax) return at_line(line, "more than 4 million rows");
    if (std::max(row.prompt_tokens, row.output_tokens) > kLengthMax) return at_line(line, "a length above 1048576");
    row.prompt_tokens = std::max<int64_t>(row.prompt_tokens, 1);
    row.output_tokens = std::max<int64_t>(row.output_tokens, 1);
    trace_.rows.push_back(row);
    return ok_status();
  }

  std::vector<uint64_t>& blocks() { return trace_.blocks; }

  Result<Trace> finish() {
    if (trace_.rows.empty()) return invalid_argument(name_ + ": the trace holds no requests");
    return std::move(trace_);
  }

 private:
  const std::string& name_;
  Micros start_us_ = 0;
  Trace trace_;
};

struct Columns {
  size_t time = 0, prompt = 0, output = 0;
};

Result<size_t> column(const std::vector<std::string_view>& head, std::string_view one, std::string_view other) {
  for (size_t i = 0; i < head.size(); ++i) {
    const std::string_view name = trimmed(head[i]);
    if (name == one || name == other) return i;
  }
  return invalid_argument("the column " + std::string(one) +
                          " is missing; the head line must name TIMESTAMP, ContextTokens and GeneratedTokens");
}

Result<Columns> read_head(std::string_view line) {
  const std::vector<std::string_view> head = split(line, ',');
  Columns columns;
  WEIR_ASSIGN_OR_RETURN(columns.time, column(head, "TIMESTAMP", "arrived_at"));
  WEIR_ASSIGN_OR_RETURN(columns.prompt, column(head, "ContextTokens", "num_prefill_tokens"));
  WEIR_ASSIGN_OR_RETURN(columns.output, column(head, "GeneratedTokens", "num_decode_tokens"));
  return columns;
}

Result<TraceRow> read_csv_row(std::string_view line, const Columns& columns) {
  const std::vector<std::string_view> cells = split(line, ',');
  if (cells.size() <= std::max({columns.time, columns.prompt, columns.output})) {
    return invalid_argument("has fewer columns than the head line");
  }
  TraceRow row;
  WEIR_ASSIGN_OR_RETURN(row.at_us, time_us(trimmed(cells[columns.time])));
  WEIR_ASSIGN_OR_RETURN(row.prompt_tokens, parse_whole(trimmed(cells[columns.prompt]), 0, INT64_MAX));
  WEIR_ASSIGN_OR_RETURN(row.output_tokens, parse_whole(trimmed(cells[columns.output]), 0, INT64_MAX));
  return row;
}

Result<double> field(const json::object& object, const char* name) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr) return invalid_argument(std::string("the field \"") + name + "\" is missing");
  json::error_code error;
  const double number = value->is_number() ? value->to_number<double>(error) : -1;
  if (!std::isfinite(number) || number < 0 || number > 1e12) {
    return invalid_argument(std::string("the field \"") + name + "\" is no number from 0 to 1e12");
  }
  return number;
}

Status read_blocks(const json::object& object, TraceRow* row, std::vector<uint64_t>* blocks) {
  row->first_block = blocks->size();
  const json::value* ids = object.if_contains("hash_ids");
  if (ids == nullptr) return ok_status();
  if (!ids->is_array()) return invalid_argument("\"hash_ids\" is no array");
  for (const json::value& id : ids->get_array()) {
    json::error_code error;
    const int64_t number = id.is_number() ? id.to_number<int64_t>(error) : -1;
    if (error || number < 0) return invalid_argument("\"hash_ids\" holds something that is no whole number");
    blocks->push_back(static_cast<uint64_t>(number));
  }
  row->block_count = blocks->size() - row->first_block;
  return ok_status();
}

Result<TraceRow> read_json_row(std::string_view line, std::vector<uint64_t>* blocks) {
  json::error_code error;
  const json::value value = json::parse({line.data(), line.size()}, error);
  if (error || !value.is_object()) return invalid_argument("is no JSON object");
  TraceRow row;
  WEIR_ASSIGN_OR_RETURN(const double at_ms, field(value.get_object(), "timestamp"));
  WEIR_ASSIGN_OR_RETURN(const double prompt, field(value.get_object(), "input_length"));
  WEIR_ASSIGN_OR_RETURN(const double output, field(value.get_object(), "output_length"));
  row.at_us = static_cast<Micros>(std::llround(at_ms * 1000));
  row.prompt_tokens = std::llround(prompt);
  row.output_tokens = std::llround(output);
  WEIR_RETURN_IF_ERROR(read_blocks(value.get_object(), &row, blocks));
  return row;
}

}  // namespace

Result<Trace> parse_trace(std::string_view text, const std::string& name) {
  if (text.substr(0, 3) == "\xEF\xBB\xBF") text.remove_prefix(3);
  Builder builder(name);
  std::optional<Columns> columns;
  const bool is_json = !trimmed(text).empty() && trimmed(text)[0] == '{';
  size_t number = 0;
  for (const std::string_view raw : split(text, '\n')) {
    ++number;
    const std::string_view line = trimmed(raw);
    if (line.empty()) continue;
    if (!is_json && !columns) {
      Result<Columns> head = read_head(line);
      if (!head.ok()) return builder.at_line(number, head.status().message());
      columns = *head;
      continue;
    }
    const Result<TraceRow> row = is_json ? read_json_row(line, &builder.blocks()) : read_csv_row(line, *columns);
    if (!row.ok()) return builder.at_line(number, row.status().message());
    WEIR_RETURN_IF_ERROR(builder.add(number, *row));
  }
  return builder.finish();
}

Result<Trace> read_trace(const std::string& path) {
  WEIR_ASSIGN_OR_RETURN(const std::string text, read_small_file(path, kFileBytesMax));
  return parse_trace(text, path);
}

}  // namespace weir::load
