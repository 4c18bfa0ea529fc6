// BodyBuffer: a request body while it grows, charged by capacity against the server's BodyBudget.
//
// Owner: a RequestParser. Thread: its. Limit: BodyBudget. A declared length is believed only for kFirstBodyBytes;
// more is taken when bytes have come, so that a client cannot book memory with a header.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "http/body_budget.h"

namespace weir::http {

class BodyBuffer {
 public:
  explicit BodyBuffer(std::shared_ptr<BodyBudget> budget) : budget_(budget), charge_(std::move(budget)) {}

  // extra_bytes: charged besides, for what has to wait with the body. bytes_max: what the body can become at most;
  // known: it will become exactly that. RETURNS: false when the budget cannot take it.
  bool begin(size_t extra_bytes, size_t bytes_max, bool known);
  bool append(std::string_view bytes);  // RETURNS: false when the budget is full

  std::string take_bytes() { return std::move(bytes_); }
  BodyCharge take_charge() { return std::move(charge_); }

 private:
  bool grow(size_t capacity_bytes);

  std::shared_ptr<BodyBudget> budget_;  // null: no limit (tests)
  BodyCharge charge_;
  std::string bytes_;
  size_t extra_bytes_ = 0;
  size_t bytes_max_ = 0;
};

}  // namespace weir::http
