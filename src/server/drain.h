// Drain: waits until nothing is under way any more, and says now and then what it waits for.
//
// Owner and thread: App's stop(), main. It only reads: the door is shut and the listeners are told by others.
#pragma once

#include <string>

#include "admission/front_door.h"
#include "api/api.h"
#include "base/clock.h"
#include "message/gateway.h"

namespace weir {

class Drain {
 public:
  // All outlive it.
  Drain(const Api* api, const FrontDoor* door, const Gateway* gateway, const Clock* clock)
      : api_(api), door_(door), gateway_(gateway), clock_(clock) {}

  std::string text() const;  // "3 requests are under way: 2 sequences hold places, 1 wait"
  // Logs its beginning, and every few seconds what is left. RETURNS: false when timeout_ms ran out.
  bool wait(int64_t timeout_ms) const;
  bool wait_quietly(int64_t timeout_ms) const { return wait(timeout_ms, false); }

 private:
  bool wait(int64_t timeout_ms, bool tell) const;

  const Api* const api_;
  const FrontDoor* const door_;
  const Gateway* const gateway_;
  const Clock* const clock_;
};

}  // namespace weir
