// Mooncake's JSON lines. Boost.JSON stays inside this file; it is called without exceptions.
#include <boost/json.hpp>

#include "sim/trace_lines.h"

namespace weir::sim {
namespace {

namespace json = boost::json;

// RETURNS: false when the member is missing or no whole number.
bool number_of(const json::object& object, const char* name, int64_t* value) {
  const json::value* found = object.if_contains(name);
  if (found == nullptr) return false;
  if (found->is_int64()) return *value = found->get_int64(), true;
  if (!found->is_double() || !(found->get_double() > -1e15 && found->get_double() < 1e15)) return false;
  *value = static_cast<int64_t>(found->get_double());
  return static_cast<double>(*value) == found->get_double();
}

// One hash per started block of 512 tokens at most. MODIFIES: load's last request and its block ids.
Status take_hashes(const TraceLines& lines, const json::value* hashes, Load* load) {
  if (hashes == nullptr) return lines.error("hash_ids is missing; this is no Mooncake trace");
  if (!hashes->is_array()) return lines.error("hash_ids is no list");
  SimRequest& request = load->requests.back();
  const json::array& list = hashes->get_array();
  const size_t blocks = (static_cast<size_t>(request.prompt_tokens) + kSharedBlockTokens - 1) / kSharedBlockTokens;
  if (list.size() > blocks) {
    return lines.error(fmt::format("{} hash_ids for {} tokens; each stands for {} of them", list.size(),
                                   request.prompt_tokens, kSharedBlockTokens));
  }
  if (load->block_ids.size() + list.size() > kBlockIdsMax) return lines.error("the trace has too many hash_ids");
  request.block_ids_begin = static_cast<uint32_t>(load->block_ids.size());
  request.block_ids_count = static_cast<uint32_t>(list.size());
  for (const json::value& hash : list) {
    if (!hash.is_int64() || hash.get_int64() < 0)
      return lines.error("hash_ids holds something that is no number of 0 or more");
    load->block_ids.push_back(static_cast<uint64_t>(hash.get_int64()));
  }
  return ok_status();
}

}  // namespace

Result<Load> parse_mooncake(std::istream* text, const std::string& where, const TraceOptions& options) {
  TraceLines lines(text, where);
  std::string line;
  Load load;
  int64_t previous_us = 0;
  while (lines.next(&line)) {
    if (options.requests_max > 0 && static_cast<int64_t>(load.requests.size()) >= options.requests_max) break;
    json::error_code failed;
    json::parse_options bounds;
    bounds.max_depth = 4;
    const json::value value = json::parse(line, failed, {}, bounds);
    if (failed || !value.is_object())
      return lines.error("this is no JSON object; a Mooncake trace has one per line");
    const json::object& object = value.get_object();
    int64_t time_ms = 0, prompt = 0, output = 0;
    for (const auto& [name, number] : {std::pair{"timestamp", &time_ms}, std::pair{"input_length", &prompt},
                                       std::pair{"output_length", &output}}) {
      if (!number_of(object, name, number)) {
        return lines.error(fmt::format("{} is missing or no whole number", name));
      }
    }
    if (time_ms > int64_t{1} << 50)
      return lines.error("the time is too far in the future; timestamp is in milliseconds");
    if (time_ms < 0) return lines.error("the time is negative");
    WEIR_RETURN_IF_ERROR(append_request(lines, options, time_ms * 1000, prompt, output, &previous_us, &load));
    WEIR_RETURN_IF_ERROR(take_hashes(lines, object.if_contains("hash_ids"), &load));
  }
  if (!lines.status().ok()) return lines.status();
  if (load.requests.empty()) return lines.empty();
  return load;
}

}  // namespace weir::sim
