// Requests that are between their admission and the engine when the engine looks for the last time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/world_test.h"

namespace weir::api {
namespace {

using ::testing::HasSubstr;

constexpr const char* kPath = "/v1/completions";

void stop_engine(World* world) {
  std::vector<Command> last;
  last.reserve(world->gateway.command_capacity());
  world->gateway.close_inbox(&last);
  EXPECT_TRUE(last.empty());
}

// The door is open, as it was when the request came through; the engine is gone before it is submitted.
TEST(Faults, submit_after_the_last_look) {
  World world({.running_max = 4});
  stop_engine(&world);
  for (const char* body :
       {R"({"prompt": "a", "max_tokens": 5})", R"({"prompt": ["a", "b"], "n": 2, "max_tokens": 5})"}) {
    const auto exchange = world.post(kPath, body);
    world.run_until([&] { return exchange->done; });
    EXPECT_EQ(exchange->status, 503);
    EXPECT_THAT(exchange->body, HasSubstr("\"reason\":\"draining\""));
    EXPECT_EQ(world.api->live_requests(), 0) << "~Api finds nothing";
    EXPECT_EQ(world.door.admitted(), 0);
  }
  EXPECT_EQ(world.door.refusals(Refusal::kDraining), 2u);
}

TEST(Stopping, AStreamThatTheEngineDoesNotTakeEndsToo) {
  World world;
  stop_engine(&world);
  const auto exchange = world.post(kPath, R"({"prompt": "a", "max_tokens": 5, "stream": true})");
  world.run_until([&] { return exchange->done; });
  EXPECT_THAT(exchange->body, HasSubstr("\"reason\":\"draining\""));
  EXPECT_EQ(world.api->live_requests(), 0);
}

// A client that leaves in that moment, and one whose last byte stays unwritten for a while.
TEST(Stopping, ClientsThatLeaveAfterTheLastLookHoldNothing) {
  World world;
  const auto running = world.post(kPath, R"({"prompt": "a", "max_tokens": 50})", true);
  world.run_until([&] { return world.engine.submits == 1; });
  world.engine.end_all(FinishReason::kShutdown);
  stop_engine(&world);
  world.settle();
  EXPECT_EQ(world.api->live_requests(), 1) << "its last byte is not out";
  running->send_last_byte();
  world.settle();
  EXPECT_EQ(world.api->live_requests(), 0);
}

}  // namespace
}  // namespace weir::api
