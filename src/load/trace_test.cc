// Files from outside: traces, prompts, tenants, priorities.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "load/prompts.h"
#include "load/trace.h"
#include "load/workload.h"

namespace weir::load {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kHead = "TIMESTAMP,ContextTokens,GeneratedTokens\n";

std::string trace_error(const std::string& text) { return parse_trace(text, "t").status().message(); }

TEST(Trace, ReadsAzure) {
  const Result<Trace> trace = parse_trace(std::string(kHead) +
                                              "2023-11-16 23:59:59.9799600,4808,10\r\n"
                                              "2023-11-17 00:00:01.0319600,3180,0\n\n"
                                              "2023-11-17T01:00:02+01:00,1,8",
                                          "t");
  ASSERT_TRUE(trace.ok()) << trace.status().message();
  ASSERT_EQ(trace->rows.size(), 3u);
  EXPECT_EQ(trace->rows[0].at_us, 0);
  EXPECT_EQ(trace->rows[1].at_us, 1'052'000);
  EXPECT_EQ(trace->rows[2].at_us, 2'020'040);
  EXPECT_EQ(trace->rows[0].prompt_tokens, 4808);
  EXPECT_EQ(trace->rows[0].output_tokens, 10);
  EXPECT_EQ(trace->rows[1].output_tokens, 1);
}

TEST(Trace, ColumnsMayStandInAnyOrderAndTimesBeSeconds) {
  const Result<Trace> trace =
      parse_trace("\xEF\xBB\xBFnum_decode_tokens,x,arrived_at,num_prefill_tokens\n5,,0.5,7\n6,,2,8\n", "t");
  ASSERT_TRUE(trace.ok()) << trace.status().message();
  EXPECT_EQ(trace->rows[1].at_us, 1'500'000);
  EXPECT_EQ(trace->rows[1].prompt_tokens, 8);
  EXPECT_EQ(trace->rows[1].output_tokens, 6);
}

TEST(Trace, ReadsMooncakeWithItsPrefixes) {
  const Result<Trace> trace = parse_trace(
      "{\"timestamp\": 100, \"input_length\": 1100, \"output_length\": 6, \"hash_ids\": [0, 1, 2]}\n"
      "{\"timestamp\": 3000, \"input_length\": 600, \"output_length\": 4, \"hash_ids\": [0, 9]}\n",
      "t");
  ASSERT_TRUE(trace.ok()) << trace.status().message();
  EXPECT_EQ(trace->rows[1].at_us, 2'900'000);
  EXPECT_EQ(trace->rows[1].first_block, 3u);
  EXPECT_EQ(trace->rows[1].block_count, 2u);
  EXPECT_THAT(trace->blocks, ElementsAre(0, 1, 2, 0, 9));
}

TEST(Trace, SaysWhatIsWrongAndWhere) {
  EXPECT_THAT(trace_error(""), HasSubstr("t: the trace holds no requests"));
  EXPECT_THAT(trace_error(kHead), HasSubstr("holds no requests"));
  EXPECT_THAT(trace_error("TIMESTAMP,GeneratedTokens\n"),
              HasSubstr("t line 1: the column ContextTokens is missing"));
  EXPECT_THAT(trace_error(std::string(kHead) + "1,2,3\n0.5,2,3\n"), HasSubstr("t line 3: its time is before"));
  EXPECT_THAT(trace_error(std::string(kHead) + "1,2\n"), HasSubstr("t line 2: has fewer columns"));
  EXPECT_THAT(trace_error(std::string(kHead) + "1,-2,3\n"), HasSubstr("t line 2: '-2' is no whole number"));
  EXPECT_THAT(trace_error(std::string(kHead) + "1,9999999,3\n"), HasSubstr("a length above"));
  EXPECT_THAT(trace_error("{\"timestamp\": 1}\n"), HasSubstr("t line 1: the field \"input_length\" is missing"));
  EXPECT_THAT(trace_error("{\"timestamp\": \"x\"}\n"), HasSubstr("\"timestamp\" is no number"));
  EXPECT_THAT(trace_error("{\"timestamp\": 1\n"), HasSubstr("t line 1: is no JSON object"));
  EXPECT_THAT(trace_error("{\"timestamp\":1,\"input_length\":1,\"output_length\":1,\"hash_ids\":[-1]}\n"),
              HasSubstr("hash_ids"));
  EXPECT_THAT(trace_error("{\"timestamp\":1,\"input_length\":1,\"output_length\":1,\"hash_ids\":7}\n"),
              HasSubstr("no array"));
  for (const char* time : {"yesterday", "2023-13-01 00:00:00", "2023-11-16 24:00:00", "2023-11-16 18:17:03.",
                           "2023-11-16 18:17:03+1", "2023-02-30 00:00:00", "-5", "nan", ""}) {
    EXPECT_THAT(trace_error(std::string(kHead) + time + ",2,3\n"), HasSubstr("is no time")) << time;
  }
  EXPECT_EQ(read_trace("no/such/file").status().code(), Code::kNotFound);
}

TEST(Prompts, ReadsEveryShape) {
  EXPECT_THAT(*parse_prompts("one\r\n\n two \n", "p"), ElementsAre("one", "two"));
  EXPECT_THAT(
      *parse_prompts("{\"prompt\":\"a\\nb\"}\n{\"turns\":[\"c\",\"d\"]}\n{\"other\":1}\n{\"text\":\"e\"}", "p"),
      ElementsAre("a\nb", "c", "e"));
  EXPECT_THAT(
      *parse_prompts(
          R"([{"conversations":[{"from":"gpt","value":"x"},{"from":"human","value":"y"}]},{"conversations":[]},
                      {"messages":[{"role":"system","content":"s"},{"role":"user","content":"z"}]}, 7, "w"])",
          "p"),
      ElementsAre("y", "z", "w"));
}

TEST(Prompts, SaysWhatIsWrong) {
  EXPECT_THAT(parse_prompts(" \n", "p").status().message(), HasSubstr("p: holds no prompt"));
  EXPECT_THAT(parse_prompts("[{\"a\":1}]", "p").status().message(), HasSubstr("holds no prompt"));
  EXPECT_THAT(parse_prompts("[1,", "p").status().message(), HasSubstr("no JSON array"));
  EXPECT_THAT(parse_prompts("{\"prompt\":\"a\"}\nnonsense\n", "p").status().message(),
              HasSubstr("p line 2: is no JSON"));
}

TEST(Tenants, ReadsFlagsAndLines) {
  const Result<Tenant> tenant = parse_tenant("a=sk-1:3:0.5");
  ASSERT_TRUE(tenant.ok()) << tenant.status().message();
  EXPECT_EQ(tenant->name, "a");
  EXPECT_EQ(tenant->key, "sk-1");
  EXPECT_EQ(tenant->share, 3);
  EXPECT_EQ(tenant->weight, 0.5);
  const Result<std::vector<Tenant>> lines = parse_tenant_lines("# who\n\n a k:1:2 \nb\tk2 10 3\r\n", "f");
  ASSERT_TRUE(lines.ok()) << lines.status().message();
  ASSERT_EQ(lines->size(), 2u);
  EXPECT_EQ((*lines)[0].key, "k:1:2");
  EXPECT_EQ((*lines)[1].share, 10);
  EXPECT_EQ((*lines)[1].weight, 3);
}

TEST(Tenants, RefusesWhatNoHeaderCanCarry) {
  for (const char* text :
       {"", "a", "=k", "a=", "a=k k", "a=k\r\nX: y", "a=k:0", "a=k:-1", "a=k:x", "a=k:1:0", "a=k:1:1:1"}) {
    EXPECT_EQ(parse_tenant(text).status().code(), Code::kInvalidArgument) << text;
  }
  EXPECT_THAT(parse_tenant_lines("a k\nb\n", "f").status().message(), HasSubstr("f line 2"));
  EXPECT_THAT(parse_tenant_lines("a k zero\n", "f").status().message(), HasSubstr("f line 1: share"));
  EXPECT_THAT(parse_tenant_lines("# nobody\n", "f").status().message(), HasSubstr("holds no tenant"));
}

TEST(Priorities, ReadsSharesAndRefusesNonsense) {
  const Result<std::vector<PriorityShare>> shares = parse_priorities("interactive=0.3,batch=0.7");
  ASSERT_TRUE(shares.ok()) << shares.status().message();
  EXPECT_EQ((*shares)[1].name, "batch");
  EXPECT_EQ((*shares)[1].share, 0.7);
  for (const char* text :
       {"", "a", "a=", "a=0", "a=1.5", "a=-1", "a=0.6,b=0.6", "a=0.1,a=0.1", "a b=0.1", "a=0.1,"}) {
    EXPECT_EQ(parse_priorities(text).status().code(), Code::kInvalidArgument) << text;
  }
}

}  // namespace
}  // namespace weir::load
