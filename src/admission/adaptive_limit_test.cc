#include "admission/adaptive_limit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace weir {
namespace {

constexpr AdaptiveOptions kOptions{.limit_min = 1, .limit_max = 64};

// A machine whose step takes a + b * running of its target, with noise. Load is what wants to run.
struct Plant {
  double a = 0.3, b = 0.05;
  double noise = 0.03;
  int load = 1'000;
  std::mt19937_64 random{1};
  AdaptiveLimit limit{kOptions};
  Micros now = 0;
  std::vector<LimitChange> audit;

  double exact(double running) const { return a + b * running; }
  double ideal() const { return std::clamp((1 - a) / b, 1.0, 64.0); }
  void period() {
    now += 1'000'000;
    const int running = std::min(load, limit.limit());
    const double measured = exact(running) * std::normal_distribution<double>(1, noise)(random);
    const auto change = limit.period({.signal = measured,
                                      .queue_delay_us = load > running ? 500'000 : 0,
                                      .running = running,
                                      .waiting = load - running},
                                     now);
    if (change) audit.push_back(*change);
  }
  bool settled() const {
    const double signal = exact(limit.limit());
    const bool at_bound = limit.limit() == 64 && signal < 1;
    return (signal >= 0.75 && signal <= 1.12) || at_bound;
  }
};

TEST(TrapsAdaptive, adaptive_oscillates) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    for (const Plant& shape : {Plant{.a = 0.0, .b = 0.05}, Plant{.a = 0.3, .b = 0.05}, Plant{.a = 0.6, .b = 0.02},
                               Plant{.a = 0.3, .b = 0.03}, Plant{.a = 0.1, .b = 0.1}}) {
      Plant plant = shape;
      plant.random.seed(seed);
      plant.load = 3;
      for (int i = 0; i < 10; ++i) plant.period();
      plant.load = 1'000;  // a step from next to nothing to more than can ever run
      for (int i = 0; i < 3; ++i) plant.period();
      const size_t changes = plant.audit.size();
      for (int i = 0; i < 50; ++i) {
        ASSERT_TRUE(plant.settled()) << "seed " << seed << ", a " << plant.a << ", b " << plant.b << ", period "
                                     << i << ": limit " << plant.limit.limit() << " for " << plant.ideal();
        plant.period();
      }
      EXPECT_LE(plant.audit.size() - changes, 12u) << "it keeps moving: a " << plant.a << ", b " << plant.b;
      plant.b /= 2;  // shorter contexts: a step of the plant, downwards
      for (int i = 0; i < 3; ++i) plant.period();
      EXPECT_TRUE(plant.settled()) << "seed " << seed << ", a " << plant.a << ": limit " << plant.limit.limit()
                                   << " for " << plant.ideal();
    }
  }
}

TEST(AdaptiveLimit, AnIdleOrLightLoadMovesNothing) {
  Plant plant;
  plant.load = 2;
  for (int i = 0; i < 100; ++i) plant.period();
  EXPECT_EQ(plant.limit.limit(), 64);
  EXPECT_TRUE(plant.audit.empty());
  EXPECT_FALSE(plant.limit.period({.signal = 0, .running = 0}, 1).has_value());
}

TEST(AdaptiveLimit, StaysWithinItsBounds) {
  AdaptiveLimit limit({.limit_min = 4, .limit_max = 32});
  for (int i = 0; i < 20; ++i)
    limit.period({.signal = 50, .queue_delay_us = 1'000'000, .running = limit.limit(), .waiting = 9}, i);
  EXPECT_EQ(limit.limit(), 4);
  for (int i = 0; i < 20; ++i)
    limit.period({.signal = 0.1, .queue_delay_us = 1'000'000, .running = limit.limit(), .waiting = 9}, i);
  EXPECT_EQ(limit.limit(), 32);
}

TEST(AdaptiveLimit, EveryChangeHasItsLineInTheAudit) {
  AdaptiveLimit limit({.limit_min = 1, .limit_max = 40});
  const auto cut = limit.period({.signal = 1.6, .queue_delay_us = 7, .running = 40, .waiting = 3}, 11);
  ASSERT_TRUE(cut.has_value());
  EXPECT_EQ(cut->from, 40);
  EXPECT_EQ(cut->to, 24);
  EXPECT_EQ(cut->to, limit.limit());
  EXPECT_EQ(cut->signal, 1.6);
  EXPECT_EQ(cut->queue_delay_us, 7);
  EXPECT_EQ(cut->at_us, 11);
  EXPECT_STREQ(limit_reason_name(cut->reason), "over_target");
  EXPECT_FALSE(limit.period({.signal = 1.0, .queue_delay_us = 700'000, .running = 24, .waiting = 3}, 12))
      << "in the band";
  EXPECT_FALSE(limit.period({.signal = 0.5, .running = 24}, 13)) << "nobody waits";
  EXPECT_FALSE(limit.period({.signal = 0.5, .queue_delay_us = 1'000, .running = 24, .waiting = 3}, 14))
      << "a queue that turns over in a step";
  const auto grown = limit.period({.signal = 0.5, .queue_delay_us = 700'000, .running = 24, .waiting = 3}, 15);
  ASSERT_TRUE(grown.has_value());
  EXPECT_GT(grown->to, 24);
  EXPECT_STREQ(limit_reason_name(grown->reason), "demand");
}

TEST(AdaptiveLimit, WhatStillRunsAboveTheLimitDoesNotWindItDown) {
  AdaptiveLimit limit({.limit_min = 1, .limit_max = 40});
  for (int running = 40; running > 30; --running) {  // answers end slowly; the plant is b * running
    limit.period({.signal = running / 20.0, .queue_delay_us = 1'000'000, .running = running, .waiting = 3},
                 running);
  }
  EXPECT_GE(limit.limit(), 17) << "where the line meets the target, and not below it";
  EXPECT_LE(limit.limit(), 21);
}

TEST(AdaptiveLimit, NewBoundsTakeTheLimitAlong) {
  AdaptiveLimit limit({.limit_min = 1, .limit_max = 40});
  EXPECT_EQ(limit.set_bounds(1, 16, 1)->to, 16);
  const auto up = limit.set_bounds(1, 48, 2);
  ASSERT_TRUE(up.has_value()) << "at the bound it was not the signal that held it";
  EXPECT_EQ(up->to, 48);
  limit.period({.signal = 2, .running = 48}, 3);
  const int cut = limit.limit();
  EXPECT_FALSE(limit.set_bounds(1, 64, 4).has_value());
  EXPECT_EQ(limit.limit(), cut);
}

TEST(AdaptiveLimit, NumbersThatAreNoneMoveNothing) {
  AdaptiveLimit limit(kOptions);
  for (const double signal : {std::nan(""), -1.0, 0.0, std::numeric_limits<double>::infinity()}) {
    EXPECT_FALSE(
        limit.period({.signal = signal, .queue_delay_us = 1'000'000, .running = 64, .waiting = 9}, 1).has_value());
  }
  EXPECT_FALSE(limit.period({.signal = 0.1, .queue_delay_us = -5, .running = 64, .waiting = -9}, 1).has_value());
}

}  // namespace
}  // namespace weir
