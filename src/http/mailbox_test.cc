// One wake-up in one block, whatever a loop's end and the engine's posts come to.
#include "http/mailbox.h"

#include <gtest/gtest.h>

#include <thread>

namespace weir::http {
namespace {

struct Boxed {
  std::vector<Callback> batch;
  int ran = 0, wakes = 0;
  Mailbox mailbox{&context, [this] {
                    ++wakes;
                    run();
                  }};
  IoContext context{1};

  void run() {
    mailbox.take(&batch);
    for (Callback& callback : batch) callback();
    batch.clear();
  }
  bool post() {
    return mailbox.post([this] { ++ran; });
  }
};

TEST(Mailbox, OneWakeUpForAllThatIsPostedInATurn) {
  Boxed box;
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(box.post());
  EXPECT_EQ(box.context.poll(), 1u);
  EXPECT_EQ(box.ran, 5);
  EXPECT_TRUE(box.post());
  box.context.restart();
  EXPECT_EQ(box.context.poll(), 1u);
  EXPECT_EQ(box.ran, 6);
  EXPECT_EQ(box.wakes, 2);
}

// What Loop::run() does at its end, with an engine that posts at every moment of it.
TEST(Faults, wake_block_reused) {
  Boxed box;
  EXPECT_EQ(box.context.run(), 0u) << "it has ended: there is no work";
  EXPECT_TRUE(box.post()) << "between run() and the drain by hand: its wake-up lies in the block for good";
  box.mailbox.end_wakes();
  EXPECT_TRUE(box.post());
  box.run();
  EXPECT_EQ(box.ran, 2);
  EXPECT_TRUE(box.post()) << "between two drains by hand: a second wake-up has no block";
  EXPECT_FALSE(box.mailbox.close_if_empty());
  box.run();
  EXPECT_EQ(box.ran, 3);
  EXPECT_TRUE(box.mailbox.close_if_empty());
  EXPECT_FALSE(box.post());
  EXPECT_EQ(box.wakes, 0);
}

TEST(MailboxDeath, ASecondOperationInTheBlockIsABug) {
  WakeBlock block;
  OneBlock<char> allocator(&block);
  char* const held = allocator.allocate(64);
  EXPECT_DEATH((void)allocator.allocate(64), "in_use");
  allocator.deallocate(held, 64);
  EXPECT_NE(allocator.allocate(64), nullptr);
}

TEST(Mailbox, NothingPostedIsLostWhileItCloses) {
  Boxed box;
  std::atomic<bool> go{false};
  int accepted = 0;
  std::thread poster([&] {
    while (!go) std::this_thread::yield();
    while (box.mailbox.post([&box] { ++box.ran; })) ++accepted;
  });
  box.context.run();
  go = true;
  box.mailbox.end_wakes();
  int drains = 0;
  do {
    box.run();
    if (++drains > 1000) std::this_thread::yield();
  } while (!box.mailbox.close_if_empty());
  poster.join();
  EXPECT_EQ(box.ran, accepted);
}

}  // namespace
}  // namespace weir::http
