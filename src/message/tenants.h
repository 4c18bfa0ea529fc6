// TenantBoard: what the engine must know of tenants, and what it counts for them.
//
// A tenant is known to the engine by its index in [0, kTenantsMax); 0 is everybody without a key of their own. Names,
// keys and all limits that hold at the door live in admission/. Knobs are written by whoever reloads the key file and
// read by the engine at its next step; gauges are written by the engine and read anywhere. All relaxed atomics.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace weir {

inline constexpr int kTenantsMax = 1024;

struct TenantKnobs {
  std::atomic<int32_t> weight_milli{1000};       // (0, 1e9]: share of service against other tenants of the same class
  std::atomic<int32_t> running_max{0};           // sequences that may run at once; 0: no limit of its own
  std::atomic<int32_t> kv_share_milli{1000};     // of the pool's blocks, [1, 1000]
};

struct TenantGauges {
  std::atomic<int32_t> running{0}, waiting{0};
  std::atomic<int64_t> kv_blocks{0};             // listed in the tables of its sequences
  std::atomic<uint64_t> prompt_tokens{0}, output_tokens{0};  // served: what fairness is measured on
};

struct TenantBoard {
  std::array<TenantKnobs, kTenantsMax> knobs;
  std::array<TenantGauges, kTenantsMax> gauges;
  std::atomic<int32_t> used{1};                  // tenants that were ever named are [0, used)
};

}  // namespace weir
