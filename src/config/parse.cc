#include "config/parse.h"

#include <sys/stat.h>
#include <unistd.h>

#include "config/nearest.h"
#include "config/options.h"
#include "config/tenants_file.h"
#include "config/toml_file.h"
#include "config/values.h"

namespace weir {
namespace {

std::vector<std::string> setting_names() {
  std::vector<std::string> names;
  for (const SettingOption& option : setting_options()) {
    if (option.spec.name == "model" || !option.spec.group.empty()) names.push_back(option.spec.name);
  }
  return names;
}

// One source of settings on its way into Settings.
struct Target {
  Settings* settings;
  std::vector<std::string>* warnings;

  Status set(const SettingOption& option, const std::vector<std::string>& values, const std::string& origin) const {
    const Status done = option.set(values, settings, warnings);
    return done.ok() ? done : done.with_prefix(origin);
  }
};

Status apply_file(const std::string& path, const Target& target) {
  Result<NamedTexts> file = read_settings_file(path, setting_names());
  if (!file.ok()) return file.status();
  for (const SettingOption& option : setting_options()) {
    const auto found = file->find(option.spec.name);
    if (found == file->end()) continue;
    if (found->second.size() > 1 && !option.spec.many) {
      return invalid_argument(path + ": " + option.spec.name + ": takes one value, not a list");
    }
    WEIR_RETURN_IF_ERROR(target.set(option, found->second, path + ": " + option.spec.name));
  }
  if (file->count("api-keys") != 0 && world_readable(path)) {
    target.warnings->push_back(
        path + " holds API keys and every user of this machine may read it; run: chmod o-r " + path);
  }
  return ok_status();
}

Status apply_environment(const Environment& environment, const Target& target) {
  for (const SettingOption& option : setting_options()) {
    const std::string name = environment_name(option.spec.name);
    const auto found = environment.find(name);
    if (found == environment.end() || found->second.empty()) continue;
    const std::vector<std::string> values =
        option.spec.many ? split_words(found->second, " ,\t\n") : std::vector<std::string>{found->second};
    WEIR_RETURN_IF_ERROR(target.set(option, values, name));
  }
  return ok_status();
}

// A mistyped variable is silent otherwise. Other WEIR_ variables exist (scripts, tests), so only near misses count.
void warn_of_near_misses(const Environment& environment, std::vector<std::string>* warnings) {
  std::vector<std::string> known;
  for (const std::string& name : setting_names()) known.push_back(environment_name(name));
  const std::vector<std::string> others = {"WEIR_CONFIG", "WEIR_API_KEY", "WEIR_PORT"};
  known.insert(known.end(), others.begin(), others.end());
  for (auto at = environment.lower_bound("WEIR_"); at != environment.end() && at->first.rfind("WEIR_", 0) == 0;
       ++at) {
    const std::string meant = nearest_word(at->first, known);
    const size_t distance = meant.empty() ? 0 : edit_distance(at->first, meant);
    if (distance == 0 || distance > 2) continue;
    warnings->push_back("the environment variable " + at->first + " is not one of weir's; did you mean " + meant +
                        "?");
  }
}

Status apply_flags(const ParsedCommand& command, const Target& target) {
  for (const SettingOption& option : setting_options()) {
    const auto found = command.values.find(option.spec.name);
    if (found == command.values.end()) continue;
    WEIR_RETURN_IF_ERROR(target.set(option, found->second, "--" + option.spec.name));
    const bool key_in_sight = option.spec.name == "api-keys" && found->second[0][0] != '@' && !target.settings->api_keys.empty();
    if (key_in_sight) {
      target.warnings->push_back(
          "keys on the command line are visible to every user of this machine; "
          "--api-keys @FILE keeps them out of sight");
    }
  }
  return ok_status();
}

// A Unix socket too: the rights of its file say which users may connect.
bool is_loopback(const std::string& name) {
  return name.rfind("unix:", 0) == 0 || name == "localhost" || name == "::1" || name.rfind("127.", 0) == 0;
}

Status resolve_classes(Settings* settings) {
  std::string names;
  for (const ClassSetting& one : settings->classes) {
    names += (names.empty() ? "" : ", ") + one.name;
    if (settings->default_class.empty() && one.kind == "standard") settings->default_class = one.name;
    if (settings->default_class == one.name) return ok_status();
  }
  if (settings->default_class.empty() && !settings->classes.empty()) {
    settings->default_class = settings->classes.front().name;
    return ok_status();
  }
  return invalid_argument("--default-class " + settings->default_class.substr(0, 40) + " is none of --classes: " + names);
}

// Where it holds digests alone, others may read it; so nothing is said of its rights.
Status read_tenants(Settings* settings) {
  if (settings->tenants_file.empty()) return ok_status();
  std::vector<std::string> classes;
  for (const ClassSetting& one : settings->classes) classes.push_back(one.name);
  WEIR_ASSIGN_OR_RETURN(settings->tenants, read_tenants_file(settings->tenants_file, classes));
  return ok_status();
}

Status check_model(const std::string& model) {
  if (model.empty()) return invalid_argument("no model given: weir serve DIRECTORY; see weir serve --help");
  struct stat info {};
  if (::stat(model.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) return ok_status();
  return not_found(model +
                   ": is not a directory; give a local Hugging Face directory (config.json, *.safetensors, "
                   "tokenizer.json)");
}

}  // namespace

Environment process_environment() {
  Environment result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const size_t equals = text.find('=');
    if (equals != std::string::npos) result.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return result;
}

Status resolve_settings(Settings* settings, std::vector<std::string>* warnings) {
  int& batch = settings->max_batch_size;
  int& concurrent = settings->max_concurrent_requests;
  if (batch > 0 && concurrent > batch) {
    return invalid_argument("--max-concurrent-requests " + std::to_string(concurrent) +
                            " is above --max-batch-size " + std::to_string(batch) +
                            "; give one of them, or lower the first to the second");
  }
  if (batch == 0) batch = concurrent > 0 ? concurrent : 32;
  if (concurrent == 0) concurrent = batch;
  if (settings->max_prefill_token_num < concurrent) {
    return invalid_argument("--max-prefill-token-num " + std::to_string(settings->max_prefill_token_num) +
                            " leaves no token in a step for some of --max-concurrent-requests " +
                            std::to_string(concurrent) + "; raise the first to at least " +
                            std::to_string(concurrent));
  }
  if (settings->host_request_bytes > 0 && settings->host_bytes_per_request > settings->host_request_bytes) {
    return invalid_argument("--host-bytes-per-request " + std::to_string(settings->host_bytes_per_request) +
                            " is above --host-request-bytes " + std::to_string(settings->host_request_bytes) +
                            "; lower the first, or leave it out");
  }
  const std::vector<std::string>& origins = settings->allow_origins;
  if (settings->allow_credentials && std::find(origins.begin(), origins.end(), "*") != origins.end()) {
    return invalid_argument(
        "--allow-credentials lets every page act as its visitor where --allow-origins is *; name the "
        "origins, or leave --allow-credentials out");
  }
  WEIR_RETURN_IF_ERROR(resolve_classes(settings));
  WEIR_RETURN_IF_ERROR(read_tenants(settings));
  if (settings->api_keys.empty() && settings->tenants_file.empty() && !is_loopback(settings->server_name)) {
    warnings->push_back("anyone who can reach " + settings->server_name +
                        " may use this server; --api-keys asks clients for a key");
  }
  return check_model(settings->model);
}

Result<Settings> settings_from(const ParsedCommand& command, const Environment& environment,
                               std::vector<std::string>* warnings) {
  Settings settings;
  const Target target{&settings, warnings};
  const auto variable = environment.find("WEIR_CONFIG");
  const std::string path = command.value_or("config", variable == environment.end() ? "" : variable->second);
  if (!path.empty()) WEIR_RETURN_IF_ERROR(apply_file(path, target));
  WEIR_RETURN_IF_ERROR(apply_environment(environment, target));
  warn_of_near_misses(environment, warnings);
  WEIR_RETURN_IF_ERROR(apply_flags(command, target));
  if (!command.positional.empty()) settings.model = command.positional;
  WEIR_RETURN_IF_ERROR(resolve_settings(&settings, warnings));
  return settings;
}

Result<Settings> parse_settings(const std::vector<std::string>& words, const Environment& environment,
                                std::vector<std::string>* warnings) {
  const CommandSpec spec{.name = "serve", .positional = "MODEL", .options = settings_flags()};
  WEIR_ASSIGN_OR_RETURN(const ParsedCommand command, parse_command(spec, words));
  return settings_from(command, environment, warnings);
}

}  // namespace weir
