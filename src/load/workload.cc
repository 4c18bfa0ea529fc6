#include "load/workload.h"

#include <algorithm>
#include <cmath>

#include "load/json_text.h"
#include "load/random.h"

namespace weir::load {
namespace {

constexpr Micros kAbortMinUs = 10'000, kAbortMaxUs = 1'000'000;

std::string head_for(const WorkloadOptions& options) {
  const ServerAddress& server = options.server;
  const bool v6 = server.host.find(':') != std::string::npos;
  std::string head = "POST " + server.path;
  head += options.endpoint == Endpoint::kChat ? "/chat/completions" : "/completions";
  head += " HTTP/1.1\r\nHost: " + (v6 ? "[" + server.host + "]" : server.host) + ":" + server.port;
  head += "\r\nUser-Agent: weir-bench/" WEIR_VERSION "\r\nContent-Type: application/json\r\nAccept: ";
  head += options.stream ? "text/event-stream" : "application/json";
  return head + "\r\n";
}

bool is_whole(const std::string& text) {
  return !text.empty() && text.size() < 10 && text.find_first_not_of("0123456789") == std::string::npos;
}

}  // namespace

Workload::Workload(WorkloadOptions options) : options_(std::move(options)) {
  if (options_.tenants.empty()) options_.tenants.emplace_back();
  double sum = 0;
  for (const Tenant& tenant : options_.tenants) tenant_ends_.push_back(sum += tenant.share);
  for (double& end : tenant_ends_) end /= sum;
  head_ = head_for(options_);
}

size_t Workload::draw_tenant(Random* random) const {
  const auto place = std::lower_bound(tenant_ends_.begin(), tenant_ends_.end() - 1, random->unit());
  return static_cast<size_t>(place - tenant_ends_.begin());
}

int Workload::draw_priority(Random* random) const {
  double left = random->unit();
  for (size_t i = 0; i < options_.priorities.size(); ++i) {
    left -= options_.priorities[i].share;
    if (left < 0) return static_cast<int>(i);
  }
  return -1;
}

PlannedRequest Workload::plan(uint64_t index) const {
  Random random(options_.seed, Purpose::kRequest, index);
  PlannedRequest request;
  request.index = index;
  // Always the same number of draws in the same order, so that one option does not change what another one gives.
  request.tenant = draw_tenant(&random);
  request.priority = draw_priority(&random);
  request.slow = random.unit() < options_.slow_fraction;
  const bool aborts = random.unit() < options_.abort_fraction;
  const double patience = random.unit();
  request.prompt_tokens = options_.prompt_tokens.draw(&random);
  request.output_tokens = options_.output_tokens.draw(&random);
  if (options_.trace) {
    const TraceRow& row = options_.trace->rows[index % options_.trace->rows.size()];
    request.prompt_tokens = row.prompt_tokens;
    request.output_tokens = row.output_tokens;
  }
  request.prompt_tokens = std::min(request.prompt_tokens, options_.prompt_tokens_max);
  request.output_tokens = std::min(request.output_tokens, options_.output_tokens_max);
  if (!aborts) return request;
  if (options_.stream) {
    request.abort_after_events =
        1 + static_cast<int64_t>(patience * static_cast<double>(request.output_tokens - 1));
  } else {
    request.abort_after_us = kAbortMinUs + static_cast<Micros>(patience * (kAbortMaxUs - kAbortMinUs));
  }
  return request;
}

void Workload::append_trace_blocks(const TraceRow& row, int64_t tokens, std::string* text) const {
  for (size_t i = 0; i < row.block_count && tokens > 0; ++i, tokens -= kTraceBlockTokens) {
    const uint64_t block = options_.trace->blocks[row.first_block + i];
    const auto count = static_cast<double>(std::min(tokens, kTraceBlockTokens));
    append_words(Random(options_.seed, Purpose::kTraceBlock, block), words_for(count, options_.scale), text);
  }
}

std::string Workload::prompt(const PlannedRequest& request) const {
  if (!options_.prompts.empty()) return options_.prompts[(request.index + options_.seed) % options_.prompts.size()];
  std::string text;
  Random random(options_.seed, Purpose::kWords, request.index);
  if (options_.shared_prefix_tokens > 0) {
    const uint64_t group = random.below(static_cast<uint64_t>(options_.prefix_groups));
    append_words(Random(options_.seed, Purpose::kPrefix, group),
                 words_for(static_cast<double>(options_.shared_prefix_tokens), options_.scale), &text);
  }
  const double own = std::max(1.0, static_cast<double>(request.prompt_tokens) - options_.scale.overhead_tokens);
  const TraceRow* row =
      options_.trace ? &options_.trace->rows[request.index % options_.trace->rows.size()] : nullptr;
  if (row != nullptr && row->block_count > 0) {
    append_trace_blocks(*row, static_cast<int64_t>(own), &text);
  } else {
    append_words(random, std::max<int64_t>(1, words_for(own, options_.scale)), &text);
  }
  return text;
}

std::string Workload::body(const PlannedRequest& request) const {
  std::string json = "{\"model\":";
  append_json_string(&json, options_.model);
  const std::string text = prompt(request);
  json.reserve(json.size() + text.size() + 256);
  if (options_.endpoint == Endpoint::kChat) {
    json += ",\"messages\":[{\"role\":\"user\",\"content\":";
    append_json_string(&json, text);
    json += "}]";
  } else {
    json += ",\"prompt\":";
    append_json_string(&json, text);
  }
  json += ",\"max_tokens\":" + std::to_string(request.output_tokens);
  if (options_.stream) json += ",\"stream\":true,\"stream_options\":{\"include_usage\":true}";
  if (options_.ignore_eos) json += ",\"ignore_eos\":true";
  if (options_.temperature) json += ",\"temperature\":" + JsonWriter().value(*options_.temperature).take();
  if (request.priority >= 0) {
    const std::string& name = options_.priorities[static_cast<size_t>(request.priority)].name;
    json += ",\"priority\":";
    if (is_whole(name)) {
      json += name;
    } else {
      append_json_string(&json, name);
    }
  }
  return json + "}";
}

std::string Workload::request_bytes(const PlannedRequest& request) const {
  const std::string json = body(request);
  const std::string& key = options_.tenants[request.tenant].key;
  std::string bytes;
  bytes.reserve(head_.size() + json.size() + key.size() + 96);
  bytes += head_;
  if (!key.empty()) bytes.append("Authorization: Bearer ").append(key).append("\r\n");
  bytes.append("Content-Length: ").append(std::to_string(json.size())).append("\r\n\r\n").append(json);
  return bytes;
}

}  // namespace weir::load
