// Ledger: one count of every host byte that requests cause. A Charge is taken before the bytes are allocated and
// gives them back when it is destroyed; what cannot be charged is refused, never allocated.
//
// Owner: the composition root and every Account jointly, because what a request holds may outlive the server's rooms
// by a moment. Thread: any; relaxed atomics, no lock, no allocation but that of open(). Limits: all charges together
// stay within total_bytes_max, those of one Account within request_bytes_max, at every moment. It never waits and
// never takes anything away from a holder.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "base/check.h"

namespace weir {

// What bytes are for; the label of weir_host_bytes{kind="..."}.
enum class HostKind : uint8_t {
  kBody,       // a request's body while it is read and parsed, and half-read heads
  kRequest,    // what was parsed from it, and the state of its sequences on the io thread
  kPromptIds,  // prompts as token ids
  kOutput,     // text of answers: all of it when they are not streamed
  kLogprobs,   // logprobs as JSON text
  kSampler,    // stop strings, stop ids and logit biases, per prompt
  kSse,        // the scratch in which events are formatted
  kSocket,     // answer bytes that the kernel has not taken
  kCount
};
inline constexpr size_t kHostKinds = static_cast<size_t>(HostKind::kCount);
const char* host_kind_name(HostKind kind);  // "prompt_ids"; static storage

enum class Grant : uint8_t {
  kYes,
  kTotalFull,    // all requests together have the ledger full: a later try may pass
  kRequestFull,  // this request alone is over its own limit: the same request can never pass
};

struct LedgerOptions {
  uint64_t total_bytes_max = std::numeric_limits<uint64_t>::max();    // the plan's line "requests"
  uint64_t request_bytes_max = std::numeric_limits<uint64_t>::max();  // --host-bytes-per-request
};

class Account;

class Ledger : public std::enable_shared_from_this<Ledger> {
 public:
  // REQUIRES: lives in a shared_ptr.
  explicit Ledger(const LedgerOptions& options) : options_(options) {}
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;
  ~Ledger() { WEIR_CHECK_MSG(used_bytes() == 0, "a Charge outlived the Ledger"); }

  // One request's account. Allocates it; its own few bytes belong to the connection's line of the plan.
  std::shared_ptr<Account> open();

  const LedgerOptions& options() const { return options_; }
  uint64_t used_bytes() const { return used_.load(std::memory_order_relaxed); }
  uint64_t used_bytes(HostKind kind) const { return kinds_[static_cast<size_t>(kind)].load(std::memory_order_relaxed); }
  uint64_t peak_bytes() const { return peak_.load(std::memory_order_relaxed); }
  uint64_t refusals(Grant why) const { return refusals_[static_cast<size_t>(why)].load(std::memory_order_relaxed); }

 private:
  friend class Account;
  Grant take(HostKind kind, uint64_t bytes);
  void give(HostKind kind, uint64_t bytes);
  Grant refuse(Grant why);

  const LedgerOptions options_;
  std::atomic<uint64_t> used_{0}, peak_{0};
  std::atomic<uint64_t> kinds_[kHostKinds]{};
  std::atomic<uint64_t> refusals_[3]{};
};

// The bytes of one request. Shared by its charges; closed by the last one.
class Account {
 public:
  explicit Account(std::shared_ptr<Ledger> ledger) : ledger_(std::move(ledger)) {}
  ~Account() { WEIR_CHECK(used_bytes() == 0); }
  Account(const Account&) = delete;
  Account& operator=(const Account&) = delete;

  // For Charge, and for rooms that hold their bytes by an interface of their own (http/byte_book.h). Every take is
  // given back.
  Grant take(HostKind kind, uint64_t bytes);
  void give(HostKind kind, uint64_t bytes);

  uint64_t used_bytes() const { return used_.load(std::memory_order_relaxed); }
  const Ledger& ledger() const { return *ledger_; }

 private:
  const std::shared_ptr<Ledger> ledger_;
  std::atomic<uint64_t> used_{0};
};

// Bytes held, of one kind, on one account. Move-only; an empty one (default) charges nobody and refuses nothing.
// One thread at a time.
class [[nodiscard]] Charge {
 public:
  Charge() = default;
  Charge(std::shared_ptr<Account> account, HostKind kind) : account_(std::move(account)), kind_(kind) {}
  Charge(Charge&& other) noexcept
      : account_(std::move(other.account_)), bytes_(std::exchange(other.bytes_, 0)), kind_(other.kind_) {}
  Charge& operator=(Charge&& other) noexcept;
  ~Charge() { release(); }

  // RETURNS: kYes, or why not; what is held already stays held.
  [[nodiscard]] Grant try_grow(uint64_t bytes);
  void shrink(uint64_t bytes);  // REQUIRES: bytes <= this->bytes()
  // Grows or shrinks to exactly so many.
  [[nodiscard]] Grant try_settle(uint64_t bytes);
  void release() { shrink(bytes_); }

  uint64_t bytes() const { return bytes_; }
  const std::shared_ptr<Account>& account() const { return account_; }

 private:
  std::shared_ptr<Account> account_;
  uint64_t bytes_ = 0;
  HostKind kind_ = HostKind::kRequest;
};

// Room for `more` bytes behind *text, charged by capacity, so that appending so many allocates nothing. While the
// text moves, the old and the new buffer are both charged. REQUIRES: *charge holds what this text has beyond its
// inline bytes, and may hold more.
[[nodiscard]] Grant make_room(std::string* text, size_t more, Charge* charge);
// Frees the text and gives its bytes back.
void drop_text(std::string* text, Charge* charge);
// What make_room charges for a text of this capacity.
uint64_t text_bytes(const std::string& text);

}  // namespace weir
