#include "config/options.h"

#include <algorithm>

#include "base/cpu_list.h"
#include "config/setters.h"

namespace weir {
namespace {

constexpr int64_t kSequencesMax = 4096;
constexpr int64_t kTokensMax = int64_t{1} << 30;
constexpr std::string_view kTomlEnding = ".toml";  // of a key file with tenants

// A flag of LMDeploy that weir takes with the one value that asks for nothing.
Setter only(std::string accepted, std::string why) {
  return [accepted, why](const Values& values, Settings*, Warnings*) {
    return values.back() == accepted ? ok_status() : invalid_argument(why);
  };
}

Status set_model_name(const Values& values, Settings* settings, Warnings*) {
  const std::string& name = values.back();
  const bool printable = std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c <= '~'; });
  if (name.size() > 256 || !printable) {
    return invalid_argument("write up to 256 printable ASCII characters without spaces");
  }
  settings->model_name = name;
  return ok_status();
}

Status set_cache_share(const Values& values, Settings* settings, Warnings*) {
  WEIR_RETURN_IF_ERROR(check_cache_share(values.back()));
  settings->cache_max_entry_count = values.back();
  return ok_status();
}

Status set_block(const Values& values, Settings* settings, Warnings*) {
  WEIR_ASSIGN_OR_RETURN(const int64_t tokens, parse_integer(values.back(), 4, 1024));
  if ((tokens & (tokens - 1)) != 0) {
    return invalid_argument("'" + values.back() + "' is no power of two; choose 16, 32, 64 or 128");
  }
  settings->cache_block_seq_len = static_cast<int>(tokens);
  return ok_status();
}

// "unix:" and an absolute path, so that it does not depend on where the server was started.
Status check_unix_path(std::string_view path) {
  constexpr size_t kPathBytesMax = 107;  // sun_path of unix(7), less its end
  const bool printable = std::all_of(path.begin(), path.end(), [](char c) { return c >= ' ' && c <= '~'; });
  if (path.substr(0, 1) == "/" && path.size() <= kPathBytesMax && printable) return ok_status();
  return invalid_argument(
      "write an absolute path of at most 107 characters behind unix:, such as unix:/run/weir.sock");
}

Status set_server_name(const Values& values, Settings* settings, Warnings*) {
  const std::string& name = values.back();
  if (name.rfind("unix:", 0) == 0) {
    WEIR_RETURN_IF_ERROR(check_unix_path(std::string_view(name).substr(5)));
    settings->server_name = name;
    return ok_status();
  }
  const auto allowed = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == ':' ||
           c == '-';
  };
  if (name.empty() || name.size() > 253 || !std::all_of(name.begin(), name.end(), allowed)) {
    return invalid_argument("write an address or host name without port or scheme, such as 127.0.0.1 or 0.0.0.0");
  }
  settings->server_name = name;
  return ok_status();
}

// A key file is read by resolve_settings(), when the classes are known.
Status set_api_keys(const Values& values, Settings* settings, Warnings* warnings) {
  std::vector<std::string> keys;
  std::string file;
  for (const std::string& value : values) {
    const std::string path = value.rfind('@', 0) == 0 ? value.substr(1) : value;
    if (path.size() > kTomlEnding.size() && path.ends_with(kTomlEnding)) {
      if (!file.empty()) return invalid_argument("two key files, " + file + " and " + path + "; put all tenants into one");
      file = path;
    } else if (value.rfind('@', 0) == 0) {
      WEIR_ASSIGN_OR_RETURN(const std::vector<std::string> read, read_api_keys_file(path, warnings));
      keys.insert(keys.end(), read.begin(), read.end());
    } else {
      WEIR_RETURN_IF_ERROR(check_api_key(value));
      keys.push_back(value);
    }
  }
  if (keys.size() > kApiKeysMax) return invalid_argument("more than 1024 keys");
  settings->api_keys = std::move(keys);
  settings->tenants_file = std::move(file);
  return ok_status();
}

Status set_admin_key(const Values& values, Settings* settings, Warnings*) {
  WEIR_RETURN_IF_ERROR(check_api_key(values.back()));
  settings->admin_key = values.back();
  return ok_status();
}

Status set_memory_poll(const Values& values, Settings* settings, Warnings*) {
  WEIR_ASSIGN_OR_RETURN(const int64_t ms, parse_duration_ms(values.back()));
  if (ms < 10 || ms > 60'000) {
    return invalid_argument("'" + values.back() + "' is out of range; choose 10ms to 60s");
  }
  settings->memory_poll_ms = ms;
  return ok_status();
}

Status set_system_root(const Values& values, Settings* settings, Warnings* warnings) {
  settings->system_root = values.back();
  if (values.back() != "/") {
    warnings->push_back("memory limits and pressure are read under " + values.back() + ", which is for tests alone");
  }
  return ok_status();
}

Status set_test_stall(const Values& values, Settings* settings, Warnings* warnings) {
  const std::string& value = values.back();
  const std::string number = value.substr(0, value.find(':'));
  const bool digits = !number.empty() && number.size() <= 9 && number.find_first_not_of("0123456789") == std::string::npos;
  if (!value.empty() && (!digits || (value != number && value != number + ":deaf"))) {
    return invalid_argument("write the tokens of the prompts to hang on, such as 5 or 5:deaf");
  }
  settings->test_stall = value;
  if (!value.empty()) warnings->push_back("requests of " + number + " prompt tokens will hang, which is for tests alone");
  return ok_status();
}

Status set_quant_policy(const Values& values, Settings* settings, Warnings*) {
  const std::string& value = values.back();
  if (value != "0" && value != "4" && value != "8") {
    return invalid_argument("'" + value.substr(0, 32) +
                            "' is not supported; choose 8 (int8 KV cache), 4 (int4) or 0");
  }
  settings->quant_policy = value[0] - '0';
  return ok_status();
}

Status set_cpu_set(const Values& values, Settings* settings, Warnings*) {
  if (!values.back().empty()) WEIR_RETURN_IF_ERROR(parse_cpu_list(values.back()).status());
  settings->cpu_set = values.back();
  return ok_status();
}

Status set_log_level(const Values& values, Settings* settings, Warnings*) {
  WEIR_ASSIGN_OR_RETURN(settings->log_level, parse_log_level(values.back()));
  return ok_status();
}

constexpr char kModel[] = "model";
constexpr char kRunning[] = "running and waiting";
constexpr char kMemory[] = "memory";
constexpr char kCpu[] = "cpu";
constexpr char kDoor[] = "front door";

using S = Settings;

std::vector<SettingOption> make_options() {
  return {
      {{"model", "DIR", "", "a local Hugging Face directory", ""}, text(&S::model)},
      {{"model-name", "NAME", kModel, "as clients call it; empty: the directory's name", ""}, set_model_name},
      {{"chat-template", "FILE", kModel, "a Jinja file that replaces the model's own", ""},
       text(&S::chat_template)},
      {{"parse-special-in-content", "", kModel, "text of messages that spells a control token becomes one", ""},
       switched_on(&S::parse_special_in_content)},
      {{"model-format", "FORMAT", kModel, "auto: as the checkpoint; int8, int4, ...: quantised at load", "auto"},
       word(&S::model_format, {"auto", "int8", "int4", "int4-g64", "int4z", "int4z-g64"})},
      {{"dtype", "TYPE", kModel, "auto, float32, bfloat16 or float16", "auto"},
       word(&S::dtype, {"auto", "float32", "bfloat16", "float16"})},
      {{"weight-cache", "DIR", kModel, "keeps the packed weights here, for a faster next start", ""},
       text(&S::weight_cache)},
      {{"session-len", "TOKENS", kModel, "prompt + answer; 0: the model's context, or what fits", "0"},
       integer(&S::session_len, 0, 1 << 24)},

      {{"max-batch-size", "N", kRunning, "sequences in one step; 0: as the next, or 32", "0"},
       integer(&S::max_batch_size, 0, kSequencesMax)},
      {{"max-concurrent-requests", "N", kRunning, "sequences that run at once; 0: as the one above", "0"},
       integer(&S::max_concurrent_requests, 0, kSequencesMax)},
      {{"max-queued-requests", "N", kRunning, "sequences that may wait; 0: refuse when full", "128"},
       integer(&S::max_queued_requests, 0, 100'000)},
      {{"max-queued-tokens", "N", kRunning, "prompt tokens that may wait; 0: 4 x the session", "0"},
       integer(&S::max_queued_tokens, 0, kTokensMax)},
      {{"queue-timeout", "TIME", kRunning, "longest wait for a place; 0: no limit", "60s"},
       duration(&S::queue_timeout_ms)},
      {{"max-prefill-token-num", "N", kRunning, "tokens of one step, decodes and prefill", "512"},
       integer(&S::max_prefill_token_num, 1, 1 << 20)},
      {{"speculative", "MODE", kRunning, "guess next tokens: off, or ngram: from the own text", "off"},
       word(&S::speculative, {"off", "ngram"})},
      {{"speculative-tokens", "N", kRunning, "guesses of one sequence in a step, at most", "8"},
       integer(&S::speculative_tokens, 1, 16)},

      {{"cache-max-entry-count", "SHARE", kMemory, "KV cache: ratio of the rest, blocks, or 8GiB", "0.8"},
       set_cache_share},
      {{"cache-block-seq-len", "TOKENS", kMemory, "tokens of a KV block, a power of two", "64"}, set_block},
      {{"enable-prefix-caching", "on|off", kMemory, "share the KV of texts that begin alike", "on", false, true},
       boolean(&S::enable_prefix_caching)},
      {{"reservation", "KIND", kMemory, "overcommit: by forecast; guaranteed: max_tokens held", "overcommit"},
       word(&S::reservation, {"overcommit", "guaranteed"})},
      {{"overcommit-quantile", "SHARE", kMemory, "of past answer lengths that the forecast covers", "0.9"},
       fraction(&S::overcommit_quantile)},
      {{"quant-policy", "0|4|8", kMemory, "KV cache: 8: int8, 4: int4, 0: the model's float type", "0"},
       set_quant_policy},
      {{"memory-limit", "BYTES", kMemory, "for the whole process; 0: what machine and cgroup allow", "0"},
       bytes(&S::memory_limit, 16 * kMiB, uint64_t{1} << 50, true)},
      {{"memory-governor", "MODE", kMemory, "on, off, or observe: count and log, do nothing", "on"},
       word(&S::memory_governor, {"on", "off", "observe"})},
      {{"memory-reserve", "BYTES", kMemory, "room that is to stay free; 0: 4 % of the limit", "0"},
       bytes(&S::memory_reserve, kMiB, uint64_t{1} << 50, true)},
      {{"memory-poll", "TIME", kMemory, "how often memory pressure is looked at", "250ms"}, set_memory_poll},
      {{"mlock", "", kMemory, "lock the planned memory, so that it is never swapped", ""}, switched_on(&S::mlock)},
      {{"host-request-bytes", "BYTES", kMemory, "host memory of all requests; 0: from the other settings", "0"},
       bytes(&S::host_request_bytes, kMiB, uint64_t{1} << 46, true)},
      {{"host-bytes-per-request", "BYTES", kMemory, "host memory of one request; 0: half of the above", "0"},
       bytes(&S::host_bytes_per_request, 64 * kKiB, uint64_t{1} << 46, true)},

      {{"device", "NAME", kCpu, "where the model runs", "cpu"}, word(&S::device, {"cpu"})},
      {{"threads", "N", kCpu, "workers of the forward; 0: one a core, as the CPU quota allows", "0"},
       integer(&S::threads, 0, 1024)},
      {{"cpu-set", "LIST", kCpu, "CPUs for them, such as 0-3,8; empty: all it may use", ""}, set_cpu_set},
      {{"pin-threads", "on|off", kCpu, "keep each worker on one CPU", "on"}, boolean(&S::pin_threads)},

      {{"server-name", "ADDRESS", kDoor, "where to listen; 0.0.0.0: everywhere; or unix:/PATH", "127.0.0.1"},
       set_server_name},
      {{"server-port", "PORT", kDoor, "0: choose a free one and print it", "23333"},
       integer(&S::server_port, 0, 65535)},
      {{"io-threads", "N", kDoor, "threads for sockets", "1"}, integer(&S::io_threads, 1, 64)},
      {{"text-threads", "N", kDoor, "threads for templates and tokenising; 0: from the CPUs", "0"},
       integer(&S::text_threads, 0, 64)},
      {{"api-keys", "FILE.toml|@FILE|KEY", kDoor, "tenants, or keys; none: no keys asked", "", true}, set_api_keys},
      {{"admin-key", "KEY", kDoor, "for /admin/; none: closed. Better in the environment", ""}, set_admin_key},
      {{"max-connections", "N", kDoor, "open connections", "4096"}, integer(&S::max_connections, 1, 1'000'000)},
      {{"max-connections-per-peer", "N", kDoor, "of one address; 0: no limit, as behind a proxy", "0"},
       integer(&S::max_connections_per_peer, 0, 1'000'000)},
      {{"refusals-per-second", "N", kDoor, "to a tenant that are made at once; 0: no limit", "2000"},
       integer(&S::refusals_per_second, 0, 1'000'000)},
      {{"max-body-bytes", "BYTES", kDoor, "largest request body", "8MiB"},
       bytes(&S::max_body_bytes, kKiB, kGiB, false)},
      {{"drain-timeout", "TIME", kDoor, "how long a stop waits for running answers", "30s"},
       duration(&S::drain_timeout_ms)},
      {{"log-level", "LEVEL", kDoor, "debug, info, warning, error or off", "info"}, set_log_level},

      {{"system-root", "DIR", "", "", "/"}, set_system_root},
      {{"test-stall", "TOKENS", "", "", ""}, set_test_stall},
      {{"tp", "N", "", "", "1"}, only("1", "weir runs a model in one process on one device; leave it out")},
  };
}

}  // namespace

const std::vector<SettingOption>& setting_options() {
  static const std::vector<SettingOption> options = [] {
    std::vector<SettingOption> all = make_options();
    for (std::vector<SettingOption> more : {concurrency_options(), browser_options()}) {
      all.insert(all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
    }
    return all;
  }();
  return options;
}

std::vector<OptionSpec> settings_flags() {
  std::vector<OptionSpec> flags;
  for (const SettingOption& option : setting_options()) {
    if (option.spec.name != "model") flags.push_back(option.spec);
  }
  flags.push_back(
      {"config", "FILE", "sources", "a TOML file with the names above, under [serve] or at the top", ""});
  return flags;
}

std::string environment_name(const std::string& option) {
  std::string name = "WEIR_";
  for (char c : option) name += c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
  return name;
}

}  // namespace weir
