#include "server/key_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/log.h"
#include "config/tenants_file.h"

namespace weir {
namespace {

ClassKind kind_of(const std::string& word) {
  return word == "urgent"       ? ClassKind::kUrgent
         : word == "background" ? ClassKind::kBackground
                                : ClassKind::kStandard;
}

int32_t milli(double number) { return std::max(1, static_cast<int32_t>(std::lround(number * 1000))); }

// REQUIRES: the names are among the classes, which read_tenants_file() has seen to.
TenantPolicy policy_of(const TenantSetting& tenant, const std::vector<PriorityClass>& classes,
                       int32_t default_class) {
  TenantPolicy policy{
      .name = tenant.name,
      .keys = tenant.keys,
      .weight_milli = milli(tenant.weight),
      .kv_share_milli = milli(tenant.kv_share),
      .class_index = tenant.class_name.empty() ? default_class : find_class(classes, tenant.class_name),
      .host_bytes_max = tenant.host_bytes.value_or(kBytesUnlimited),
      .limits = {
          .concurrent = tenant.concurrent, .queued = tenant.queued, .tokens_per_minute = tenant.tokens_per_minute}};
  policy.classes = tenant.classes.empty() ? ~0u << policy.class_index : 0;
  for (const std::string& name : tenant.classes) policy.classes |= 1u << find_class(classes, name);
  return policy;
}

}  // namespace

std::vector<PriorityClass> classes_of(const Settings& settings) {
  std::vector<PriorityClass> classes;
  for (const ClassSetting& one : settings.classes) classes.push_back({one.name, kind_of(one.kind)});
  return classes;
}

int32_t default_class_of(const Settings& settings) {
  return std::max(0, find_class(classes_of(settings), settings.default_class));
}

Result<std::vector<TenantPolicy>> tenant_policies(const Settings& settings,
                                                  const std::vector<TenantSetting>& tenants) {
  const std::vector<PriorityClass> classes = classes_of(settings);
  const int32_t default_class = default_class_of(settings);
  std::vector<TenantPolicy> policies;
  TenantPolicy everybody{.name = kDefaultTenantName, .class_index = default_class};
  std::set<Sha256> keys;
  for (const TenantSetting& tenant : tenants) {
    keys.insert(tenant.keys.begin(), tenant.keys.end());
    TenantPolicy policy = policy_of(tenant, classes, default_class);
    if (tenant.name == kDefaultTenantName) {
      everybody = std::move(policy);
    } else {
      policies.push_back(std::move(policy));
    }
  }
  for (size_t i = 0; i < settings.api_keys.size(); ++i) {
    const Sha256 digest = sha256(settings.api_keys[i]);
    if (!keys.insert(digest).second) {
      return invalid_argument(
          fmt::format("plain key {} of --api-keys stands there twice, or belongs to a tenant of {} too; "
                      "a key belongs to one tenant",
                      i + 1, settings.tenants_file.empty() ? "the key file" : settings.tenants_file));
    }
    everybody.keys.push_back(digest);
  }
  policies.push_back(std::move(everybody));
  return policies;
}

Result<TenantsLoaded> KeyFile::take(const std::vector<TenantSetting>& tenants) {
  WEIR_ASSIGN_OR_RETURN(std::vector<TenantPolicy> policies, tenant_policies(*settings_, tenants));
  const bool asks_for_keys = exists() || !settings_->api_keys.empty();
  WEIR_RETURN_IF_ERROR(tenants_->replace(std::move(policies), asks_for_keys, clock_->now_us()));
  TenantsLoaded loaded;
  for (const TenantDirectory::Entry& entry : tenants_->directory()->entries()) {
    ledger_->set_group_max(entry.tenant, entry.policy.host_bytes_max);
    loaded.keys += entry.policy.keys.size();
    loaded.tenants += entry.policy.keys.empty() ? 0 : 1;
  }
  return loaded;
}

Result<TenantsLoaded> KeyFile::load() {
  std::lock_guard lock(mutex_);
  return take(settings_->tenants);
}

Result<TenantsLoaded> KeyFile::read_and_take() {
  std::vector<std::string> classes;
  for (const ClassSetting& one : settings_->classes) classes.push_back(one.name);
  WEIR_ASSIGN_OR_RETURN(const std::vector<TenantSetting> tenants,
                        read_tenants_file(settings_->tenants_file, classes));
  return take(tenants);
}

Result<TenantsLoaded> KeyFile::reload() {
  std::lock_guard lock(mutex_);
  Result<TenantsLoaded> loaded = read_and_take();
  tenants_->count_reload(loaded.ok());
  if (loaded.ok()) {
    log_info("tenants", fmt::format("{} was read again; now in force: tenants {}, keys {}", settings_->tenants_file,
                                    loaded->tenants, loaded->keys));
  } else {
    log_warning("tenants",
                fmt::format("the key file was not taken, what was in force stays: {}", loaded.status().message()));
  }
  return loaded;
}

}  // namespace weir
