#include "memory/ledger/ledger.h"

#include <algorithm>

namespace weir {
namespace {

// A std::string keeps up to 15 bytes inside itself and rounds small requests up to 30; from here on it takes what it is
// asked for.
constexpr size_t kInlineBytes = 15;
constexpr size_t kLeastBytes = 64;

// RETURNS: false, and changes nothing, where the sum would exceed `max`.
bool add_within(std::atomic<uint64_t>* counter, uint64_t bytes, uint64_t max, uint64_t* after) {
  uint64_t now = counter->load(std::memory_order_relaxed);
  do {
    if (bytes > max || now > max - bytes) return false;
  } while (!counter->compare_exchange_weak(now, now + bytes, std::memory_order_relaxed));
  *after = now + bytes;
  return true;
}

void raise_to(std::atomic<uint64_t>* peak, uint64_t value) {
  uint64_t now = peak->load(std::memory_order_relaxed);
  while (now < value && !peak->compare_exchange_weak(now, value, std::memory_order_relaxed)) {
  }
}

}  // namespace

const char* host_kind_name(HostKind kind) {
  switch (kind) {
    case HostKind::kBody: return "body";
    case HostKind::kRequest: return "request";
    case HostKind::kPromptIds: return "prompt_ids";
    case HostKind::kOutput: return "output";
    case HostKind::kLogprobs: return "logprobs";
    case HostKind::kSampler: return "sampler";
    case HostKind::kSse: return "sse";
    case HostKind::kSocket: return "socket";
    case HostKind::kCount: break;
  }
  return "unknown";
}

std::shared_ptr<Account> Ledger::open() { return std::make_shared<Account>(shared_from_this()); }

Grant Ledger::refuse(Grant why) {
  refusals_[static_cast<size_t>(why)].fetch_add(1, std::memory_order_relaxed);
  return why;
}

Grant Ledger::take(HostKind kind, uint64_t bytes) {
  uint64_t after = 0;
  if (!add_within(&used_, bytes, options_.total_bytes_max, &after)) return refuse(Grant::kTotalFull);
  raise_to(&peak_, after);
  kinds_[static_cast<size_t>(kind)].fetch_add(bytes, std::memory_order_relaxed);
  return Grant::kYes;
}

void Ledger::give(HostKind kind, uint64_t bytes) {
  const uint64_t before = kinds_[static_cast<size_t>(kind)].fetch_sub(bytes, std::memory_order_relaxed);
  WEIR_CHECK(before >= bytes);
  used_.fetch_sub(bytes, std::memory_order_relaxed);
}

Grant Ledger::take_for_group(int group, uint64_t bytes, uint64_t of_account) {
  if (group < 0) return Grant::kYes;
  Group& one = groups_[static_cast<size_t>(group)];
  const uint64_t max = one.max.load(std::memory_order_relaxed);
  uint64_t after = 0;
  if (add_within(&one.used, bytes, max, &after)) return Grant::kYes;
  return refuse(of_account > max ? Grant::kOverGroup : Grant::kGroupFull);
}

void Ledger::give_for_group(int group, uint64_t bytes) {
  if (group >= 0) groups_[static_cast<size_t>(group)].used.fetch_sub(bytes, std::memory_order_relaxed);
}

Grant Account::join(int group) {
  WEIR_CHECK(group_ < 0 && group >= 0 && group < ledger_->options().groups);
  const Grant grant = ledger_->take_for_group(group, used_bytes(), used_bytes());
  if (grant == Grant::kYes) group_ = group;
  return grant;
}

Grant Account::take(HostKind kind, uint64_t bytes) {
  uint64_t after = 0;
  if (!add_within(&used_, bytes, ledger_->options_.request_bytes_max, &after)) {
    return ledger_->refuse(Grant::kRequestFull);
  }
  Grant grant = ledger_->take_for_group(group_, bytes, after);
  if (grant == Grant::kYes) {
    grant = ledger_->take(kind, bytes);
    if (grant != Grant::kYes) ledger_->give_for_group(group_, bytes);
  }
  if (grant != Grant::kYes) used_.fetch_sub(bytes, std::memory_order_relaxed);
  return grant;
}

void Account::give(HostKind kind, uint64_t bytes) {
  ledger_->give(kind, bytes);
  ledger_->give_for_group(group_, bytes);
  const uint64_t before = used_.fetch_sub(bytes, std::memory_order_relaxed);
  WEIR_CHECK(before >= bytes);
}

Charge& Charge::operator=(Charge&& other) noexcept {
  if (this == &other) return *this;
  release();
  account_ = std::move(other.account_);
  bytes_ = std::exchange(other.bytes_, 0);
  kind_ = other.kind_;
  return *this;
}

Grant Charge::try_grow(uint64_t bytes) {
  const Grant grant = account_ && bytes > 0 ? account_->take(kind_, bytes) : Grant::kYes;
  if (grant == Grant::kYes) bytes_ += bytes;
  return grant;
}

void Charge::shrink(uint64_t bytes) {
  WEIR_CHECK(bytes <= bytes_);
  bytes_ -= bytes;
  if (account_ && bytes > 0) account_->give(kind_, bytes);
}

Grant Charge::try_settle(uint64_t bytes) {
  if (bytes > bytes_) return try_grow(bytes - bytes_);
  shrink(bytes_ - bytes);
  return Grant::kYes;
}

uint64_t text_bytes(const std::string& text) { return text.capacity() > kInlineBytes ? text.capacity() : 0; }

Grant make_room(std::string* text, size_t more, Charge* charge) {
  if (text->capacity() - text->size() >= more) return Grant::kYes;
  const size_t need = std::max(kLeastBytes, text->size() + more);
  size_t capacity = std::max(need, 2 * text->capacity());
  Grant grant = charge->try_grow(capacity);
  // Doubling is no reason to refuse, but every step stays a share of the text, so that copying costs what appending costs.
  if (const size_t less = std::max(need, text->capacity() + text->capacity() / 4); grant != Grant::kYes && less < capacity) {
    capacity = less;
    grant = charge->try_grow(capacity);
  }
  if (grant != Grant::kYes) return grant;
  const uint64_t before = text_bytes(*text);
  std::string larger;
  larger.reserve(capacity);
  larger.append(*text);
  text->swap(larger);
  charge->shrink(before);
  return Grant::kYes;
}

void drop_text(std::string* text, Charge* charge) {
  charge->shrink(text_bytes(*text));
  std::string().swap(*text);
}

}  // namespace weir
