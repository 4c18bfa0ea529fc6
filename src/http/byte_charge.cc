#include "http/byte_charge.h"

#include "base/check.h"

namespace weir::http {

bool BodyBudget::try_take(size_t bytes) {
  size_t used = used_.load(std::memory_order_relaxed);
  do {
    if (bytes > bytes_max_ || used > bytes_max_ - bytes) return false;
  } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
  return true;
}

ByteCharge& ByteCharge::operator=(ByteCharge&& other) noexcept {
  if (this == &other) return *this;
  release();
  account_ = std::move(other.account_);
  budget_ = std::move(other.budget_);
  bytes_ = std::exchange(other.bytes_, 0);
  use_ = other.use_;
  return *this;
}

Granted ByteCharge::try_add(size_t bytes) {
  if (budget_ && !budget_->try_take(bytes)) return Granted::kBodiesFull;
  const Granted granted = account_ ? account_->take(use_, bytes) : Granted::kYes;
  if (granted == Granted::kYes) {
    bytes_ += bytes;
  } else if (budget_) {
    budget_->give(bytes);
  }
  return granted;
}

void ByteCharge::give_back(size_t bytes) {
  WEIR_CHECK(bytes <= bytes_);
  bytes_ -= bytes;
  if (bytes == 0) return;
  if (account_) account_->give(use_, bytes);
  if (budget_) budget_->give(bytes);
}

}  // namespace weir::http
