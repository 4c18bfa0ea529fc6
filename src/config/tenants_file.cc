#include "config/tenants_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "base/files.h"
#include "base/units.h"
#include "config/nearest.h"
#include "config/toml_parser.h"

namespace weir {
namespace {

constexpr uint64_t kFileBytesMax = 1 << 20;
constexpr size_t kNameBytesMax = 64;
constexpr int64_t kSequencesMax = 1'000'000;
constexpr int64_t kTokensPerMinuteMax = 1'000'000'000;
constexpr uint64_t kHostBytesMin = 64 * kKiB;
constexpr std::string_view kKeyPrefix = "sha256:";

using Classes = std::vector<std::string>;
using ReadField = std::function<Status(const toml::node&, const Classes&, TenantSetting*)>;

// What came from outside, short and on one line.
std::string shown(std::string_view text) {
  std::string out(text.substr(0, 40));
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return "\"" + out + (text.size() > 40 ? "...\"" : "\"");
}

Result<std::string> as_text(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  return invalid_argument("must be a string in quotes");
}

Result<double> as_number(const toml::node& node) {
  if (const auto* number = node.as_floating_point()) return number->get();
  if (const auto* number = node.as_integer()) return static_cast<double>(number->get());
  return invalid_argument("must be a number");
}

Result<std::vector<std::string>> as_texts(const toml::node& node) {
  const toml::array* list = node.as_array();
  if (list == nullptr) return invalid_argument("must be a list of strings, such as [\"...\"]");
  std::vector<std::string> texts;
  for (const toml::node& item : *list) {
    WEIR_ASSIGN_OR_RETURN(std::string text, as_text(item));
    texts.push_back(std::move(text));
  }
  return texts;
}

std::string joined(const Classes& names) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  return list;
}

Status check_class(const std::string& name, const Classes& classes) {
  if (std::find(classes.begin(), classes.end(), name) != classes.end()) return ok_status();
  return invalid_argument(shown(name) + " is none of the classes " + joined(classes) + " (--classes)");
}

Status read_name(const toml::node& node, const Classes&, TenantSetting* tenant) {
  WEIR_ASSIGN_OR_RETURN(tenant->name, as_text(node));
  if (is_tenant_name(tenant->name)) return ok_status();
  return invalid_argument(shown(tenant->name) + " is no tenant's name; use a-z, 0-9, -, _ and ., up to 64 of them");
}

Status read_weight(const toml::node& node, const Classes&, TenantSetting* tenant) {
  WEIR_ASSIGN_OR_RETURN(tenant->weight, as_number(node));
  if (tenant->weight >= 0.001 && tenant->weight <= 1000) return ok_status();  // false for nan
  return invalid_argument(fmt::format("{} is no weight; choose 0.001 to 1000", tenant->weight));
}

Status read_kv_share(const toml::node& node, const Classes&, TenantSetting* tenant) {
  WEIR_ASSIGN_OR_RETURN(tenant->kv_share, as_number(node));
  if (tenant->kv_share >= 0.001 && tenant->kv_share <= 1) return ok_status();
  return invalid_argument(fmt::format("{} is no share of the KV pool; choose 0.001 to 1", tenant->kv_share));
}

Status read_class(const toml::node& node, const Classes& classes, TenantSetting* tenant) {
  WEIR_ASSIGN_OR_RETURN(tenant->class_name, as_text(node));
  return check_class(tenant->class_name, classes);
}

Status read_classes(const toml::node& node, const Classes& classes, TenantSetting* tenant) {
  WEIR_ASSIGN_OR_RETURN(tenant->classes, as_texts(node));
  if (tenant->classes.empty()) return invalid_argument("is empty; name classes, or leave it out");
  for (const std::string& name : tenant->classes) WEIR_RETURN_IF_ERROR(check_class(name, classes));
  return ok_status();
}

// Never repeats the text: it may be a key.
Status read_keys(const toml::node& node, const Classes&, TenantSetting* tenant) {
  WEIR_ASSIGN_OR_RETURN(const std::vector<std::string> texts, as_texts(node));
  if (texts.size() > kKeysPerTenantMax) {
    return invalid_argument(fmt::format("holds {} keys; a tenant has at most {}", texts.size(), kKeysPerTenantMax));
  }
  for (size_t i = 0; i < texts.size(); ++i) {
    const bool prefixed = texts[i].rfind(kKeyPrefix, 0) == 0;
    const auto digest =
        prefixed ? sha256_from_hex(std::string_view(texts[i]).substr(kKeyPrefix.size())) : std::nullopt;
    if (digest) {
      tenant->keys.push_back(*digest);
    } else if (prefixed) {
      return invalid_argument(fmt::format("key {} is not \"sha256:\" and 64 hexadecimal digits", i + 1));
    } else {
      return invalid_argument(
          fmt::format("key {} is not hashed; write \"sha256:\" and what "
                      "printf %s KEY | sha256sum prints, or make a new one with weir key",
                      i + 1));
    }
  }
  return ok_status();
}

ReadField whole_number(std::optional<int64_t> TenantSetting::*member, int64_t min, int64_t max) {
  return [=](const toml::node& node, const Classes&, TenantSetting* tenant) -> Status {
    const auto* number = node.as_integer();
    if (number == nullptr || number->get() < min || number->get() > max) {
      return invalid_argument(fmt::format("must be a whole number from {} to {}", min, max));
    }
    tenant->*member = number->get();
    return ok_status();
  };
}

Status read_host_bytes(const toml::node& node, const Classes&, TenantSetting* tenant) {
  uint64_t bytes = 0;
  if (const auto* number = node.as_integer()) {
    bytes = static_cast<uint64_t>(std::max<int64_t>(number->get(), 0));
  } else {
    WEIR_ASSIGN_OR_RETURN(const std::string text, as_text(node));
    WEIR_ASSIGN_OR_RETURN(bytes, parse_bytes(text));
  }
  if (bytes < kHostBytesMin) return invalid_argument("is less than 64KiB, which no request fits in");
  tenant->host_bytes = bytes;
  return ok_status();
}

const std::map<std::string, ReadField, std::less<>>& fields() {
  using T = TenantSetting;
  static const std::map<std::string, ReadField, std::less<>> table = {
      {"name", read_name},
      {"weight", read_weight},
      {"class", read_class},
      {"classes", read_classes},
      {"keys", read_keys},
      {"concurrent", whole_number(&T::concurrent, 1, kSequencesMax)},
      {"queued", whole_number(&T::queued, 0, kSequencesMax)},
      {"tokens_per_minute", whole_number(&T::tokens_per_minute, 1, kTokensPerMinuteMax)},
      {"kv_share", read_kv_share},
      {"host_bytes", read_host_bytes},
  };
  return table;
}

Status unknown_field(std::string_view name) {
  std::vector<std::string> known;
  for (const auto& [field, read] : fields()) known.push_back(field);
  const std::string meant = did_you_mean(name.substr(0, 64), known);
  return invalid_argument("unknown field " + shown(name) +
                          (meant.empty() ? "; there are " + joined(known) : meant));
}

Result<TenantSetting> read_tenant(const toml::table& table, const std::string& where, const Classes& classes) {
  TenantSetting tenant;
  for (const auto& [key, node] : table) {
    const std::string line = toml_line(where, node.source());
    const auto field = fields().find(key.str());
    if (field == fields().end()) return unknown_field(key.str()).with_prefix(toml_line(where, key.source()));
    const Status read = field->second(node, classes, &tenant);
    if (!read.ok()) return read.with_prefix(line + ": " + field->first);
  }
  const std::string line = toml_line(where, table.source());
  if (tenant.name.empty()) return invalid_argument(line + ": a tenant without a name");
  if (!table.contains("keys") && tenant.name != kDefaultTenant) {
    return invalid_argument(line + ": tenant " + tenant.name +
                            " has no keys; weir key makes one, and keys = [] shuts it out");
  }
  return tenant;
}

// Names and keys are each one tenant's, once.
class Seen {
 public:
  Status add(const TenantSetting& tenant, const std::string& line) {
    if (const auto [at, fresh] = names_.emplace(tenant.name, line); !fresh) {
      return invalid_argument(line + ": tenant " + tenant.name + " stands at " + at->second + " already; keep one");
    }
    for (size_t i = 0; i < tenant.keys.size(); ++i) {
      if (const auto [at, fresh] = keys_.emplace(tenant.keys[i], tenant.name); !fresh) {
        return invalid_argument(
            fmt::format("{}: key {} of tenant {} is a key of {} already; a key belongs to one tenant", line, i + 1,
                        tenant.name, at->second));
      }
    }
    return ok_status();
  }

 private:
  std::map<std::string, std::string> names_;
  std::map<Sha256, std::string> keys_;
};

}  // namespace

bool is_tenant_name(std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  };
  return !name.empty() && name.size() <= kNameBytesMax && std::all_of(name.begin(), name.end(), allowed);
}

Result<std::vector<TenantSetting>> parse_tenants_toml(std::string_view text, const std::string& where,
                                                      const Classes& classes) {
  const toml::parse_result parsed = toml::parse(text);
  if (!parsed) {
    return invalid_argument(toml_line(where, parsed.error().source()) + ": " +
                            toml_message(parsed.error()));
  }
  for (const auto& [key, node] : parsed.table()) {
    if (key.str() == "tenant" && node.is_array_of_tables()) continue;
    return invalid_argument(toml_line(where, key.source()) + ": " + shown(key.str()) +
                            " is not known here; the file holds [[tenant]] tables alone");
  }
  const toml::array* tables = parsed.table()["tenant"].as_array();
  if (tables == nullptr || tables->empty()) {
    return invalid_argument(where + ": holds no tenant; write a [[tenant]] with name and keys");
  }
  std::vector<TenantSetting> tenants;
  Seen seen;
  for (const toml::node& node : *tables) {
    WEIR_ASSIGN_OR_RETURN(TenantSetting tenant, read_tenant(*node.as_table(), where, classes));
    WEIR_RETURN_IF_ERROR(seen.add(tenant, toml_line(where, node.source())));
    tenants.push_back(std::move(tenant));
  }
  if (tenants.size() > kTenantsInFileMax) {
    return invalid_argument(
        fmt::format("{}: holds {} tenants; a server has at most {}", where, tenants.size(), kTenantsInFileMax));
  }
  return tenants;
}

Result<std::vector<TenantSetting>> read_tenants_file(const std::string& path, const Classes& classes) {
  WEIR_ASSIGN_OR_RETURN(const std::string text, read_small_file(path, kFileBytesMax));
  return parse_tenants_toml(text, path, classes);
}

}  // namespace weir
