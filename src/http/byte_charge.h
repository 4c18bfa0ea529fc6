// BodyBudget: one number of bytes shared by all request bodies of a server; BodyCharge: a part of it, held.
//
// Owner: the Server and every charge jointly, because a Request may be moved to another thread and outlive the
// server. Thread: any (one atomic). Limit: Options::body_bytes_total_max. Never blocks: a full budget is an answer.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

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

// Move-only; gives its bytes back when destroyed. An empty one (default) charges nobody.
class [[nodiscard]] BodyCharge {
 public:
  BodyCharge() = default;
  explicit BodyCharge(std::shared_ptr<BodyBudget> budget) : budget_(std::move(budget)) {}
  BodyCharge(BodyCharge&& other) noexcept
      : budget_(std::move(other.budget_)), bytes_(std::exchange(other.bytes_, 0)) {}
  BodyCharge& operator=(BodyCharge&& other) noexcept {
    release();
    budget_ = std::move(other.budget_);
    bytes_ = std::exchange(other.bytes_, 0);
    return *this;
  }
  ~BodyCharge() { release(); }

  // RETURNS: false when the budget is full; what is held already stays held.
  bool try_add(size_t bytes);
  void give_back(size_t bytes);  // REQUIRES: bytes <= this->bytes()
  size_t bytes() const { return bytes_; }

 private:
  void release() {
    if (budget_ && bytes_ > 0) budget_->give(std::exchange(bytes_, 0));
  }
  std::shared_ptr<BodyBudget> budget_;
  size_t bytes_ = 0;
};

}  // namespace weir::http
