// QueueShares: how much of something bounded (places of the queue, prompt tokens that wait) one tenant may take
// before the rest is kept for the others.
//
// The rule. Half of the queue is anybody's, first come, first served. The other half is kept: each tenant that has
// keys has a share of (what can run at once + the kept half) by weight, at least 1. Whoever holds less than its
// share may use everything that is free. Whoever holds more must leave free what the others still lack of their
// shares, but never more than the kept half. So a flood of one tenant stops at half of the queue at the latest, the
// machine never idles for an absent tenant (only queue is kept, no running place), and one tenant alone has all of
// it.
//
// Owner and thread: whoever holds the FrontDoor's mutex. O(1) but for recount(). Allocates at construction alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace weir {

class QueueShares {
 public:
  explicit QueueShares(int tenants) : tenants_(static_cast<size_t>(tenants)) {}

  // dealt: what is dealt out by weight. kept: the most that is kept free for others.
  void set_room(int64_t dealt, int64_t kept) { dealt_ = dealt, kept_ = kept; }
  // 0: nobody can come as this tenant, so nothing is kept for it.
  void set_weight(int tenant, int64_t weight_milli) {
    tenants_[static_cast<size_t>(tenant)].weight_milli = weight_milli;
  }
  void recount();  // after either of them

  void add(int tenant, int64_t amount);  // takes; a negative amount gives back
  int64_t held(int tenant) const { return tenants_[static_cast<size_t>(tenant)].held; }
  int64_t share(int tenant) const { return tenants_[static_cast<size_t>(tenant)].share; }
  // RETURNS: how much must stay free if this tenant takes `more`.
  int64_t kept_from(int tenant, int64_t more) const;

 private:
  struct Tenant {
    int64_t weight_milli = 0, share = 0, held = 0;
    int64_t lacking() const { return share > held ? share - held : 0; }
  };

  std::vector<Tenant> tenants_;
  int64_t dealt_ = 0, kept_ = 0;
  int64_t lacking_ = 0;  // the sum over all tenants
};

}  // namespace weir
