// Mailbox: callbacks on their way to a loop's io thread. Internal.
//
// The first callback of a turn wakes the io_context by one posted operation, which lies in a block of the mailbox's
// own, so that the engine thread, which posts after every step, never calls the allocator. The block holds one
// operation at a time (checked): from end_wakes() on nothing is posted to a context that runs no more, and the loop
// looks by itself. Owner: Loop. Threads: post() any, the others the io thread's. Bounded by those who post:
// kReserved fit without the mailbox growing, and one that was fuller once keeps its room.
#pragma once

#include <cstddef>
#include <functional>
#include <mutex>
#include <vector>

#include "base/check.h"
#include "http/asio.h"
#include "http/callback.h"

namespace weir::http {

// Memory for the one wake-up that can be under way. Asio frees it before the handler runs.
struct WakeBlock {
  alignas(std::max_align_t) char bytes[256];
  bool in_use = false;
};
template <class T>
struct OneBlock {
  using value_type = T;
  explicit OneBlock(WakeBlock* memory) : block(memory) {}
  template <class U>
  OneBlock(const OneBlock<U>& other) : block(other.block) {}
  T* allocate(size_t count) {
    WEIR_CHECK(count * sizeof(T) <= sizeof block->bytes && !block->in_use);
    block->in_use = true;
    return reinterpret_cast<T*>(block->bytes);
  }
  void deallocate(T*, size_t) { block->in_use = false; }
  template <class U>
  bool operator==(const OneBlock<U>& other) const {
    return block == other.block;
  }
  WakeBlock* block;
};

class Mailbox {
 public:
  static constexpr size_t kReserved = 1024;

  // on_wake: what the context runs after a post(); it take()s. The context ends before the mailbox does.
  Mailbox(IoContext* context, std::function<void()> on_wake);
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  bool post(Callback callback);  // RETURNS: false once it is closed
  // batch: empty; it leaves its capacity here, so that posting allocates no more than in the busiest turn so far.
  void take(std::vector<Callback>* batch);
  void end_wakes();       // the context has ended: what is posted from now on waits for the next take()
  bool close_if_empty();  // RETURNS: whether it is closed

 private:
  IoContext* const context_;
  const std::function<void()> on_wake_;
  WakeBlock block_;
  std::mutex mutex_;  // of what follows
  std::vector<Callback> callbacks_;
  bool wake_pending_ = false, wakes_ = true, closed_ = false;
};

}  // namespace weir::http
