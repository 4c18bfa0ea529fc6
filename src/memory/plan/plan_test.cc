#include "memory/plan/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <random>
#include <string>

#include "base/units.h"

namespace weir {
namespace {

using testing::AllOf;
using testing::Field;
using testing::HasSubstr;
using testing::Not;

CacheShare ratio(double x) { return {.kind = CacheShare::Kind::kRatio, .ratio = x}; }
CacheShare blocks(uint64_t n) { return {.kind = CacheShare::Kind::kBlocks, .amount = n}; }
CacheShare bytes(uint64_t n) { return {.kind = CacheShare::Kind::kBytes, .amount = n}; }

// Weights of 4 GiB, workspace of 1 MiB a batch place and 1 KiB a session token, under 16 GiB; 1 MiB a block.
std::vector<PlanLine> lines_at(int64_t session_tokens, int max_batch) {
  return {{"weights", 4 * kGiB, "2,147,483,648 parameters x 2 bytes"},
          {"workspace", static_cast<uint64_t>(max_batch) * kMiB + static_cast<uint64_t>(session_tokens) * kKiB, ""},
          {"headroom", 512 * kMiB, "fixed"}};
}

PlanInput roomy() {
  PlanInput input;
  input.fixed_lines = lines_at(8192, 16);
  input.kv_block_bytes = kMiB;
  input.block_tokens = 64;
  input.limit_bytes = 16 * kGiB;
  input.limit_source = "physical memory";
  input.session_tokens = 8192;
  input.max_batch = 16;
  input.fixed_lines_at = lines_at;
  return input;
}

uint64_t fixed_bytes(const PlanInput& input) {
  uint64_t total = 0;
  for (const PlanLine& line : input.fixed_lines) total += line.bytes;
  return total;
}

// The trap: 0.8 of the whole machine, or of what is free now, or of what remains? Of what remains after every
// other line, so that 1.0 is safe too.
TEST(Plan, ratio_of_what) {
  PlanInput input = roomy();
  const uint64_t left = input.limit_bytes - fixed_bytes(input);
  input.cache = ratio(0.5);
  const MemoryPlan half = plan_as_given(input).value();
  EXPECT_EQ(half.kv_blocks, left / 2 / kMiB);
  EXPECT_EQ(half.total_bytes, fixed_bytes(input) + half.kv_blocks * kMiB);
  input.cache = ratio(1.0);
  const MemoryPlan all = plan_as_given(input).value();
  EXPECT_EQ(all.kv_blocks, left / kMiB);
  EXPECT_LE(all.total_bytes, all.limit_bytes);
  EXPECT_GT(all.total_bytes + kMiB, all.limit_bytes);
  // A bigger fixed line takes from the cache, never from the limit.
  input.fixed_lines.push_back({"tokeniser", kGiB, ""});
  EXPECT_EQ(plan_as_given(input).value().kv_blocks, all.kv_blocks - 1024);
}

// The trap: "8GiB" must be bytes of KV cache, not a ratio of 8 and not 8 blocks, and must fit or be refused.
TEST(Plan, absolute_kv_size) {
  PlanInput input = roomy();
  input.cache = bytes(8 * kGiB);
  EXPECT_EQ(plan_as_given(input).value().kv_blocks, 8192u);
  input.cache = bytes(8 * kGiB + kMiB - 1);  // part of a block is not lent
  EXPECT_EQ(plan_as_given(input).value().kv_blocks, 8192u);
  input.cache = blocks(8192);
  EXPECT_EQ(plan_as_given(input).value().lines.back().bytes, 8 * kGiB);
  input.cache = bytes(12 * kGiB);
  const Status status = make_plan(input).status();
  EXPECT_EQ(status.code(), Code::kFailedPrecondition);
  EXPECT_THAT(status.message(),
              AllOf(HasSubstr("12884901888B asks for 12.00 GiB"), HasSubstr("physical memory"),
                    HasSubstr("room for 11752 blocks"), HasSubstr("--cache-max-entry-count 11752")));
  input.cache = blocks(11752);
  EXPECT_TRUE(plan_as_given(input).ok());
  input.cache = blocks(11753);
  EXPECT_FALSE(plan_as_given(input).ok());
}

// The trap: an 8-bit cache must be counted with its scales: its block bytes come from the caller, whole.
TEST(Plan, kv_precision_counted) {
  PlanInput input = roomy();
  const MemoryPlan wide = plan_as_given(input).value();
  input.kv_block_bytes = kMiB / 2 + kMiB / 32;
  const MemoryPlan narrow = plan_as_given(input).value();
  // 17/32 of the bytes each; the share is cut to whole blocks both times.
  EXPECT_GE(narrow.kv_blocks, wide.kv_blocks * 32 / 17);
  EXPECT_LE(narrow.kv_blocks, (wide.kv_blocks + 1) * 32 / 17);
  EXPECT_EQ(narrow.lines.back().bytes, narrow.kv_blocks * input.kv_block_bytes);
  EXPECT_LE(narrow.total_bytes, narrow.limit_bytes);
  input.kv_format = "int8";
  EXPECT_THAT(plan_as_given(input).value().lines.back().formula,
              HasSubstr("blocks of 64 tokens x 8,704 bytes a token as int8: "));
  input.kv_block_bytes = 64 * 100 + 32;
  EXPECT_THAT(plan_as_given(input).value().lines.back().formula, HasSubstr(" x 100.5 bytes a token as int8: "));
}

TEST(Plan, CapacityIsWhatTheBlocksHold) {
  PlanInput input = roomy();
  input.cache = blocks(300);
  const MemoryPlan plan = plan_as_given(input).value();
  EXPECT_EQ(plan.kv_tokens, 300 * 64);
  ASSERT_EQ(plan.capacity.size(), 4u);
  const auto is = [](int64_t tokens, int64_t sequences) {
    return AllOf(Field(&Capacity::tokens_each, tokens), Field(&Capacity::sequences, sequences));
  };
  EXPECT_THAT(plan.capacity[0], is(256, 16));  // 75 by blocks, 16 by batch
  EXPECT_THAT(plan.capacity[2], is(4096, 4));
  EXPECT_THAT(plan.capacity[3], is(8192, 2));
  input.session_tokens = 100;
  EXPECT_THAT(plan_as_given(input).value().capacity, testing::ElementsAre(is(100, 16)));
}

TEST(Plan, ARatioStopsAtItsCap) {
  PlanInput input = roomy();
  input.kv_blocks_max = 2048;
  EXPECT_EQ(plan_as_given(input).value().kv_blocks, 2048u);
  EXPECT_THAT(plan_as_given(input).value().lines.back().formula, HasSubstr("all that the batch can use"));
}

TEST(Plan, TheCacheMustHoldOneWholeSequence) {
  PlanInput input = roomy();
  input.cache = blocks(128);
  EXPECT_TRUE(plan_as_given(input).ok());
  input.cache = blocks(127);
  EXPECT_THAT(
      plan_as_given(input).status().message(),
      HasSubstr("one sequence of --session-len 8192 needs 128 KV blocks of 1.00 MiB, and the cache has 127: it "
                "could hold 8128 tokens"));
  EXPECT_THAT(make_plan(input).status().message(), HasSubstr("--session-len 8128 ("));
  input.session_tokens = 8129;
  input.cache = blocks(128);
  EXPECT_TRUE(plan_as_given(input).ok());  // 127 whole blocks and one token
}

TEST(Plan, ARefusalNamesTheNumbersAndTheWayOut) {
  PlanInput input = roomy();
  input.limit_bytes = 4 * kGiB + 512 * kMiB + 16 * kMiB;  // weights, headroom, 16 MiB: the session takes 8 of them
  input.limit_source = "/sys/fs/cgroup/a/memory.max";
  input.variants = {{"--model-format int8", {{"weights", 2 * kGiB, ""}, {"headroom", 512 * kMiB, ""}}, kMiB}};
  const Status status = make_plan(input).status();
  EXPECT_EQ(status.code(), Code::kFailedPrecondition);
  EXPECT_THAT(status.message(),
              AllOf(HasSubstr("4.52 GiB (4,857,004,032 bytes)"), HasSubstr("/sys/fs/cgroup/a/memory.max"),
                    HasSubstr("weights 4.00 GiB, headroom 512.0 MiB"), HasSubstr("--model-format int8 (")));
  EXPECT_EQ(status.message().find('\n'), std::string::npos);
}

// Every alternative is tried: with its flags the plan fits, and the next larger setting does not.
TEST(Plan, AlternativesFitAndAreTheNearest) {
  PlanInput input = roomy();
  input.cache = ratio(1);
  // 200 MiB for workspace and cache; a session of s tokens takes s KiB of workspace and s / 64 MiB of cache.
  input.limit_bytes = 4 * kGiB + 512 * kMiB + 140 * kMiB;
  ASSERT_FALSE(plan_as_given(input).ok());
  const std::vector<Alternative> found = find_alternatives(input);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].flags, "--session-len 7424");
  EXPECT_EQ(found[1].flags, "--max-batch-size 4");
  const auto fits = [&](int64_t session, int batch) {
    PlanInput at = input;
    at.session_tokens = session;
    at.max_batch = batch;
    at.fixed_lines = lines_at(session, batch);
    return plan_as_given(at).ok();
  };
  EXPECT_TRUE(fits(7424, 16));
  EXPECT_FALSE(fits(7424 + 64, 16));
  EXPECT_TRUE(fits(8192, 4));
  EXPECT_FALSE(fits(8192, 5));
  for (const Alternative& alternative : found) EXPECT_LE(alternative.total_bytes, input.limit_bytes);
}

TEST(Plan, BothAreHalvedWhenNeitherAloneIsEnough) {
  PlanInput input = roomy();
  input.cache = ratio(1);
  input.max_batch = 1024;
  input.session_tokens = 1 << 20;
  input.fixed_lines = lines_at(input.session_tokens, input.max_batch);
  input.limit_bytes = 4 * kGiB + 512 * kMiB + 600 * kMiB;
  const std::vector<Alternative> found = find_alternatives(input);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].flags, "--session-len 32768 --max-batch-size 32");  // 32 + 32 MiB and 512 MiB of cache
}

TEST(Plan, NothingFitsIsSaid) {
  PlanInput input = roomy();
  input.limit_bytes = kGiB;
  EXPECT_THAT(make_plan(input).status().message(), HasSubstr("nothing smaller fits either"));
}

TEST(Plan, ALowRatioIsTheFirstThingToRaise) {
  PlanInput input = roomy();
  input.cache = ratio(0.001);
  EXPECT_THAT(make_plan(input).status().message(), HasSubstr("fits with --cache-max-entry-count 1.0 ("));
  input.cache = ratio(1e-12);
  EXPECT_THAT(plan_as_given(input).status().message(), HasSubstr("the cache has 0: it could hold 0 tokens"));
}

TEST(Plan, grow_proof_arithmetic_at_the_edges) {
  constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();
  constexpr uint64_t kHalf = uint64_t{1} << 63;
  for (const uint64_t weights : {kHalf - 1, kHalf, kMost - 1, kMost}) {
    PlanInput input = roomy();
    input.fixed_lines = {{"weights", weights, ""}, {"headroom", weights, ""}};
    input.fixed_lines_at = nullptr;
    EXPECT_EQ(make_plan(input).status().code(), Code::kFailedPrecondition) << weights;
  }
  for (const uint64_t limit : {kHalf - 1, kHalf, kMost}) {
    for (const uint64_t block : {uint64_t{1}, kMiB, kHalf / 128, kHalf - 1}) {
      PlanInput input = roomy();
      input.limit_bytes = limit;
      input.kv_block_bytes = block;
      input.cache = ratio(1);
      const Result<MemoryPlan> plan = make_plan(input);
      if (!plan.ok()) continue;
      EXPECT_LE(plan->total_bytes, kHalf - 1);
      EXPECT_LT(plan->kv_blocks, kHalf >> 32);
      EXPECT_GT(plan->kv_tokens, 0);
    }
  }
  PlanInput input = roomy();
  input.session_tokens = std::numeric_limits<int64_t>::max();
  input.fixed_lines_at = nullptr;
  EXPECT_FALSE(make_plan(input).ok());
  input = roomy();
  for (const CacheShare& share : {blocks(kMost), bytes(kMost), blocks(kHalf), bytes(kHalf)}) {
    input.cache = share;
    EXPECT_EQ(make_plan(input).status().code(), Code::kFailedPrecondition);
  }
  input = roomy();
  input.kv_block_bytes = kMost;
  EXPECT_EQ(make_plan(input).status().code(), Code::kInvalidArgument);
  for (const auto& spoil :
       {+[](PlanInput* in) { in->kv_block_bytes = 0; }, +[](PlanInput* in) { in->block_tokens = 0; },
        +[](PlanInput* in) { in->session_tokens = -1; }, +[](PlanInput* in) { in->max_batch = 0; },
        +[](PlanInput* in) { in->limit_bytes = 0; }}) {
    input = roomy();
    spoil(&input);
    EXPECT_EQ(make_plan(input).status().code(), Code::kInvalidArgument);
  }
}

// Whatever the numbers: a plan never passes its limit, and its lines add up.
TEST(Plan, TheTotalNeverPassesTheLimit) {
  constexpr unsigned kSeed = 7;
  std::mt19937_64 random(kSeed);
  int fitted = 0;
  for (int i = 0; i < 20000; ++i) {
    PlanInput input = roomy();
    input.fixed_lines_at = nullptr;
    input.fixed_lines = {{"a", random() >> (1 + random() % 63), ""}, {"b", random() >> (1 + random() % 63), ""}};
    input.limit_bytes = random() >> (random() % 60);
    input.kv_block_bytes = 1 + (random() >> (20 + random() % 43));
    input.session_tokens = 1 + static_cast<int64_t>(random() >> (30 + random() % 33));
    input.cache = ratio(static_cast<double>(1 + random() % 1000) / 1000);
    const Result<MemoryPlan> plan = plan_as_given(input);
    if (!plan.ok()) continue;
    ++fitted;
    uint64_t sum = 0;
    for (const PlanLine& line : plan->lines) sum += line.bytes;
    ASSERT_EQ(sum, plan->total_bytes) << "seed " << kSeed << " case " << i;
    ASSERT_LE(sum, plan->limit_bytes) << "seed " << kSeed << " case " << i;
    ASSERT_GE(plan->kv_tokens, input.session_tokens) << "seed " << kSeed << " case " << i;
    ASSERT_GE(plan->capacity.back().sequences, 1);
  }
  EXPECT_GT(fitted, 1000);
}

TEST(CacheShare, ThreeForms) {
  EXPECT_EQ(parse_cache_share("0.8").value().ratio, 0.8);
  for (const char* one : {"1", "1.0", "1."}) {
    EXPECT_EQ(parse_cache_share(one).value().kind, CacheShare::Kind::kRatio) << one;
    EXPECT_EQ(parse_cache_share(one).value().ratio, 1) << one;
  }
  EXPECT_EQ(parse_cache_share("128").value().kind, CacheShare::Kind::kBlocks);
  EXPECT_EQ(parse_cache_share("128").value().amount, 128u);
  EXPECT_EQ(parse_cache_share("8GiB").value().kind, CacheShare::Kind::kBytes);
  EXPECT_EQ(parse_cache_share("8GiB").value().amount, 8 * kGiB);
  EXPECT_EQ(parse_cache_share("1.5 MiB").value().amount, kMiB * 3 / 2);
  EXPECT_EQ(parse_cache_share("512B").value().amount, 512u);
  for (const char* bad : {"", "0", "0.0", "-1", "-0.5", "1.5", "2.0", "nan", "inf", "1e3", "0x10", "8 blocks",
                          "GiB", ".", "1..2", "0GiB", "99999999999999999999", "+1", " 0.8"}) {
    EXPECT_EQ(parse_cache_share(bad).status().code(), Code::kInvalidArgument) << bad;
  }
}

TEST(CacheShare, TextParsesBack) {
  for (const CacheShare& share : {ratio(0.8), ratio(1), blocks(2), bytes(8 * kGiB)}) {
    const CacheShare back = parse_cache_share(cache_share_text(share)).value();
    EXPECT_EQ(back.kind, share.kind);
    EXPECT_EQ(cache_share_text(back), cache_share_text(share));
  }
}

TEST(PlanText, TableAndJson) {
  PlanInput input = roomy();
  input.cache = blocks(300);
  MemoryPlan plan = plan_as_given(input).value();
  const std::string table = format_plan(plan);
  EXPECT_THAT(table, HasSubstr("memory plan: 4.82 GiB of the 16.00 GiB that physical memory allows\n"));
  EXPECT_THAT(table,
              HasSubstr("  weights      4.00 GiB           4,294,967,296  2,147,483,648 parameters x 2 bytes\n"));
  EXPECT_THAT(table, HasSubstr("300 blocks of 64 tokens x 16,384 bytes a token: as many as asked for"));
  EXPECT_THAT(table, HasSubstr("4 sequences of 4,096 tokens at once\n"));
  EXPECT_THAT(table, HasSubstr("16 sequences of 256 tokens at once, the most --max-batch-size 16 allows\n"));
  EXPECT_THAT(table, Not(HasSubstr(" \n")));
  plan.lines = {{"a\"b", 1, "x\n\xff"}};
  plan.limit_source = "back\\slash";
  plan.capacity.resize(1);
  plan.notes = {"look", "here"};
  EXPECT_THAT(format_plan(plan), HasSubstr("note: look\nnote: here\n"));
  EXPECT_EQ(plan_json(plan), "{\"total_bytes\":" + std::to_string(plan.total_bytes) +
                                 ",\"limit_bytes\":17179869184,\"limit_source\":\"back\\\\slash\","
                                 "\"lines\":[{\"name\":\"a\\\"b\",\"bytes\":1,\"formula\":\"x\\u000a\\u00ff\"}],"
                                 "\"kv\":{\"blocks\":300,\"block_tokens\":64,\"tokens\":19200},"
                                 "\"capacity\":[{\"tokens_each\":256,\"sequences\":16}],\"notes\":[\"look\",\"here\"]}");
}

}  // namespace
}  // namespace weir
