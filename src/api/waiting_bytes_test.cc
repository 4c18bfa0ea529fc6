// What a request holds of the ledger while it waits: as much as the plan has for it, and no less than it really
// takes.
#include <gtest/gtest.h>
#include <malloc.h>

#include "api/host_bytes.h"
#include "api/world_test.h"

namespace weir::api {
namespace {

constexpr int kWaiting = 2000;
constexpr const char* kPath = "/v1/chat/completions";
constexpr const char* kStream =
    R"({"messages":[{"role":"user","content":"a question"}],"stream":true,"max_tokens":64})";
constexpr const char* kWhole = R"({"messages":[{"role":"user","content":"a question"}],"max_tokens":64})";
constexpr uint64_t kPromptTokens = 31;  // as the plain template makes them

WorldOptions with_queue(LedgerOptions ledger = {}) {
  WorldOptions options;
  options.running_max = 1;
  options.queued_max = kWaiting;
  options.ledger = ledger;
  return options;
}

// Nothing starts, so everything waits.
std::vector<std::shared_ptr<FakeExchange>> queue_up(World* world, const char* body, int count) {
  world->engine.frozen = true;
  world->engine.keep_specs = false;
  const uint64_t before = world->engine.submits;
  std::vector<std::shared_ptr<FakeExchange>> waiting;
  for (int i = 0; i < count; ++i) waiting.push_back(world->post(kPath, body));
  world->run_until([&] {
    return world->engine.submits == before + static_cast<uint64_t>(count) ||
           std::any_of(waiting.begin(), waiting.end(), [](const auto& one) { return one->ended; });
  });
  return waiting;
}

void leave_all(World* world, const std::vector<std::shared_ptr<FakeExchange>>& all) {
  for (const auto& exchange : all) exchange->leave();
  world->run_until([&] { return world->door.admitted() == 0; });
}

TEST(Faults, waiting_streams_refused) {
  for (const char* body : {kStream, kWhole}) {
    // Exactly what the plan's line has for a queue of this length, and one request that is being read.
    const LedgerOptions planned{.total_bytes_max =
                                    kWaiting * (kWaitingRequestBytes + kPromptTokens * sizeof(int32_t)) + 4096};
    World world(with_queue(planned));
    const auto waiting = queue_up(&world, body, kWaiting);
    EXPECT_EQ(world.door.refusals(Refusal::kHostBytesFull), 0u);
    EXPECT_EQ(world.engine.submits, static_cast<uint64_t>(kWaiting));
    const uint64_t each = (world.ledger->used_bytes() - world.host_bytes(HostKind::kPromptIds)) / kWaiting;
    EXPECT_LE(each, kWaitingRequestBytes - 512) << "ids with a RequestSpec of each prompt come on top";
    EXPECT_GE(each, 1024u);
    leave_all(&world, waiting);
  }
}

TEST(Faults, a_waiting_stream_is_charged_for_what_it_takes) {
  World world(with_queue());
  leave_all(&world, queue_up(&world, kStream, kWaiting));  // lists and pools have their size
  const size_t before = mallinfo2().uordblks;
  const auto waiting = queue_up(&world, kStream, kWaiting);
  const size_t after = mallinfo2().uordblks;
  const uint64_t charged = world.ledger->used_bytes() / kWaiting;
  leave_all(&world, waiting);
  if (after == before) GTEST_SKIP() << "this allocator does not tell what it has given";
  const uint64_t taken = (after - before) / kWaiting;
  constexpr uint64_t kOfTheConnection =
      1024;  // the exchange, its account and entry: the line "connections" has 4 KiB for them
  EXPECT_LE(taken, charged + kOfTheConnection);
}

}  // namespace
}  // namespace weir::api
