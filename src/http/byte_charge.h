// ByteCharge: bytes held for one request, taken before they are allocated and given back when it is destroyed: from
// a ByteBudget that clients share, from the request's account in the ByteBook, or from both.
//
// Owner: the Server and every charge jointly, because a Request may be moved to another thread and outlive the
// server. Thread: one at a time. Limits: those of the ByteBudget and of the ByteBook. Never blocks: full is an
// answer.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include "http/byte_book.h"
#include "http/byte_budget.h"

namespace weir::http {

inline constexpr size_t kSmallChargeBytes = 16 * 1024;  // a charge up to here may use a budget's reserve

// Move-only. account or budget may be null: then that one does not count. An empty charge (default) charges nobody.
class [[nodiscard]] ByteCharge {
 public:
  ByteCharge() = default;
  ByteCharge(std::shared_ptr<ByteAccount> account, ByteUse use, std::shared_ptr<ByteBudget> budget = nullptr,
             ByteShare share = 0)
      : account_(std::move(account)), budget_(std::move(budget)), share_(share), use_(use) {}
  ByteCharge(ByteCharge&& other) noexcept
      : account_(std::move(other.account_)),
        budget_(std::move(other.budget_)),
        bytes_(std::exchange(other.bytes_, 0)),
        share_(other.share_),
        use_(other.use_) {}
  ByteCharge& operator=(ByteCharge&& other) noexcept;
  ~ByteCharge() { release(); }

  [[nodiscard]] Granted try_add(size_t bytes);  // refused: what is held already stays held
  void give_back(size_t bytes);                 // REQUIRES: bytes <= this->bytes()
  void release() { give_back(bytes_); }
  size_t bytes() const { return bytes_; }
  bool would_fit(size_t bytes) const { return !budget_ || budget_->would_fit(bytes, share_); }
  bool charges_somebody() const { return account_ != nullptr || budget_ != nullptr; }
  const std::shared_ptr<ByteAccount>& account() const { return account_; }

 private:
  std::shared_ptr<ByteAccount> account_;
  std::shared_ptr<ByteBudget> budget_;
  size_t bytes_ = 0;
  ByteShare share_ = 0;
  ByteUse use_ = ByteUse::kBody;
};

}  // namespace weir::http
