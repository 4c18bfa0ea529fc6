#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"
#include "memory/plan/plan.h"

namespace weir {
namespace {

// Names and formulas are ours; a limit's source is printable ASCII by its own contract. Anything else is escaped,
// so that the text is JSON whatever comes.
std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (c < 0x20 || c > 0x7e) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out + "\"";
}

size_t name_width(const MemoryPlan& plan) {
  size_t width = 5;  // "total"
  for (const PlanLine& line : plan.lines) width = std::max(width, line.name.size());
  return width;
}

std::string row(size_t width, std::string_view name, uint64_t bytes, std::string_view note) {
  std::string out =
      fmt::format("  {:<{}}  {:>10}  {:>22}  {}", name, width, format_bytes(bytes), format_count(bytes), note);
  out.erase(out.find_last_not_of(' ') + 1);
  return out + "\n";
}

std::string capacity_sentence(const MemoryPlan& plan, const Capacity& row) {
  const bool full = row.sequences == plan.max_batch;
  return fmt::format("  {:>10} sequence{} of {} tokens at once{}\n",
                     format_count(static_cast<uint64_t>(row.sequences)), row.sequences == 1 ? " " : "s",
                     format_count(static_cast<uint64_t>(row.tokens_each)),
                     full ? fmt::format(", the most --max-batch-size {} allows", plan.max_batch) : "");
}

}  // namespace

std::string format_plan(const MemoryPlan& plan) {
  const size_t width = name_width(plan);
  std::string out = fmt::format("memory plan: {} of the {} that {} allows\n", format_bytes(plan.total_bytes),
                                format_bytes(plan.limit_bytes), plan.limit_source);
  for (const PlanLine& line : plan.lines) out += row(width, line.name, line.bytes, line.formula);
  out += row(width, "total", plan.total_bytes, "");
  out += row(width, "limit", plan.limit_bytes, plan.limit_source);
  out += fmt::format("capacity: {} tokens in {} KV blocks of {}\n",
                     format_count(static_cast<uint64_t>(plan.kv_tokens)), format_count(plan.kv_blocks),
                     plan.block_tokens);
  for (const Capacity& capacity : plan.capacity) out += capacity_sentence(plan, capacity);
  for (const std::string& note : plan.notes) out += "note: " + note + "\n";
  return out;
}

std::string plan_json(const MemoryPlan& plan) {
  std::string out = fmt::format(R"({{"total_bytes":{},"limit_bytes":{},"limit_source":{},"lines":[)",
                                plan.total_bytes, plan.limit_bytes, json_string(plan.limit_source));
  for (size_t i = 0; i < plan.lines.size(); ++i) {
    const PlanLine& line = plan.lines[i];
    out += fmt::format(R"({}{{"name":{},"bytes":{},"formula":{}}})", i == 0 ? "" : ",", json_string(line.name),
                       line.bytes, json_string(line.formula));
  }
  out += fmt::format(R"(],"kv":{{"blocks":{},"block_tokens":{},"tokens":{}}},"capacity":[)", plan.kv_blocks,
                     plan.block_tokens, plan.kv_tokens);
  for (size_t i = 0; i < plan.capacity.size(); ++i) {
    out += fmt::format(R"({}{{"tokens_each":{},"sequences":{}}})", i == 0 ? "" : ",", plan.capacity[i].tokens_each,
                       plan.capacity[i].sequences);
  }
  out += R"(],"notes":[)";
  for (size_t i = 0; i < plan.notes.size(); ++i) out += (i == 0 ? "" : ",") + json_string(plan.notes[i]);
  return out + "]}";
}

}  // namespace weir
