// Workload: what request number N is, from the seed alone. Built once on main; const afterwards, any thread.
//
// Every request draws from a stream of its own (seed, N), so neither the pace of the server nor the number of
// workers changes what is sent.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "load/lengths.h"
#include "load/prompts.h"
#include "load/server_url.h"
#include "load/trace.h"

namespace weir::load {

struct Tenant {
  std::string name = "default";
  std::string key;    // sent as a bearer token; empty: none
  double share = 1;   // of the requests, against the others' shares; > 0
  double weight = 1;  // what it is entitled to, for the Jain index alone; > 0
};
inline constexpr size_t kTenantsMax = 1024;

struct PriorityShare {
  std::string name;  // a class; one that is a whole number is sent as a number
  double share = 0;  // (0, 1]; what the shares leave is sent without a class
};

// "NAME=KEY", "NAME=KEY:SHARE", "NAME=KEY:SHARE:WEIGHT". ERRORS: kInvalidArgument.
Result<Tenant> parse_tenant(std::string_view text);
// Lines "NAME KEY [SHARE [WEIGHT]]"; empty ones and those that begin with # are left out. ERRORS: kInvalidArgument.
Result<std::vector<Tenant>> parse_tenant_lines(std::string_view text, const std::string& name);
// "interactive=0.3,batch=0.7". ERRORS: kInvalidArgument: no number in (0, 1], a class twice, a sum above 1.
Result<std::vector<PriorityShare>> parse_priorities(std::string_view text);

enum class Endpoint { kChat, kCompletions };

struct WorkloadOptions {
  ServerAddress server;
  std::string model;
  Endpoint endpoint = Endpoint::kChat;
  bool stream = true;
  bool ignore_eos = false;
  std::optional<double> temperature;  // unset: the server's default
  uint64_t seed = 0;
  LengthSpec prompt_tokens, output_tokens;
  int64_t prompt_tokens_max = kLengthMax, output_tokens_max = kLengthMax;  // cut longer ones, of a trace too
  int64_t shared_prefix_tokens = 0;                                        // before the prompt's own tokens
  int64_t prefix_groups = 1;
  std::vector<Tenant> tenants;  // empty: one without a key
  std::vector<PriorityShare> priorities;
  double abort_fraction = 0, slow_fraction = 0;  // [0, 1]
  std::vector<std::string> prompts;              // not empty: these, in turn from a seeded start, instead of words
  std::optional<Trace> trace;                    // lengths and prefixes of each row
  TokenScale scale;
};

struct PlannedRequest {
  uint64_t index = 0;
  size_t tenant = 0;
  int priority = -1;  // index into the priorities; -1: none
  int64_t prompt_tokens = 0, output_tokens = 0;
  bool slow = false;               // reads slowly
  int64_t abort_after_events = 0;  // streaming: leaves after so many pieces; 0: stays
  Micros abort_after_us = 0;       // not streaming: leaves so long after sending; 0: stays
};

class Workload {
 public:
  explicit Workload(WorkloadOptions options);

  PlannedRequest plan(uint64_t index) const;
  std::string request_bytes(const PlannedRequest& request) const;  // a whole HTTP/1.1 request

  const WorkloadOptions& options() const { return options_; }
  const std::vector<Tenant>& tenants() const { return options_.tenants; }  // at least one

 private:
  size_t draw_tenant(Random* random) const;
  int draw_priority(Random* random) const;
  std::string prompt(const PlannedRequest& request) const;
  void append_trace_blocks(const TraceRow& row, int64_t tokens, std::string* text) const;
  std::string body(const PlannedRequest& request) const;

  WorkloadOptions options_;
  std::vector<double> tenant_ends_;  // cumulative shares, ascending to 1
  std::string head_;                 // of the HTTP request, up to the key
};

}  // namespace weir::load
