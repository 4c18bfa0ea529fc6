#include "cli/bench_options.h"

#include "base/files.h"
#include "base/units.h"
#include "config/values.h"
#include "load/spec_text.h"

namespace weir {
namespace {

// Reads options one after another; after the first error the rest is left alone.
class Reader {
 public:
  explicit Reader(const ParsedCommand& command) : command_(command) {}

  // parse: text -> Result<T>.
  template <class T, class Parse>
  void read(const char* name, Parse parse, T* target) {
    if (!status_.ok() || !command_.given(name)) return;
    auto value = parse(command_.value_or(name, ""));
    if (value.ok()) {
      *target = std::move(*value);
    } else {
      status_ = value.status().with_prefix(std::string("--") + name);
    }
  }
  template <class T>
  void whole(const char* name, int64_t min, int64_t max, T* target) {
    int64_t value = static_cast<int64_t>(*target);
    read(
        name, [&](const std::string& text) { return load::parse_whole(text, min, max); }, &value);
    *target = static_cast<T>(value);
  }
  void real(const char* name, double min, double max, double* target) {
    read(
        name, [&](const std::string& text) { return load::parse_number(text, min, max); }, target);
  }
  void span(const char* name, Micros* target) {
    read(
        name, [](const std::string& text) { return load::parse_span(text); }, target);
  }
  void on_off(const char* name, bool* target) {
    read(
        name, [](const std::string& text) { return parse_bool(text); }, target);
  }
  void refuse(const std::string& message) {
    if (status_.ok()) status_ = invalid_argument(message);
  }
  bool given(const char* name) const { return command_.given(name); }
  const Status& status() const { return status_; }

 private:
  const ParsedCommand& command_;
  Status status_;
};

Result<load::Endpoint> parse_endpoint(const std::string& text) {
  if (text == "chat") return load::Endpoint::kChat;
  if (text == "completions") return load::Endpoint::kCompletions;
  return invalid_argument("'" + text.substr(0, 60) + "' is neither chat nor completions");
}

Result<std::vector<load::Tenant>> read_tenants(const std::string& path) {
  WEIR_ASSIGN_OR_RETURN(const std::string text, read_small_file(path, kMiB));
  return load::parse_tenant_lines(text, path);
}

Status add_tenants(const ParsedCommand& command, std::vector<load::Tenant>* tenants) {
  const auto given = command.values.find("key");
  if (given == command.values.end()) return ok_status();
  for (const std::string& text : given->second) {
    Result<load::Tenant> tenant = load::parse_tenant(text);
    if (!tenant.ok()) return tenant.status().with_prefix("--key");
    tenants->push_back(std::move(*tenant));
  }
  return tenants->size() <= load::kTenantsMax ? ok_status() : invalid_argument("--key: more than 1024 tenants");
}

void read_arrivals(Reader* reader, load::RunOptions* run) {
  reader->real("rate", 0.001, 1e6, &run->rate);
  reader->read(
      "arrivals", [](const std::string& text) { return load::ArrivalSpec::parse(text); }, &run->arrivals);
  reader->real("trace-speed", 0.001, 1e6, &run->trace_speed);
  reader->whole("concurrency", 1, 1'000'000, &run->concurrency);
  reader->span("ramp", &run->ramp_us);
  reader->whole("requests", 1, int64_t{1} << 40, &run->requests);
  reader->span("duration", &run->duration_us);
  reader->span("warmup", &run->warmup_us);
  reader->span("timeout", &run->timeout_us);
  reader->whole("slow-rate", 4, 1 << 30, &run->slow_bytes_per_s);
  reader->on_off("keep-alive", &run->keep_alive);
  reader->whole("threads", 1, 64, &run->threads);
  reader->span("ttft-slo", &run->targets.ttft_us);
  reader->span("tpot-slo", &run->targets.tpot_us);
}

void read_content(Reader* reader, load::WorkloadOptions* workload) {
  const auto length = [](const std::string& text) { return load::LengthSpec::parse(text); };
  workload->output_tokens = *load::LengthSpec::parse("fixed:64");
  reader->whole("seed", 0, INT64_MAX, &workload->seed);
  reader->read("endpoint", parse_endpoint, &workload->endpoint);
  reader->on_off("stream", &workload->stream);
  reader->read("prompt-tokens", length, &workload->prompt_tokens);
  reader->read("output-tokens", length, &workload->output_tokens);
  reader->whole("max-prompt-tokens", 1, load::kLengthMax, &workload->prompt_tokens_max);
  reader->whole("max-output-tokens", 1, load::kLengthMax, &workload->output_tokens_max);
  reader->whole("shared-prefix-tokens", 0, load::kLengthMax, &workload->shared_prefix_tokens);
  reader->whole("prefix-groups", 1, 1'000'000, &workload->prefix_groups);
  reader->on_off("ignore-eos", &workload->ignore_eos);
  reader->read(
      "temperature",
      [](const std::string& text) -> Result<std::optional<double>> {
        WEIR_ASSIGN_OR_RETURN(const double value, load::parse_number(text, 0, 10));
        return std::optional<double>(value);
      },
      &workload->temperature);
  reader->real("abort-fraction", 0, 1, &workload->abort_fraction);
  reader->real("slow-fraction", 0, 1, &workload->slow_fraction);
  reader->read(
      "priority", [](const std::string& text) { return load::parse_priorities(text); }, &workload->priorities);
  reader->read("prompts", load::read_prompts, &workload->prompts);
  reader->read("keys", read_tenants, &workload->tenants);
  reader->read(
      "trace",
      [](const std::string& path) -> Result<std::optional<load::Trace>> {
        WEIR_ASSIGN_OR_RETURN(load::Trace trace, load::read_trace(path));
        return std::optional<load::Trace>(std::move(trace));
      },
      &workload->trace);
}

// What only makes sense together.
void check_together(Reader* reader, const BenchOptions& options) {
  const int loops = reader->given("rate") + reader->given("trace") + reader->given("concurrency");
  if (loops == 0) reader->refuse("say how to load: --rate R, --trace FILE or --concurrency N");
  if (loops > 1) reader->refuse("--rate, --trace and --concurrency are three ways to load; give one");
  if (reader->given("ramp") && !reader->given("concurrency")) reader->refuse("--ramp belongs to --concurrency");
  if (reader->given("arrivals") && !reader->given("rate")) reader->refuse("--arrivals belongs to --rate");
  if (reader->given("trace-speed") && !reader->given("trace")) reader->refuse("--trace-speed belongs to --trace");
  if (reader->given("prompts") && reader->given("trace"))
    reader->refuse("--prompts and --trace both say what is sent");
  const load::Targets& targets = options.run.targets;
  if (!options.workload.stream && (targets.ttft_us > 0 || targets.tpot_us > 0)) {
    reader->refuse("--ttft-slo and --tpot-slo need --stream on: without it no single token is seen");
  }
  if (options.run.timeout_us < 1000) reader->refuse("--timeout must be at least 1ms");
  if (reader->given("concurrency") && options.run.concurrency < options.run.threads) {
    reader->refuse("--threads is more than --concurrency");
  }
}

}  // namespace

Result<BenchOptions> bench_options_from(const ParsedCommand& command) {
  BenchOptions options;
  if (command.positional.empty())
    return invalid_argument("URL is missing; write weir bench http://HOST:PORT --rate 10");
  WEIR_ASSIGN_OR_RETURN(options.workload.server, parse_server_url(command.positional));
  options.workload.seed = 1;
  Reader reader(command);
  read_arrivals(&reader, &options.run);
  read_content(&reader, &options.workload);
  reader.on_off("calibrate", &options.calibrate);
  check_together(&reader, options);
  WEIR_RETURN_IF_ERROR(reader.status());
  WEIR_RETURN_IF_ERROR(add_tenants(command, &options.workload.tenants));
  options.workload.model = command.value_or("model", "");
  options.json_path = command.value_or("json", "");
  options.html_path = command.value_or("html", "");
  const bool ends = options.run.requests > 0 || options.run.duration_us > 0 || options.workload.trace.has_value();
  if (!ends) options.run.duration_us = 30'000'000;
  if (!options.workload.prompts.empty()) options.calibrate = false;
  return options;
}

Result<load::NullServerOptions> null_server_options_from(const ParsedCommand& command) {
  load::NullServerOptions options;
  Reader reader(command);
  reader.whole("null-server", 0, 65535, &options.port);
  reader.span("null-pace", &options.token_us);
  reader.whole("null-refuse-every", 1, int64_t{1} << 40, &options.refuse_every);
  WEIR_RETURN_IF_ERROR(reader.status());
  return options;
}

}  // namespace weir
