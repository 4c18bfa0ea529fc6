#include "memory/ledger/ledger.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>
#include <vector>

namespace weir {
namespace {

std::shared_ptr<Ledger> make(uint64_t total, uint64_t each) {
  return std::make_shared<Ledger>(LedgerOptions{.total_bytes_max = total, .request_bytes_max = each});
}

TEST(Ledger, ChargesAreCountedByKindAndGivenBack) {
  const auto ledger = make(1000, 600);
  {
    Charge body(ledger->open(), HostKind::kBody);
    Charge ids(body.account(), HostKind::kPromptIds);
    EXPECT_EQ(body.try_grow(300), Grant::kYes);
    EXPECT_EQ(ids.try_grow(200), Grant::kYes);
    EXPECT_EQ(ledger->used_bytes(), 500u);
    EXPECT_EQ(ledger->used_bytes(HostKind::kBody), 300u);
    EXPECT_EQ(ledger->used_bytes(HostKind::kPromptIds), 200u);
    EXPECT_EQ(body.account()->used_bytes(), 500u);
    body.shrink(100);
    EXPECT_EQ(ledger->used_bytes(HostKind::kBody), 200u);
    Charge moved = std::move(body);
    EXPECT_EQ(moved.bytes(), 200u);
    EXPECT_EQ(body.bytes(), 0u);
    EXPECT_EQ(ids.try_settle(50), Grant::kYes);
    EXPECT_EQ(ids.try_settle(70), Grant::kYes);
    EXPECT_EQ(ledger->used_bytes(), 270u);
    ids = Charge(ledger->open(), HostKind::kOutput);
    EXPECT_EQ(ledger->used_bytes(), 200u) << "assigning over a charge gives its bytes back";
  }
  EXPECT_EQ(ledger->used_bytes(), 0u);
  EXPECT_EQ(ledger->peak_bytes(), 500u);
  for (size_t i = 0; i < kHostKinds; ++i) EXPECT_EQ(ledger->used_bytes(static_cast<HostKind>(i)), 0u);
}

std::shared_ptr<Ledger> with_groups(uint64_t first_max) {
  const auto ledger = std::make_shared<Ledger>(LedgerOptions{.total_bytes_max = 800, .request_bytes_max = 600, .groups = 2});
  ledger->set_group_max(0, first_max);
  return ledger;
}

TEST(Ledger, AGroupBoundsItsAccountsTogether) {
  const auto ledger = with_groups(300);
  Charge first(ledger->open(), HostKind::kOutput), second(ledger->open(), HostKind::kOutput), other(ledger->open(), HostKind::kBody);
  ASSERT_EQ(first.account()->join(0), Grant::kYes);
  ASSERT_EQ(second.account()->join(0), Grant::kYes);
  ASSERT_EQ(other.account()->join(1), Grant::kYes);
  EXPECT_EQ(first.try_grow(200), Grant::kYes);
  EXPECT_EQ(second.try_grow(100), Grant::kYes);
  EXPECT_EQ(second.try_grow(1), Grant::kGroupFull);
  EXPECT_EQ(first.try_grow(101), Grant::kOverGroup) << "it alone would have 301 of 300";
  EXPECT_EQ(other.try_grow(500), Grant::kYes) << "another group, without a limit";
  EXPECT_EQ(other.try_grow(101), Grant::kRequestFull);
  first.shrink(150);
  EXPECT_EQ(other.try_grow(100), Grant::kYes);
  EXPECT_EQ(second.try_grow(150), Grant::kTotalFull) << "all together still have their limit";
  EXPECT_EQ(ledger->refusals(Grant::kTotalFull), 1u);
  EXPECT_EQ(ledger->group_used(0), 150u) << "what was refused elsewhere is not the group's";
  EXPECT_EQ(second.account()->used_bytes(), 100u);
  other.release();
  EXPECT_EQ(second.try_grow(150), Grant::kYes);
  EXPECT_EQ(ledger->refusals(Grant::kGroupFull), 1u);
  EXPECT_EQ(ledger->refusals(Grant::kOverGroup), 1u);
  first.release();
  second.release();
  EXPECT_EQ(ledger->group_used(0), 0u);
  EXPECT_EQ(ledger->used_bytes(), 0u);
}

TEST(Ledger, WhatAnAccountHoldsJoinsWithIt) {
  const auto ledger = with_groups(300);
  Charge body(ledger->open(), HostKind::kBody), late(ledger->open(), HostKind::kBody), large(ledger->open(), HostKind::kBody);
  ASSERT_EQ(body.try_grow(250), Grant::kYes);
  ASSERT_EQ(late.try_grow(60), Grant::kYes);
  ASSERT_EQ(large.try_grow(301), Grant::kYes);
  EXPECT_EQ(body.account()->join(0), Grant::kYes);
  EXPECT_EQ(ledger->group_used(0), 250u);
  EXPECT_EQ(late.account()->join(0), Grant::kGroupFull);
  EXPECT_EQ(large.account()->join(0), Grant::kOverGroup);
  EXPECT_EQ(late.account()->group(), -1);
  late.release();
  EXPECT_EQ(ledger->group_used(0), 250u) << "it never joined";
  ledger->set_group_max(0, 100);
  EXPECT_EQ(body.try_grow(1), Grant::kOverGroup) << "lowered below what is held: nothing more, and nothing is taken away";
  body.shrink(200);
  EXPECT_EQ(body.try_grow(50), Grant::kYes);
}

TEST(Ledger, BothLimitsHoldToTheByte) {
  const auto ledger = make(1000, 600);
  Charge first(ledger->open(), HostKind::kOutput), second(first.account(), HostKind::kSse);
  EXPECT_EQ(first.try_grow(600), Grant::kYes);
  EXPECT_EQ(second.try_grow(1), Grant::kRequestFull) << "the limit is on the account, not on the charge";
  Charge other(ledger->open(), HostKind::kOutput);
  EXPECT_EQ(other.try_grow(401), Grant::kTotalFull);
  EXPECT_EQ(other.account()->used_bytes(), 0u) << "a refusal leaves nothing behind";
  EXPECT_EQ(other.try_grow(400), Grant::kYes);
  EXPECT_EQ(other.try_grow(1), Grant::kTotalFull);
  EXPECT_EQ(other.try_grow(std::numeric_limits<uint64_t>::max()), Grant::kRequestFull) << "no overflow";
  EXPECT_EQ(ledger->refusals(Grant::kTotalFull), 2u);
  EXPECT_EQ(ledger->refusals(Grant::kRequestFull), 2u);
  EXPECT_EQ(other.bytes(), 400u);
}

TEST(Ledger, AnEmptyChargeChargesNobody) {
  Charge charge;
  EXPECT_EQ(charge.try_grow(1'000'000), Grant::kYes);
  charge.shrink(1'000'000);
}

TEST(Ledger, TextGrowsOnlyWithItsCharge) {
  const auto ledger = make(10'000, 1000);
  Charge charge(ledger->open(), HostKind::kOutput);
  std::string text;
  size_t refused_at = 0;
  for (size_t i = 0; i < 2000 && refused_at == 0; ++i) {
    if (make_room(&text, 7, &charge) != Grant::kYes) {
      refused_at = i;
      break;
    }
    const size_t capacity = text.capacity();
    text.append("7 bytes");
    ASSERT_EQ(text.capacity(), capacity) << "the room was there";
    ASSERT_EQ(charge.bytes(), text_bytes(text));
    ASSERT_LE(ledger->used_bytes(), 1000u);
  }
  EXPECT_GT(text.size(), 400u) << "a text and its copy share the limit";
  EXPECT_LT(text.size(), 1000u);
  EXPECT_LE(ledger->peak_bytes(), 1000u) << "the old buffer counts while the text moves";
  drop_text(&text, &charge);
  EXPECT_EQ(ledger->used_bytes(), 0u);
  EXPECT_EQ(text.capacity(), std::string().capacity());
}

// However threads interleave, no limit is passed at any moment and everything comes back.
TEST(Ledger, ManyThreadsNeverPassALimit) {
  const auto ledger = make(10'000, 4'000);
  const auto shared = ledger->open();
  std::vector<std::thread> threads;
  std::atomic<bool> over{false};
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      Charge own(ledger->open(), HostKind::kOutput), common(shared, HostKind::kSse);
      for (int i = 0; i < 20'000; ++i) {
        Charge& one = random() % 2 ? own : common;
        if (one.try_grow(random() % 900) != Grant::kYes) one.release();
        if (ledger->used_bytes() > 10'000 || shared->used_bytes() > 4'000) over = true;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(over);
  EXPECT_EQ(ledger->used_bytes(), 0u);
  EXPECT_LE(ledger->peak_bytes(), 10'000u);
  EXPECT_GT(ledger->refusals(Grant::kTotalFull) + ledger->refusals(Grant::kRequestFull), 0u);
}

}  // namespace
}  // namespace weir
