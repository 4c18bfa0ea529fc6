#include "http/mailbox.h"

#include <new>
#include <utility>

namespace weir::http {

Mailbox::Mailbox(IoContext* context, std::function<void()> on_wake)
    : context_(context), on_wake_(std::move(on_wake)) {
  callbacks_.reserve(kReserved);
}

bool Mailbox::post(Callback callback) {
  std::lock_guard lock(mutex_);
  if (closed_) return false;
  try {
    if (wakes_ && !wake_pending_) {
      asio::post(*context_, asio::bind_allocator(OneBlock<void>(&block_), [this] { on_wake_(); }));
      wake_pending_ = true;
    }
    callbacks_.push_back(std::move(callback));
  } catch (const std::bad_alloc&) {
    return false;
  }
  return true;
}

void Mailbox::take(std::vector<Callback>* batch) {
  WEIR_CHECK(batch->empty());
  std::lock_guard lock(mutex_);
  batch->swap(callbacks_);
  wake_pending_ = false;
}

void Mailbox::end_wakes() {
  std::lock_guard lock(mutex_);
  wakes_ = false;
}

bool Mailbox::close_if_empty() {
  std::lock_guard lock(mutex_);
  closed_ = callbacks_.empty();
  return closed_;
}

}  // namespace weir::http
