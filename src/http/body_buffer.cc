#include "http/body_buffer.h"

#include <algorithm>

namespace weir::http {
namespace {
constexpr size_t kLeastBytes = 64;  // a std::string rounds smaller requests up, and the charge would miss that
}  // namespace

Granted BodyBuffer::begin(ByteCharge charge, size_t extra_bytes, size_t bytes_max, bool known) {
  charge_ = std::move(charge);
  extra_bytes_ = extra_bytes;
  bytes_max_ = bytes_max;
  if (known && charge_.account() && bytes_max > charge_.account()->bytes_max()) return Granted::kRequestFull;
  if (known && !charge_.would_fit(extra_bytes + bytes_max)) return Granted::kBudgetFull;
  return charge_.try_add(extra_bytes);
}

Granted BodyBuffer::append(std::string_view bytes) {
  const size_t need = bytes_.size() + bytes.size();
  if (need > bytes_.capacity()) {
    const Granted granted = grow(std::max(need, std::min(bytes_max_, bytes_.capacity() * 2)));
    if (granted != Granted::kYes) return granted;
  }
  bytes_.append(bytes);
  return Granted::kYes;
}

// The old and the new buffer live at the same time, so both are charged until the copy is over.
Granted BodyBuffer::grow(size_t capacity_bytes) {
  if (capacity_bytes <= bytes_.capacity()) return Granted::kYes;
  capacity_bytes = std::max(capacity_bytes, kLeastBytes);
  const size_t old_charge = charge_.bytes() - extra_bytes_;
  if (const Granted granted = charge_.try_add(capacity_bytes); granted != Granted::kYes) return granted;
  std::string larger;  // reserve() on the old one may take twice as much as asked
  larger.reserve(capacity_bytes);
  larger.append(bytes_);
  bytes_ = std::move(larger);
  charge_.give_back(old_charge);
  return Granted::kYes;
}

}  // namespace weir::http
