// Tenants: who may come in, as what. A TenantDirectory tells a key's tenant; Tenants swaps one directory for the
// next and hands the limits on to the FrontDoor and the engine's TenantBoard.
//
// Owner: the composition root. Threads: directory() and the readers on any thread, replace() on any, one at a time.
// A request takes one directory and keeps it for as long as it looks at it, so that a reload never changes it under
// its eyes; that is why it is a shared_ptr. A tenant keeps its index, and with it its counters, for as long as the
// server runs, also while no file names it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "admission/front_door.h"
#include "base/sha256.h"
#include "base/status.h"
#include "message/tenants.h"

namespace weir {

inline constexpr char kDefaultTenantName[] = "default";
inline constexpr size_t kKeyBytesMax = 256;  // of a key as a client sends it

// One tenant as the key file, or the lack of one, has it.
struct TenantPolicy {
  std::string name;
  std::vector<Sha256> keys;       // digests of its keys
  int64_t weight_milli = 1000;    // (0, 1e6]
  int32_t kv_share_milli = 1000;  // [1, 1000]
  int32_t class_index = 0;        // of requests that name none
  uint32_t classes = ~0u;         // bit i: its requests may ask for class i; its own is always allowed
  uint64_t host_bytes_max = std::numeric_limits<uint64_t>::max();  // for whoever keeps the ledger
  TenantLimits limits;
};

// What a request must know of its tenant.
struct Caller {
  int32_t tenant = 0;
  int32_t class_index = 0;
  uint32_t classes = ~0u;
  bool may_ask_for(int class_wanted) const {
    return class_wanted == class_index || (classes >> class_wanted & 1) != 0;
  }
};

// Immutable; any thread.
class TenantDirectory {
 public:
  struct Entry {
    TenantPolicy policy;
    int32_t tenant = 0;
  };
  // asks_for_keys: false: whoever comes is the tenant "default".
  TenantDirectory(std::vector<Entry> entries, bool asks_for_keys);

  bool asks_for_keys() const { return asks_for_keys_; }
  const Caller& everybody() const { return everybody_; }
  // RETURNS: null for a key that nobody has, and for one longer than kKeyBytesMax.
  const Caller* find(std::string_view key) const;
  const std::vector<Entry>& entries() const { return entries_; }
  int tenants_with_keys() const { return tenants_with_keys_; }

 private:
  using Salted = Sha256;
  Salted salted(const Sha256& digest) const;

  const std::vector<Entry> entries_;
  const bool asks_for_keys_;
  int tenants_with_keys_ = 0;
  Caller everybody_;
  std::array<uint8_t, 32> salt_;                   // secret, new for each directory
  std::vector<std::pair<Salted, Caller>> by_key_;  // sorted
};

class Tenants {
 public:
  // Begins open: no key is asked for and everybody is "default", without limits.
  // classes: how many there are; default_class: of requests that name none.
  Tenants(FrontDoor* door, TenantBoard* board, int32_t default_class);

  std::shared_ptr<const TenantDirectory> directory() const;

  // All or nothing: the new directory, limits, weights and knobs. What runs goes on; keys that are gone stop
  // working with the next request. policies: one for each name; "default" is added where it is missing, with no key
  // of its own. ERRORS: kResourceExhausted when more names than kTenantsMax were ever given; nothing has changed
  // then.
  Status replace(std::vector<TenantPolicy> policies, bool asks_for_keys, Micros now);

  using Names = std::vector<std::string>;
  // [index], of all that were ever named. Immutable and shared, so that no reader copies a thousand names under a
  // lock.
  std::shared_ptr<const Names> names() const;
  void count_reload(bool ok) { reloads_[ok ? 1 : 0].fetch_add(1, std::memory_order_relaxed); }
  uint64_t reloads(bool ok) const { return reloads_[ok ? 1 : 0].load(std::memory_order_relaxed); }

 private:
  // REQUIRES: writing_ held, and not mutex_.
  std::vector<TenantDirectory::Entry> with_indices(std::vector<TenantPolicy> policies);
  std::shared_ptr<const Names> names_by_index() const;
  void apply(int32_t tenant, const TenantPolicy* policy, Micros now);  // null: it is gone

  FrontDoor* const door_;
  TenantBoard* const board_;
  const int32_t default_class_;
  std::mutex writing_;        // held by replace(), which may take tens of milliseconds
  mutable std::mutex mutex_;  // held for moments: what follows is read by every request
  std::shared_ptr<const TenantDirectory> directory_;
  std::shared_ptr<const Names> names_;
  std::map<std::string, int32_t> indices_;  // of all names ever; under writing_ alone
  std::atomic<uint64_t> reloads_[2]{};
};

}  // namespace weir
