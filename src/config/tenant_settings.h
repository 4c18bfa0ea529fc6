// TenantSetting: one [[tenant]] of the key file, as written and checked. A value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/sha256.h"

namespace weir {

inline constexpr size_t kTenantsInFileMax = 1023;  // and "default", which is always there
inline constexpr size_t kKeysPerTenantMax = 16;
inline constexpr char kDefaultTenant[] = "default";  // of plain keys, and of everybody where no key is asked for

struct TenantSetting {
  std::string name;                   // [a-z0-9_.-], 1 to 64 bytes
  double weight = 1;                  // [0.001, 1000]: share of service against other tenants of its class
  std::string class_name;             // empty: --default-class
  std::vector<std::string> classes;   // that its requests may ask for; empty: its own and every lower one
  std::vector<Sha256> keys;           // digests; none: nobody can be this tenant
  std::optional<int64_t> concurrent;  // sequences that run at once
  std::optional<int64_t> queued;      // sequences that may wait
  std::optional<int64_t> tokens_per_minute;
  std::optional<uint64_t> host_bytes;  // of all its requests together
  double kv_share = 1;                 // of the KV pool's blocks, (0, 1]
  bool operator==(const TenantSetting&) const = default;
};

}  // namespace weir
