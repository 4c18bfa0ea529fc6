#include "http/body_budget.h"

#include "base/check.h"

namespace weir::http {

bool BodyBudget::try_take(size_t bytes) {
  size_t used = used_.load(std::memory_order_relaxed);
  do {
    if (bytes > bytes_max_ || used > bytes_max_ - bytes) return false;
  } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
  return true;
}

bool BodyCharge::try_add(size_t bytes) {
  if (budget_ && !budget_->try_take(bytes)) return false;
  bytes_ += bytes;
  return true;
}

void BodyCharge::give_back(size_t bytes) {
  WEIR_CHECK(bytes <= bytes_);
  bytes_ -= bytes;
  if (budget_) budget_->give(bytes);
}

}  // namespace weir::http
