// Ledger: one count of every host byte that requests cause. A Charge is taken before the bytes are allocated and
// gives them back when it is destroyed; what cannot be charged is refused, never allocated.
//
// Owner: the composition root and every Account jointly, because what a request holds may outlive the server's rooms
// by a moment. Thread: any; relaxed atomics, no lock, no allocation but that of open(). Limits: all charges together
// stay within total_bytes_max, those of one Account within request_bytes_max, at every moment, and those of a group's
// Accounts (a tenant's requests) do not grow beyond the group's limit. It never waits and never takes anything away from
// a holder: a limit that is lowered below what is held only refuses more.
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
  kGroupFull,    // the requests of its group have the group's limit full: a later try may pass
  kOverGroup,    // this request alone is over its group's limit: the same request can never pass
};
inline constexpr size_t kGrants = 5;
inline constexpr uint64_t kBytesUnlimited = std::numeric_limits<uint64_t>::max();

struct LedgerOptions {
  uint64_t total_bytes_max = std::numeric_limits<uint64_t>::max();    // the plan's line "requests"
  uint64_t request_bytes_max = std::numeric_limits<uint64_t>::max();  // --host-bytes-per-request
  int groups = 0;  // that accounts may join; each begins without a limit of its own
};

class Account;

class Ledger : public std::enable_shared_from_this<Ledger> {
 public:
  // REQUIRES: lives in a shared_ptr.
  explicit Ledger(const LedgerOptions& options)
      : options_(options), groups_(std::make_unique<Group[]>(static_cast<size_t>(options.groups))) {}
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;
  ~Ledger() { WEIR_CHECK_MSG(used_bytes() == 0, "a Charge outlived the Ledger"); }

  // One request's account. Allocates it; its own few bytes belong to the connection's line of the plan.
  std::shared_ptr<Account> open();

  // From now on. REQUIRES: group < options().groups.
  void set_group_max(int group, uint64_t bytes) { groups_[static_cast<size_t>(group)].max.store(bytes, std::memory_order_relaxed); }
  uint64_t group_max(int group) const { return groups_[static_cast<size_t>(group)].max.load(std::memory_order_relaxed); }
  uint64_t group_used(int group) const { return groups_[static_cast<size_t>(group)].used.load(std::memory_order_relaxed); }

  const LedgerOptions& options() const { return options_; }
  uint64_t used_bytes() const { return used_.load(std::memory_order_relaxed); }
  uint64_t used_bytes(HostKind kind) const { return kinds_[static_cast<size_t>(kind)].load(std::memory_order_relaxed); }
  uint64_t peak_bytes() const { return peak_.load(std::memory_order_relaxed); }
  uint64_t refusals(Grant why) const { return refusals_[static_cast<size_t>(why)].load(std::memory_order_relaxed); }

 private:
  friend class Account;
  struct Group {
    std::atomic<uint64_t> used{0}, max{kBytesUnlimited};
  };
  Grant take(HostKind kind, uint64_t bytes);
  void give(HostKind kind, uint64_t bytes);
  Grant take_for_group(int group, uint64_t bytes, uint64_t of_account);
  void give_for_group(int group, uint64_t bytes);
  Grant refuse(Grant why);

  const LedgerOptions options_;
  const std::unique_ptr<Group[]> groups_;
  std::atomic<uint64_t> used_{0}, peak_{0};
  std::atomic<uint64_t> kinds_[kHostKinds]{};
  std::atomic<uint64_t> refusals_[kGrants]{};
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

  // Once: from now on what it holds, and has held so far, is the group's too. REQUIRES: nobody else charges it meanwhile;
  // group < the ledger's groups. RETURNS: kYes, or kGroupFull or kOverGroup; it has not joined then.
  [[nodiscard]] Grant join(int group);
  int group() const { return group_; }  // -1: none

  uint64_t used_bytes() const { return used_.load(std::memory_order_relaxed); }
  const Ledger& ledger() const { return *ledger_; }

 private:
  const std::shared_ptr<Ledger> ledger_;
  std::atomic<uint64_t> used_{0};
  int group_ = -1;
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
