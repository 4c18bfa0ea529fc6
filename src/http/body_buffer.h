// BodyBuffer: a request body while it grows, charged by capacity: against the BodyBudget of all bodies, and on the
// request's account, which it opens.
//
// Owner: a RequestParser. Thread: its. Limits: BodyBudget, ByteBook. A declared length is believed only for
// kFirstBodyBytes; more is taken when bytes have come, so that a client cannot book memory with a header.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "http/byte_charge.h"

namespace weir::http {

class BodyBuffer {
 public:
  // Either may be null: no such limit (tests).
  BodyBuffer(std::shared_ptr<BodyBudget> budget, std::shared_ptr<ByteBook> book)
      : budget_(std::move(budget)), book_(std::move(book)) {}

  // extra_bytes: charged besides, for what has to wait with the body. bytes_max: what the body can become at most;
  // known: it will become exactly that. Once.
  Granted begin(size_t extra_bytes, size_t bytes_max, bool known);
  Granted append(std::string_view bytes);

  std::string take_bytes() { return std::move(bytes_); }
  ByteCharge take_charge() { return std::move(charge_); }
  uint64_t request_bytes_max() const { return charge_.account() ? charge_.account()->bytes_max() : 0; }

 private:
  Granted grow(size_t capacity_bytes);

  const std::shared_ptr<BodyBudget> budget_;
  const std::shared_ptr<ByteBook> book_;
  ByteCharge charge_;
  std::string bytes_;
  size_t extra_bytes_ = 0;
  size_t bytes_max_ = 0;
};

}  // namespace weir::http
