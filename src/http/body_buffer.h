// BodyBuffer: a request body while it grows, charged by the capacity that the bytes which came have made necessary.
//
// Owner: a RequestParser. Thread: its. Limits: those of its charge. A declared length is believed for nothing but
// an early refusal: memory is taken when bytes have come, so that a client cannot book any with a header.
#pragma once

#include <string>
#include <string_view>

#include "http/byte_charge.h"

namespace weir::http {

class BodyBuffer {
 public:
  // charge: empty, and on the accounts that everything goes to. extra_bytes: charged besides, for what has to wait
  // with the body. bytes_max: what the body can become at most; known: it will become exactly that. Once, before
  // append.
  Granted begin(ByteCharge charge, size_t extra_bytes, size_t bytes_max, bool known);
  Granted append(std::string_view bytes);

  std::string take_bytes() { return std::move(bytes_); }
  ByteCharge take_charge() { return std::move(charge_); }
  uint64_t request_bytes_max() const { return charge_.account() ? charge_.account()->bytes_max() : 0; }

 private:
  Granted grow(size_t capacity_bytes);

  ByteCharge charge_;
  std::string bytes_;
  size_t extra_bytes_ = 0;
  size_t bytes_max_ = 0;
};

}  // namespace weir::http
