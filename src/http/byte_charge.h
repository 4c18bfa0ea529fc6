// ByteCharge: bytes held for one request, taken before they are allocated and given back when it is destroyed.
// BodyBudget: one number of bytes shared by all request bodies of a server, so that uploads, which need no key, never
// take what running answers live on.
//
// Owner: the Server and every charge jointly, because a Request may be moved to another thread and outlive the
// server. Thread: any (atomics). Limits: Options::body_bytes_total_max and those of the ByteBook. Never blocks: full is
// an answer.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

#include "http/byte_book.h"

namespace weir::http {

class BodyBudget {
 public:
  explicit BodyBudget(size_t bytes_max) : bytes_max_(bytes_max) {}
  bool try_take(size_t bytes);
  void give(size_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }
  // A guess that may be out of date at once: for refusing early, never for accounting.
  bool would_fit(size_t bytes) const { return bytes <= bytes_max_ && used_bytes() <= bytes_max_ - bytes; }
  size_t used_bytes() const { return used_.load(std::memory_order_relaxed); }

 private:
  const size_t bytes_max_;
  std::atomic<size_t> used_{0};
};

// Move-only. account or budget may be null: then that one does not count. An empty charge (default) charges nobody.
class [[nodiscard]] ByteCharge {
 public:
  ByteCharge() = default;
  ByteCharge(std::shared_ptr<ByteAccount> account, ByteUse use, std::shared_ptr<BodyBudget> budget = nullptr)
      : account_(std::move(account)), budget_(std::move(budget)), use_(use) {}
  ByteCharge(ByteCharge&& other) noexcept
      : account_(std::move(other.account_)),
        budget_(std::move(other.budget_)),
        bytes_(std::exchange(other.bytes_, 0)),
        use_(other.use_) {}
  ByteCharge& operator=(ByteCharge&& other) noexcept;
  ~ByteCharge() { release(); }

  [[nodiscard]] Granted try_add(size_t bytes);  // refused: what is held already stays held
  void give_back(size_t bytes);                 // REQUIRES: bytes <= this->bytes()
  void release() { give_back(bytes_); }
  size_t bytes() const { return bytes_; }
  const std::shared_ptr<ByteAccount>& account() const { return account_; }

 private:
  std::shared_ptr<ByteAccount> account_;
  std::shared_ptr<BodyBudget> budget_;
  size_t bytes_ = 0;
  ByteUse use_ = ByteUse::kBody;
};

}  // namespace weir::http
