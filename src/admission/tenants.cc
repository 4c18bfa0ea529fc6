#include "admission/tenants.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"
#include "base/random_bytes.h"

namespace weir {
namespace {

Caller caller_of(const TenantDirectory::Entry& entry) {
  return {.tenant = entry.tenant, .class_index = entry.policy.class_index, .classes = entry.policy.classes};
}

}  // namespace

TenantDirectory::TenantDirectory(std::vector<Entry> entries, bool asks_for_keys)
    : entries_(std::move(entries)), asks_for_keys_(asks_for_keys) {
  fill_random(salt_);
  for (const Entry& entry : entries_) {
    if (entry.tenant == 0) everybody_ = caller_of(entry);
    if (!entry.policy.keys.empty()) ++tenants_with_keys_;
    for (const Sha256& key : entry.policy.keys) by_key_.emplace_back(salted(key), caller_of(entry));
  }
  std::sort(by_key_.begin(), by_key_.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
}

TenantDirectory::Salted TenantDirectory::salted(const Sha256& digest) const {
  std::array<char, 64> both;
  std::copy(salt_.begin(), salt_.end(), both.begin());
  std::copy(digest.begin(), digest.end(), both.begin() + salt_.size());
  return sha256({both.data(), both.size()});
}

// Time tells nothing useful here. The search compares salted digests: where a guess lands among them, and how many
// of their bytes are equal, follows from a salt that never leaves this process, so no series of guesses can be
// steered towards a key, or towards its stored digest. The two hashes take a time that depends on the length alone.
const Caller* TenantDirectory::find(std::string_view key) const {
  if (key.size() > kKeyBytesMax) return nullptr;
  const Salted wanted = salted(sha256(key));
  const auto at = std::lower_bound(by_key_.begin(), by_key_.end(), wanted,
                                   [](const auto& entry, const Salted& value) { return entry.first < value; });
  return at != by_key_.end() && at->first == wanted ? &at->second : nullptr;
}

Tenants::Tenants(FrontDoor* door, TenantBoard* board, int32_t default_class)
    : door_(door), board_(board), default_class_(default_class) {
  indices_.emplace(kDefaultTenantName, 0);
  WEIR_CHECK(replace({}, false, 0).ok());
}

std::shared_ptr<const TenantDirectory> Tenants::directory() const {
  std::lock_guard lock(mutex_);
  return directory_;
}

std::vector<TenantDirectory::Entry> Tenants::with_indices(std::vector<TenantPolicy> policies) {
  std::vector<TenantDirectory::Entry> entries;
  entries.reserve(policies.size());
  for (TenantPolicy& policy : policies) {
    const auto at = indices_.emplace(policy.name, static_cast<int32_t>(indices_.size())).first;
    entries.push_back({std::move(policy), at->second});
  }
  return entries;
}

// What still runs of a tenant that is gone keeps its weight and its limits to the end.
void Tenants::apply(int32_t tenant, const TenantPolicy* policy, Micros now) {
  if (policy == nullptr) return door_->close_tenant(tenant);
  door_->set_tenant({tenant, now}, policy->limits, policy->weight_milli);
  TenantKnobs& knobs = board_->knobs[static_cast<size_t>(tenant)];
  knobs.weight_milli.store(static_cast<int32_t>(policy->weight_milli), std::memory_order_relaxed);
  knobs.running_max.store(static_cast<int32_t>(policy->limits.concurrent.value_or(0)), std::memory_order_relaxed);
  knobs.kv_share_milli.store(policy->kv_share_milli, std::memory_order_relaxed);
}

Status Tenants::replace(std::vector<TenantPolicy> policies, bool asks_for_keys, Micros now) {
  const auto is_default = [](const TenantPolicy& policy) { return policy.name == kDefaultTenantName; };
  if (std::none_of(policies.begin(), policies.end(), is_default)) {
    policies.push_back({.name = kDefaultTenantName, .class_index = default_class_});
  }
  std::lock_guard writing(writing_);
  const auto fresh = std::count_if(policies.begin(), policies.end(),
                                   [&](const TenantPolicy& policy) { return indices_.count(policy.name) == 0; });
  if (const size_t names = indices_.size() + static_cast<size_t>(fresh); names > kTenantsMax) {
    return {
        Code::kResourceExhausted,
        fmt::format("with these tenants the server would have known {} names since its start, and {} is the most; "
                    "restart it",
                    names, kTenantsMax)};
  }
  // The keys are hashed here, while requests go on with the old directory.
  auto next = std::make_shared<const TenantDirectory>(with_indices(std::move(policies)), asks_for_keys);
  std::vector<const TenantPolicy*> now_there(indices_.size());
  for (const TenantDirectory::Entry& entry : next->entries()) {
    // Where keys are asked for and a tenant has none, nobody can come as it, and no room is kept for it.
    const bool can_come = !asks_for_keys || !entry.policy.keys.empty();
    now_there[static_cast<size_t>(entry.tenant)] = can_come ? &entry.policy : nullptr;
  }
  for (size_t i = 0; i < now_there.size(); ++i) apply(static_cast<int32_t>(i), now_there[i], now);
  door_->deal_shares();
  board_->used.store(static_cast<int32_t>(now_there.size()), std::memory_order_relaxed);
  std::shared_ptr<const Names> names = names_by_index();
  std::lock_guard lock(mutex_);
  directory_ = std::move(next);
  names_ = std::move(names);
  return ok_status();
}

std::shared_ptr<const Tenants::Names> Tenants::names_by_index() const {
  auto names = std::make_shared<Names>(indices_.size());
  for (const auto& [name, index] : indices_) (*names)[static_cast<size_t>(index)] = name;
  return names;
}

std::shared_ptr<const Tenants::Names> Tenants::names() const {
  std::lock_guard lock(mutex_);
  return names_;
}

}  // namespace weir
