// TextQuota: how many jobs of /tokenize and /detokenize may be under way, in all and of one tenant.
//
// They need no place, so nothing else bounds them: without this a storm of them would fill the text pool and refuse
// everybody's generation. With it what the pool has beyond kQueuedPerThread is generation's alone, and one tenant's
// storm leaves others half. Owner: Service. Any thread; relaxed atomics, no allocation after construction.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>
#include <vector>

#include "message/tenants.h"

namespace weir::api {

class TextQuota {
 public:
  // One job under way. Move-only; an empty one (default) holds nothing.
  class [[nodiscard]] Ticket {
   public:
    Ticket() = default;
    Ticket(Ticket&& other) noexcept : quota_(std::exchange(other.quota_, nullptr)), tenant_(other.tenant_) {}
    Ticket& operator=(Ticket&& other) noexcept {
      std::swap(quota_, other.quota_);
      std::swap(tenant_, other.tenant_);
      return *this;
    }
    ~Ticket() {
      if (quota_ != nullptr) quota_->leave(tenant_);
    }
    explicit operator bool() const { return quota_ != nullptr; }

   private:
    friend class TextQuota;
    Ticket(TextQuota* quota, int32_t tenant) : quota_(quota), tenant_(tenant) {}
    TextQuota* quota_ = nullptr;
    int32_t tenant_ = 0;
  };

  explicit TextQuota(int most) : most_(most), of_tenant_(kTenantsMax) {}

  // alone: nobody else can come, so nothing is left for others. RETURNS: an empty ticket when it is full.
  Ticket try_enter(int32_t tenant, bool alone) {
    std::atomic<int>& own = of_tenant_[static_cast<size_t>(tenant)];
    const int own_most = alone ? most_ : (most_ + 1) / 2;
    const bool room = all_.fetch_add(1, std::memory_order_relaxed) < most_;
    const bool own_room = own.fetch_add(1, std::memory_order_relaxed) < own_most;
    if (room && own_room) return {this, tenant};
    leave(tenant);
    return {};
  }

 private:
  void leave(int32_t tenant) {
    all_.fetch_sub(1, std::memory_order_relaxed);
    of_tenant_[static_cast<size_t>(tenant)].fetch_sub(1, std::memory_order_relaxed);
  }

  const int most_;
  std::atomic<int> all_{0};
  std::vector<std::atomic<int>> of_tenant_;
};

}  // namespace weir::api
