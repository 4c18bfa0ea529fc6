#include "message/gateway.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/counting_resource.h"

namespace weir {
namespace {

// Two notices per slot: coalesced news and the finish.
constexpr int kNoticesPerSlot = 2;

void futex_wait(std::atomic<uint32_t>* word, uint32_t expected, Micros timeout_us) {
  timespec timeout{static_cast<time_t>(timeout_us / 1'000'000), static_cast<long>(timeout_us % 1'000'000) * 1000};
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(word), FUTEX_WAIT_PRIVATE, expected, &timeout, nullptr, 0);
}

void futex_wake(std::atomic<uint32_t>* word) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(word), FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

}  // namespace

Gateway::Gateway(int slots, int running_max, int io_threads, int ring_events, std::pmr::memory_resource* memory)
    : channels_(static_cast<size_t>(slots), memory),
      rings_(memory),
      notices_(memory),
      io_pending_(static_cast<size_t>(io_threads), 0, memory),
      inbox_(command_capacity(slots), memory) {
  for (int i = 0; i < running_max; ++i) rings_.emplace_back(static_cast<size_t>(ring_events), memory);
  for (int i = 0; i < io_threads; ++i) notices_.emplace_back(static_cast<size_t>(slots) * kNoticesPerSlot, memory);
}

uint64_t Gateway::bytes(int slots, int running_max, int io_threads, int ring_events) {
  CountingResource counting;
  const Gateway gateway(slots, running_max, io_threads, ring_events, &counting);
  return counting.bytes();
}

bool Gateway::push(Command command) {
  if (!inbox_.try_push(command)) {
    WEIR_CHECK_MSG(inbox_.closed(), "more than four commands for a slot");
    return false;
  }
  poke();
  return true;
}

void Gateway::poke() {
  signal_.fetch_add(1, std::memory_order_release);
  futex_wake(&signal_);
}

void Gateway::wait_for_command(Micros timeout_us) {
  futex_wait(&signal_, signal_seen_, timeout_us);  // every push has poked
}

// Both sides exchange the same flag after their own look at the ring, or before it: whichever comes second sees the
// other.
bool Gateway::has_room(SlotIndex slot) {
  Channel& c = channel(slot);
  if (c.ring->room() > 0) return true;
  c.wants_room.exchange(true, std::memory_order_acq_rel);
  return c.ring->room() > 0;
}

void Gateway::note_read(SlotIndex slot) {
  if (channel(slot).wants_room.exchange(false, std::memory_order_acq_rel)) poke();
}

bool Gateway::next_notice(int io_index, Notice* notice) {
  if (!notices_[static_cast<size_t>(io_index)].try_pop(notice)) return false;
  // Cleared before the ring is read, so that tokens pushed from here on raise a new notice.
  if (notice->finish == FinishReason::kNone) channel(notice->slot).noticed.store(false, std::memory_order_seq_cst);
  return true;
}

void Gateway::push_notice(int io_index, Notice notice) {
  WEIR_CHECK_MSG(notices_[static_cast<size_t>(io_index)].try_push(notice), "more than two notices for a slot");
  io_pending_[static_cast<size_t>(io_index)] = 1;
}

void Gateway::publish_tokens(SlotIndex slot) {
  Channel& c = channel(slot);
  if (c.noticed.exchange(true, std::memory_order_seq_cst)) return;
  push_notice(c.io_index, {slot, FinishReason::kNone});
}

void Gateway::finish(SlotIndex slot, FinishReason reason) {
  load_.finished_sequences.fetch_add(1, std::memory_order_relaxed);
  load_.finished_by_reason[static_cast<size_t>(reason)].fetch_add(1, std::memory_order_relaxed);
  push_notice(channel(slot).io_index, {slot, reason});
}

void Gateway::wake_io() {
  for (size_t i = 0; i < io_pending_.size(); ++i) {
    if (!io_pending_[i]) continue;
    io_pending_[i] = 0;
    if (io_waker_) io_waker_(static_cast<int>(i));
  }
}

}  // namespace weir
