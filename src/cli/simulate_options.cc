#include "cli/simulate_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "config/options.h"
#include "config/parse.h"
#include "config/values.h"
#include "sim/generate.h"
#include "sim/trace.h"

namespace weir {
namespace {

// Settings of the server that the simulator honours, by their names in `weir serve`.
const std::set<std::string>& server_flags() {
  static const std::set<std::string> names = {"config",
                                              "session-len",
                                              "max-batch-size",
                                              "max-concurrent-requests",
                                              "max-queued-requests",
                                              "max-queued-tokens",
                                              "queue-timeout",
                                              "request-timeout",
                                              "max-prefill-token-num",
                                              "classes",
                                              "default-class",
                                              "ageing",
                                              "queue-delay-target",
                                              "ttft-slo",
                                              "tpot-slo",
                                              "prefill-stretch",
                                              "cache-block-seq-len",
                                              "enable-prefix-caching",
                                              "reservation",
                                              "overcommit-quantile",
                                              "quant-policy",
                                              "host-request-bytes",
                                              "host-bytes-per-request"};
  return names;
}

constexpr int64_t kHistoryTokensMax = int64_t{1} << 29;  // places x session; four bytes each
constexpr int64_t kKvTokensMax = int64_t{1} << 28;

Result<double> number_in(const std::string& text, double min, double max, const std::string& what) {
  double value = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end.ec != std::errc() || end.ptr != text.data() + text.size() || !(value >= min && value <= max)) {
    return invalid_argument(
        fmt::format("{}: '{}' is no number from {:g} to {:g}", what, text.substr(0, 40), min, max));
  }
  return value;
}

Result<double> number_flag(const ParsedCommand& command, const std::string& name, double otherwise, double min,
                           double max) {
  if (!command.given(name)) return otherwise;
  return number_in(command.value_or(name, ""), min, max, "--" + name);
}

Result<Micros> duration_flag(const ParsedCommand& command, const std::string& name, Micros otherwise) {
  if (!command.given(name)) return otherwise;
  const Result<int64_t> ms = parse_duration_ms(command.value_or(name, ""));
  if (!ms.ok()) return ms.status().with_prefix("--" + name);
  return *ms * 1000;
}

// "512" or "512:1.5": the mean and the coefficient of variation.
Result<sim::Length> length_flag(const ParsedCommand& command, const std::string& name, sim::Length otherwise) {
  if (!command.given(name)) return otherwise;
  const std::vector<std::string> parts = split_words(command.value_or(name, ""), ":");
  if (parts.empty() || parts.size() > 2)
    return invalid_argument("--" + name + ": write MEAN or MEAN:VARIATION, such as 512:1");
  sim::Length length;
  WEIR_ASSIGN_OR_RETURN(length.mean, number_in(parts[0], 1, 1e7, "--" + name));
  if (parts.size() == 2) {
    WEIR_ASSIGN_OR_RETURN(length.variation, number_in(parts[1], 0, 10, "--" + name));
  }
  return length;
}

Result<std::unique_ptr<sim::StepProfile>> profile_from(const ParsedCommand& command, const Settings& settings) {
  if (command.given("profile")) {
    if (command.given("gpu"))
      return invalid_argument("--profile and --gpu are two answers to one question; give one");
    return sim::read_profile(command.value_or("profile", ""));
  }
  if (!command.given("gpu")) {
    return invalid_argument("how long does a step take? give --gpu NAME --model-size SIZE, or --profile FILE");
  }
  sim::RooflineOptions options;
  WEIR_ASSIGN_OR_RETURN(const int64_t bits, integer_flag(command, "weight-bits", 16, 2, 32));
  options.weight_bytes = static_cast<double>(bits) / 8;
  options.kv_bytes = settings.quant_policy == 0 ? 2 : settings.quant_policy / 8.0;
  WEIR_ASSIGN_OR_RETURN(options.bandwidth_share,
                        number_flag(command, "bandwidth-share", options.bandwidth_share, 0.01, 1));
  WEIR_ASSIGN_OR_RETURN(options.peak_share, number_flag(command, "peak-share", options.peak_share, 0.01, 1));
  WEIR_ASSIGN_OR_RETURN(options.overhead_us, number_flag(command, "step-overhead-us", options.overhead_us, 0, 1e6));
  return sim::make_roofline(command.value_or("gpu", ""), command.value_or("model-size", "8B"), options);
}

// "name[:weight[:share]],...": MODIFIES shape's tenants and the mix.
Status take_tenants(const std::string& text, sim::ServerShape* shape, sim::Mix* mixture) {
  shape->tenants.clear();
  std::set<std::string> names;
  for (const std::string& word : split_words(text, ",")) {
    const std::vector<std::string> parts = split_words(word, ":");
    if (parts.empty() || parts.size() > 3)
      return invalid_argument("--tenants: write NAME[:WEIGHT[:SHARE]],... such as a:1:9,b:3:1");
    sim::TenantShape tenant{.name = parts[0].substr(0, 32)};
    if (!names.insert(tenant.name).second)
      return invalid_argument("--tenants: " + tenant.name + " stands there twice");
    double share = 1;
    if (parts.size() > 1) {
      WEIR_ASSIGN_OR_RETURN(tenant.weight, number_in(parts[1], 0.001, 1e6, "--tenants " + tenant.name));
    }
    if (parts.size() > 2) {
      WEIR_ASSIGN_OR_RETURN(share, number_in(parts[2], 0.0001, 1e6, "--tenants " + tenant.name));
    }
    shape->tenants.push_back(std::move(tenant));
    mixture->tenant_shares.push_back(share);
  }
  if (shape->tenants.empty() || shape->tenants.size() > 64)
    return invalid_argument("--tenants: write 1 to 64 of them");
  return ok_status();
}

// "interactive=3,batch=1". MODIFIES: the mix.
Status take_class_mix(const std::string& text, const sim::ServerShape& shape, sim::Mix* mixture) {
  mixture->class_shares.assign(shape.classes.size(), 0);
  for (const std::string& word : split_words(text, ",")) {
    const size_t equals = word.find('=');
    const int index = find_class(shape.classes, std::string_view(word).substr(0, equals));
    if (index < 0)
      return invalid_argument("--class-mix: '" + word.substr(0, std::min<size_t>(equals, 40)) +
                              "' is none of --classes");
    double share = 1;
    if (equals != std::string::npos) {
      WEIR_ASSIGN_OR_RETURN(share,
                            number_in(word.substr(equals + 1), 0, 1e6, "--class-mix " + word.substr(0, equals)));
    }
    mixture->class_shares[static_cast<size_t>(index)] = share;
  }
  if (*std::max_element(mixture->class_shares.begin(), mixture->class_shares.end()) > 0) return ok_status();
  return invalid_argument("--class-mix: give one class at least a share above 0");
}

Result<sim::Load> generated_load(const ParsedCommand& command, const Settings& settings, uint64_t seed,
                                 std::string* text) {
  sim::GenerateOptions options{.seed = seed};
  WEIR_ASSIGN_OR_RETURN(options.requests, integer_flag(command, "requests", 1000, 1, sim::kRequestsMax));
  WEIR_ASSIGN_OR_RETURN(options.arrivals.rate, number_flag(command, "poisson", 1, 1e-4, 1e6));
  WEIR_ASSIGN_OR_RETURN(options.arrivals.variation, number_flag(command, "arrival-variation", 1, 0.01, 100));
  WEIR_ASSIGN_OR_RETURN(options.arrivals.burst, integer_flag(command, "burst", 1, 1, 1'000'000));
  WEIR_ASSIGN_OR_RETURN(options.prompt, length_flag(command, "prompt-tokens", options.prompt));
  WEIR_ASSIGN_OR_RETURN(options.output, length_flag(command, "output-tokens", options.output));
  options.tokens_max = settings.session_len > 0 ? settings.session_len : 8192;
  if (command.given("shared-prefix")) {
    const std::vector<std::string> parts = split_words(command.value_or("shared-prefix", ""), ":");
    if (parts.size() != 2) return invalid_argument("--shared-prefix: write TOKENS:SHARE, such as 1024:0.5");
    WEIR_ASSIGN_OR_RETURN(const double tokens, number_in(parts[0], 1, 1e7, "--shared-prefix"));
    options.shared_tokens = static_cast<int32_t>(tokens);
    WEIR_ASSIGN_OR_RETURN(options.shared_share, number_in(parts[1], 0, 1, "--shared-prefix"));
  }
  *text = fmt::format(
      "{} requests, {:g} a second{}{}, about {:g} prompt and {:g} output tokens", options.requests,
      options.arrivals.rate,
      options.arrivals.burst > 1 ? fmt::format(" in bursts of {}", options.arrivals.burst) : "",
      options.arrivals.variation != 1 ? fmt::format(" (variation {:g})", options.arrivals.variation) : "",
      options.prompt.mean, options.output.mean);
  return sim::generate(options);
}

Result<sim::Load> load_from(const ParsedCommand& command, const Settings& settings, uint64_t seed,
                            std::string* text) {
  if (!command.given("trace")) return generated_load(command, settings, seed, text);
  for (const char* name :
       {"poisson", "arrival-variation", "burst", "prompt-tokens", "output-tokens", "shared-prefix"}) {
    if (command.given(name))
      return invalid_argument(fmt::format("--{} makes up a load and --trace has one; give one of them", name));
  }
  const std::string path = command.value_or("trace", "");
  sim::TraceOptions options;
  WEIR_ASSIGN_OR_RETURN(options.speed, number_flag(command, "speed", 1, 1e-3, 1e4));
  WEIR_ASSIGN_OR_RETURN(options.requests_max, integer_flag(command, "requests", 0, 1, sim::kRequestsMax));
  WEIR_ASSIGN_OR_RETURN(sim::Load load, sim::read_trace(path, options));
  *text = fmt::format("{}, {} requests in {:.0f} s", path.substr(path.find_last_of('/') + 1), load.requests.size(),
                      static_cast<double>(load.last_arrival_us()) / 1e6);
  if (options.speed != 1) *text += fmt::format(", {:g} times as fast", options.speed);
  return load;
}

int64_t longest_of(const sim::Load& load) {
  int64_t longest = 0;
  for (const sim::SimRequest& one : load.requests)
    longest = std::max(longest, int64_t{one.prompt_tokens} + one.output_tokens);
  return longest;
}

Result<sim::ServerShape> shape_from(const ParsedCommand& command, const Settings& settings,
                                    const sim::StepProfile& profile, const sim::Load& load) {
  sim::ServerShape shape;
  shape.running_max = settings.max_concurrent_requests;
  shape.queued_max = settings.max_queued_requests;
  shape.step_tokens_max = settings.max_prefill_token_num;
  // As long as the longest request of the load, and one for the token that would come next.
  shape.session_tokens =
      settings.session_len > 0 ? settings.session_len : std::max<int64_t>(longest_of(load) + 1, 2048);
  if (shape.session_tokens * shape.running_max > kHistoryTokensMax) {
    return invalid_argument(
        fmt::format("{} places of {} tokens are too much to simulate; a smaller --session-len (longer requests are "
                    "refused) or --max-concurrent-requests",
                    shape.running_max, shape.session_tokens));
  }
  shape.queued_tokens_max = settings.max_queued_tokens > 0 ? settings.max_queued_tokens
                                                           : std::max<int64_t>(4 * shape.session_tokens, 65536);
  shape.block_tokens = settings.cache_block_seq_len;
  const int64_t of_profile =
      profile.kv_tokens() > 0 ? profile.kv_tokens() : shape.session_tokens * shape.running_max;
  WEIR_ASSIGN_OR_RETURN(
      const int64_t kv_tokens,
      integer_flag(command, "kv-tokens", std::min(of_profile, kKvTokensMax), shape.block_tokens, kKvTokensMax));
  shape.blocks = shape.blocks_max = static_cast<int32_t>(std::max<int64_t>(1, kv_tokens / shape.block_tokens));
  shape.prefix = settings.enable_prefix_caching;
  shape.guaranteed = settings.reservation == "guaranteed";
  shape.overcommit_quantile = settings.overcommit_quantile;
  shape.queue_timeout_us = settings.queue_timeout_ms * 1000;
  shape.request_timeout_us = settings.request_timeout_ms * 1000;
  shape.ageing_us = settings.ageing_ms * 1000;
  shape.codel_target_us = settings.queue_delay_target_ms * 1000;
  shape.ttft_slo_us = settings.ttft_slo_ms * 1000;
  shape.tpot_slo_us = settings.tpot_slo_ms * 1000;
  shape.prefill_stretch = settings.prefill_stretch;
  shape.default_class = 0;
  shape.classes.clear();
  for (const ClassSetting& one : settings.classes) {
    if (one.name == settings.default_class) shape.default_class = static_cast<int32_t>(shape.classes.size());
    shape.classes.push_back({one.name, one.kind == "urgent"       ? ClassKind::kUrgent
                                       : one.kind == "background" ? ClassKind::kBackground
                                                                  : ClassKind::kStandard});
  }
  if (settings.host_request_bytes > 0) shape.host_bytes_max = settings.host_request_bytes;
  if (settings.host_bytes_per_request > 0) shape.host_bytes_per_request = settings.host_bytes_per_request;
  return shape;
}

}  // namespace

Result<int64_t> integer_flag(const ParsedCommand& command, const std::string& name, int64_t otherwise, int64_t min,
                             int64_t max) {
  if (!command.given(name)) return otherwise;
  const Result<int64_t> value = parse_integer(command.value_or(name, ""), min, max);
  if (!value.ok()) return value.status().with_prefix("--" + name);
  return value;
}

std::string words_of(const ParsedCommand& command) {
  std::string words = "weir simulate";
  for (const auto& [name, values] : command.values) {
    words += " --" + name;
    for (const std::string& value : values) words += " " + value;
  }
  return words;
}

std::vector<OptionSpec> simulate_flags() {
  constexpr char kSteps[] = "step times", kLoad[] = "load", kFaults[] = "faults and checks", kOutput[] = "output";
  std::vector<OptionSpec> flags = {
      {"gpu", "NAME", kSteps, "roofline of h200, h100, a100, l40s, a10, l4 or t4", ""},
      {"model-size", "SIZE", kSteps, "with --gpu: 0.5B, 1.5B, 3B, 7B, 8B, 14B, 32B or 70B", "8B"},
      {"weight-bits", "N", kSteps, "with --gpu: bits of a weight", "16"},
      {"bandwidth-share", "X", kSteps, "with --gpu: of the memory bandwidth that kernels reach", "0.8"},
      {"peak-share", "X", kSteps, "with --gpu: of the peak operations", "0.5"},
      {"step-overhead-us", "X", kSteps, "with --gpu: of every step", "200"},
      {"profile", "FILE", kSteps, "measured step times, as bench_step_profile writes them", ""},
      {"kv-tokens", "N", kSteps, "tokens that the KV pool holds; default: what the GPU's memory leaves", ""},
      {"trace", "FILE", kLoad, "an Azure CSV or a Mooncake JSONL file", ""},
      {"speed", "X", kLoad, "with --trace: arrivals so many times as fast", "1"},
      {"requests", "N", kLoad, "so many; with --trace: the first so many", "1000"},
      {"poisson", "RATE", kLoad, "requests a second", "1"},
      {"arrival-variation", "X", kLoad, "of the gamma distributed gaps; 1: Poisson, more: burstier", "1"},
      {"burst", "N", kLoad, "so many arrive at once", "1"},
      {"prompt-tokens", "MEAN[:VAR]", kLoad, "lognormal, with its coefficient of variation", "512:1"},
      {"output-tokens", "MEAN[:VAR]", kLoad, "the same for answers", "128:1"},
      {"shared-prefix", "TOKENS:SHARE", kLoad, "prompts of this share begin alike", ""},
      {"tenants", "NAME[:WEIGHT[:SHARE]],...", kLoad, "who asks, and how much of the load is theirs", ""},
      {"class-mix", "CLASS=SHARE,...", kLoad, "of the load", ""},
      {"deadline", "TIME", kLoad, "from arrival to the last token", ""},
      {"max-tokens", "N", kLoad, "as clients say it; 0: not said, the answer's length comes as a surprise", "0"},
      {"faults", "SHARE", kFaults, "of the clients leave or read slowly; with --seeds: on or off", "0"},
      {"server-faults", "N", kFaults, "squeezes, resizes, stalls, failed steps, clock jumps", "0"},
      {"seed", "N", kFaults, "everything is drawn from it", "1"},
      {"seeds", "N", kFaults, "a soak: so many small worlds with faults, --requests each", ""},
      {"check-every", "N", kFaults, "steps between two walks over all blocks and queues", "64"},
      {"check-kv", "", kFaults, "follow every KV position; slow", ""},
      {"json", "", kOutput, "the report as JSON", ""},
      {"svg", "FILE", kOutput, "a plot of queue, running, KV and time to first token", ""},
  };
  for (OptionSpec& one : settings_flags()) {
    if (server_flags().count(one.name) == 0) continue;
    if (one.name == "ttft-slo") one.help = "good is what got its first token in time; 0: whatever was answered";
    if (one.name == "tpot-slo") one.help = "good is what got its tokens in time; 0: whatever was answered";
    flags.push_back(std::move(one));
  }
  return flags;
}

Result<SimulatePlan> simulate_plan(const ParsedCommand& command, std::vector<std::string>* warnings) {
  // Settings want a model's directory; the simulator loads none, and this one is always there.
  ParsedCommand with_model = command;
  with_model.positional = ".";
  WEIR_ASSIGN_OR_RETURN(const Settings settings, settings_from(with_model, process_environment(), warnings));
  SimulatePlan plan;
  WEIR_ASSIGN_OR_RETURN(const int64_t seed, integer_flag(command, "seed", 1, 0, INT64_MAX));
  plan.context.seed = plan.world.seed = static_cast<uint64_t>(seed);
  WEIR_ASSIGN_OR_RETURN(plan.profile, profile_from(command, settings));
  WEIR_ASSIGN_OR_RETURN(plan.load, load_from(command, settings, plan.context.seed, &plan.context.load));
  WEIR_ASSIGN_OR_RETURN(plan.world.shape, shape_from(command, settings, *plan.profile, plan.load));
  sim::Mix mixture;
  if (command.given("tenants"))
    WEIR_RETURN_IF_ERROR(take_tenants(command.value_or("tenants", ""), &plan.world.shape, &mixture));
  if (command.given("class-mix")) {
    WEIR_RETURN_IF_ERROR(take_class_mix(command.value_or("class-mix", ""), plan.world.shape, &mixture));
  } else {
    mixture.class_shares.assign(plan.world.shape.classes.size(), 0);
    mixture.class_shares[static_cast<size_t>(
        std::max(0, find_class(plan.world.shape.classes, settings.default_class)))] = 1;
  }
  WEIR_ASSIGN_OR_RETURN(mixture.deadline_us, duration_flag(command, "deadline", 0));
  sim::apply_mix(mixture, plan.context.seed, &plan.load);
  WEIR_ASSIGN_OR_RETURN(const int64_t max_tokens,
                        integer_flag(command, "max-tokens", 0, 0, sim::kRequestTokensMax));
  for (sim::SimRequest& request : plan.load.requests) request.max_tokens = static_cast<int32_t>(max_tokens);
  WEIR_ASSIGN_OR_RETURN(const double faults, number_flag(command, "faults", 0, 0, 1));
  WEIR_ASSIGN_OR_RETURN(const int64_t server_faults, integer_flag(command, "server-faults", 0, 0, 100'000));
  if (faults > 0) sim::add_client_faults(faults, plan.context.seed, &plan.load);
  plan.world.faults =
      sim::draw_faults(server_faults, plan.load.last_arrival_us(), plan.world.shape, false, plan.context.seed);
  WEIR_ASSIGN_OR_RETURN(const int64_t check_every, integer_flag(command, "check-every", 64, 1, 1'000'000));
  plan.world.check_every = static_cast<int>(check_every);
  plan.world.check_kv = command.given("check-kv");
  if (command.given("svg")) plan.world.sample_us = plan.load.last_arrival_us() / 4000 + 1;
  plan.context.shape = plan.world.shape;
  plan.context.profile = plan.profile->description();
  plan.context.ttft_slo_us = settings.ttft_slo_ms * 1000;
  plan.context.tpot_slo_us = settings.tpot_slo_ms * 1000;
  return plan;
}

}  // namespace weir
