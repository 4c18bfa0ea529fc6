// The texts of workload.h: tenants and priorities.
#include "load/spec_text.h"
#include "load/workload.h"

namespace weir::load {
namespace {

constexpr double kShareMin = 1e-6, kShareMax = 1e6;

bool is_token(std::string_view text, size_t bytes_max) {
  if (text.empty() || text.size() > bytes_max) return false;
  for (char c : text) {
    if (c <= ' ' || c > '~') return false;
  }
  return true;
}

Result<Tenant> checked(std::string_view name, std::string_view key) {
  if (!is_token(name, 64))
    return invalid_argument("a tenant's name has 1 to 64 printable characters and no blanks");
  if (!is_token(key, 256)) {
    return invalid_argument("the key of tenant " + std::string(name) +
                            " must have 1 to 256 printable characters and no blanks");
  }
  Tenant tenant;
  tenant.name = std::string(name);
  tenant.key = std::string(key);
  return tenant;
}

Status take_number(std::string_view text, const char* what, double* number) {
  const Result<double> parsed = parse_number(text, kShareMin, kShareMax);
  if (!parsed.ok()) return parsed.status().with_prefix(what);
  *number = *parsed;
  return ok_status();
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (!(line = trimmed(line)).empty()) {
    const size_t end = std::min(line.find_first_of(" \t"), line.size());
    words.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
  return words;
}

}  // namespace

Result<Tenant> parse_tenant(std::string_view text) {
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos) {
    return invalid_argument("a tenant is written NAME=KEY, NAME=KEY:SHARE or NAME=KEY:SHARE:WEIGHT");
  }
  std::vector<std::string_view> parts = split(text.substr(equals + 1), ':');
  if (parts.size() > 3) {
    return invalid_argument("the key of tenant " + std::string(text.substr(0, std::min<size_t>(equals, 64))) +
                            " holds colons; put it into a file for --keys");
  }
  WEIR_ASSIGN_OR_RETURN(Tenant tenant, checked(text.substr(0, equals), parts[0]));
  if (parts.size() > 1) WEIR_RETURN_IF_ERROR(take_number(parts[1], "share", &tenant.share));
  if (parts.size() > 2) WEIR_RETURN_IF_ERROR(take_number(parts[2], "weight", &tenant.weight));
  return tenant;
}

Result<std::vector<Tenant>> parse_tenant_lines(std::string_view text, const std::string& name) {
  std::vector<Tenant> tenants;
  size_t number = 0;
  for (const std::string_view line : split(text, '\n')) {
    const std::string where = name + " line " + std::to_string(++number);
    const std::vector<std::string_view> words = words_of(line);
    if (words.empty() || words[0][0] == '#') continue;
    if (words.size() < 2 || words.size() > 4) {
      return invalid_argument(where + ": a tenant is written NAME KEY [SHARE [WEIGHT]]");
    }
    Result<Tenant> tenant = checked(words[0], words[1]);
    if (!tenant.ok()) return tenant.status().with_prefix(where);
    Status status = words.size() > 2 ? take_number(words[2], "share", &tenant->share) : ok_status();
    if (status.ok() && words.size() > 3) status = take_number(words[3], "weight", &tenant->weight);
    if (!status.ok()) return status.with_prefix(where);
    tenants.push_back(std::move(*tenant));
    if (tenants.size() > kTenantsMax) return invalid_argument(where + ": more than 1024 tenants");
  }
  if (tenants.empty()) return invalid_argument(name + ": holds no tenant; write lines NAME KEY [SHARE [WEIGHT]]");
  return tenants;
}

Result<std::vector<PriorityShare>> parse_priorities(std::string_view text) {
  std::vector<PriorityShare> priorities;
  double sum = 0;
  for (const std::string_view part : split(text, ',')) {
    const size_t equals = std::min(part.find('='), part.size());
    PriorityShare priority{.name = std::string(part.substr(0, equals))};
    if (equals == part.size() || !is_token(priority.name, 64)) {
      return invalid_argument("write CLASS=SHARE,CLASS=SHARE: interactive=0.3,batch=0.7");
    }
    for (const PriorityShare& other : priorities) {
      if (other.name == priority.name) return invalid_argument("class " + priority.name + " stands there twice");
    }
    WEIR_ASSIGN_OR_RETURN(priority.share, parse_number(part.substr(equals + 1), kShareMin, 1));
    sum += priority.share;
    priorities.push_back(std::move(priority));
  }
  if (sum > 1 + 1e-9) return invalid_argument("the shares of the classes add up to more than 1");
  return priorities;
}

}  // namespace weir::load
