#include "admission/queue_shares.h"

#include <algorithm>

#include "base/check.h"

namespace weir {

void QueueShares::recount() {
  int64_t weights = 0;
  for (const Tenant& tenant : tenants_) weights += tenant.weight_milli;
  lacking_ = 0;
  for (Tenant& tenant : tenants_) {
    // A quotient of doubles is exact enough for a share and cannot overflow.
    const double part = weights > 0 ? static_cast<double>(tenant.weight_milli) / static_cast<double>(weights) : 0;
    tenant.share = tenant.weight_milli > 0
                       ? std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(dealt_) * part))
                       : 0;
    lacking_ += tenant.lacking();
  }
}

void QueueShares::add(int tenant, int64_t amount) {
  Tenant& one = tenants_[static_cast<size_t>(tenant)];
  lacking_ -= one.lacking();
  one.held += amount;
  WEIR_CHECK(one.held >= 0);
  lacking_ += one.lacking();
}

int64_t QueueShares::kept_from(int tenant, int64_t more) const {
  const Tenant& one = tenants_[static_cast<size_t>(tenant)];
  if (one.held + more <= one.share) return 0;
  return std::min(kept_, lacking_ - one.lacking());
}

}  // namespace weir
