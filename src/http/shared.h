// Shared: what all loops of a server share: options, hooks, budgets of bytes, and the places that connections take.
// Internal.
//
// Owner: the Server and every loop jointly. Thread: any; atomics, and a mutex where peers are counted (only with
// Options::peer_connections_max). Limits: Options. Nothing here waits.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "http/byte_budget.h"
#include "http/parser.h"
#include "http/server.h"

namespace weir::http {

class SlotCount {
 public:
  explicit SlotCount(size_t most) : most_(most) {}
  [[nodiscard]] bool try_take();
  void give() { taken_.fetch_sub(1, std::memory_order_relaxed); }
  size_t taken() const { return taken_.load(std::memory_order_relaxed); }

 private:
  const size_t most_;
  std::atomic<size_t> taken_{0};
};

// One place of a SlotCount. Move-only.
class [[nodiscard]] ConnectionSlot {
 public:
  static std::optional<ConnectionSlot> try_take(SlotCount* count);
  ConnectionSlot(ConnectionSlot&& other) noexcept : count_(std::exchange(other.count_, nullptr)) {}
  ConnectionSlot& operator=(ConnectionSlot&& other) noexcept {
    std::swap(count_, other.count_);
    return *this;
  }
  ~ConnectionSlot() {
    if (count_ != nullptr) count_->give();
  }
  bool is_of(const SlotCount& count) const { return count_ == &count; }

 private:
  explicit ConnectionSlot(SlotCount* count) : count_(count) {}
  SlotCount* count_;
};

// Connections with a request under way, by the group that sent it: where several groups want slots, one may hold
// three times what stays free, as with bytes (byte_budget.h).
class GroupConnections {
 public:
  explicit GroupConnections(size_t most)
      : most_(most), groups_(std::make_unique<std::atomic<size_t>[]>(kGroupsMax)) {}
  [[nodiscard]] bool try_take(int group, bool contended);
  void give(int group);

 private:
  const size_t most_;
  std::atomic<size_t> all_{0};
  const std::unique_ptr<std::atomic<size_t>[]> groups_;
};

// Connections by address; counts nobody without a limit.
class PeerConnections {
 public:
  explicit PeerConnections(size_t most) : most_(most) {}
  [[nodiscard]] bool try_take(const std::string& peer);
  void give(const std::string& peer);

 private:
  const size_t most_;  // 0: no limit
  std::mutex mutex_;
  std::unordered_map<std::string, size_t> counts_;
};

struct Shared {
  Shared(Options server_options, Handler request_handler, std::shared_ptr<ByteBook> byte_book, Hooks server_hooks);

  std::string choose_id(std::string_view wanted) {
    return hooks.choose_id ? hooks.choose_id(wanted) : std::string();
  }
  HeadVerdict judge(const Request& head) { return hooks.judge_head ? hooks.judge_head(head) : HeadVerdict{}; }
  std::shared_ptr<ByteAccount> open_account(int group) { return book ? book->open(group) : nullptr; }

  const Options options;
  const ParseLimits limits;
  const Handler handler;
  const std::shared_ptr<ByteBook> book;  // may be null
  const Hooks hooks;
  const std::shared_ptr<ByteBudget> bodies, heads, control;
  SlotCount slots, spare_slots;
  GroupConnections group_connections;
  PeerConnections peer_connections;
};

}  // namespace weir::http
