#include "http/byte_charge.h"

#include "base/check.h"

namespace weir::http {

ByteCharge& ByteCharge::operator=(ByteCharge&& other) noexcept {
  if (this == &other) return *this;
  release();
  account_ = std::move(other.account_);
  budget_ = std::move(other.budget_);
  bytes_ = std::exchange(other.bytes_, 0);
  share_ = other.share_;
  use_ = other.use_;
  return *this;
}

Granted ByteCharge::try_add(size_t bytes) {
  const bool small = bytes_ + bytes <= kSmallChargeBytes;
  if (budget_ && !budget_->try_take(bytes, share_, small)) return Granted::kBudgetFull;
  const Granted granted = account_ ? account_->take(use_, bytes) : Granted::kYes;
  if (granted == Granted::kYes) {
    bytes_ += bytes;
  } else if (budget_) {
    budget_->give(bytes, share_);
  }
  return granted;
}

void ByteCharge::give_back(size_t bytes) {
  WEIR_CHECK(bytes <= bytes_);
  bytes_ -= bytes;
  if (bytes == 0) return;
  if (account_) account_->give(use_, bytes);
  if (budget_) budget_->give(bytes, share_);
}

}  // namespace weir::http
