#include "http/body_buffer.h"

#include <algorithm>

namespace weir::http {
namespace {
constexpr size_t kFirstBodyBytes = 64 * 1024;
constexpr size_t kLeastBytes = 64;  // a std::string rounds smaller requests up, and the charge would miss that
}  // namespace

bool BodyBuffer::begin(size_t extra_bytes, size_t bytes_max, bool known) {
  extra_bytes_ = extra_bytes;
  bytes_max_ = bytes_max;
  if (!charge_.try_add(extra_bytes)) return false;
  if (!known) return true;
  if (budget_ && !budget_->would_fit(bytes_max)) return false;
  return grow(std::min(bytes_max, kFirstBodyBytes));
}

bool BodyBuffer::append(std::string_view bytes) {
  const size_t need = bytes_.size() + bytes.size();
  if (need > bytes_.capacity() && !grow(std::max(need, std::min(bytes_max_, bytes_.capacity() * 2)))) return false;
  bytes_.append(bytes);
  return true;
}

// The old and the new buffer live at the same time, so both are charged until the copy is over.
bool BodyBuffer::grow(size_t capacity_bytes) {
  if (capacity_bytes <= bytes_.capacity()) return true;
  capacity_bytes = std::max(capacity_bytes, kLeastBytes);
  const size_t old_charge = charge_.bytes() - extra_bytes_;
  if (!charge_.try_add(capacity_bytes)) return false;
  std::string larger;  // reserve() on the old one may take twice as much as asked
  larger.reserve(capacity_bytes);
  larger.append(bytes_);
  bytes_ = std::move(larger);
  charge_.give_back(old_charge);
  return true;
}

}  // namespace weir::http
