// Models, tokenize, plan, metrics, and the errors of the door step that need no engine.
#include <gtest/gtest.h>

#include <set>
#include <sstream>

#include "api/world_test.h"
#include "base/alloc_guard.h"

namespace weir::api {
namespace {

TEST(Control, ModelsAndPlan) {
  World world;
  EXPECT_EQ(world.get("/v1/models")->json().at("data").at(0).at("id"), "tiny");
  EXPECT_EQ(world.get("/v1/models")->json().at("data").at(0).at("max_model_len").as_int64(), 256);
  EXPECT_EQ(world.get("/v1/models/t%69ny")->json().at("object"), "model");
  const auto other = world.get("/v1/models/big");
  EXPECT_EQ(other->status, 404);
  EXPECT_EQ(other->error().at("code"), "model_not_found");
  EXPECT_EQ(world.get("/plan")->body, R"({"total_bytes":1})");
  EXPECT_EQ(world.get("/plan", "format=text")->body, "total 1 B\n");
  EXPECT_NE(world.get("/")->body.find("/v1/chat/completions"), std::string::npos);
}

TEST(Control, WrongPathsAndMethods) {
  World world;
  EXPECT_EQ(world.get("/nowhere")->status, 404);
  const auto got = world.get("/v1/completions");
  EXPECT_EQ(got->status, 405);
  EXPECT_EQ(got->header("Allow"), "POST");
  EXPECT_EQ(got->error().at("code"), "method_not_allowed");
  EXPECT_EQ(world.door.refusals(Refusal::kBadRequest), 0u);
}

TEST(Control, RequestIdsComeBack) {
  World world;
  http::Request request = make_request("GET", "/health");
  request.headers.emplace_back("x-request-id", "mine-7");
  EXPECT_EQ(world.send(std::move(request))->header("x-request-id"), "mine-7");
}

TEST(Control, BadBodiesAreCountedOnceEach) {
  World world;
  uint64_t want = 0;
  for (const char* body : {"", "{", "[]", "{\"prompt\":1}", "{\"prompt\":\"a\",\"n\":0}", "{\"prompt\":\"\\ud800\"}",
                           "{\"prompt\":\"\xff\"}", "{\"prompt\":\"a\",\"model\":7}"}) {
    const auto got = world.ask("/v1/completions", body);
    EXPECT_EQ(got->status, 400) << body;
    EXPECT_EQ(got->error().at("type"), "invalid_request_error");
    EXPECT_EQ(world.door.refusals(Refusal::kBadRequest), ++want) << body;
  }
  const auto model = world.ask("/v1/completions", R"({"prompt":"a","model":"gpt-4"})");
  EXPECT_EQ(model->status, 404);
  EXPECT_EQ(model->error().at("code"), "model_not_found");
  EXPECT_EQ(model->error().at("param"), "model");
  const auto empty = world.ask("/v1/completions", R"({"prompt":""})");
  EXPECT_EQ(empty->status, 400) << "no token, and this tokeniser adds none";
  EXPECT_EQ(world.engine.submits, 0u);
}

TEST(Control, ShortOfMemoryIsNotReadyButAlive) {
  World world;
  const auto running = world.post("/v1/completions", R"({"prompt":"a","max_tokens":2})");
  world.run_until([&] { return world.door.admitted() == 1; });
  world.door.refuse_for_memory(true);
  EXPECT_EQ(world.get("/health/ready")->status, 503);
  EXPECT_EQ(world.get("/health/ready")->body, R"({"status":"memory_pressure"})");
  EXPECT_EQ(world.get("/health/live")->status, 200);
  EXPECT_NE(world.get("/metrics")->body.find("\nweir_ready 0\n"), std::string::npos);
  const auto refused = world.ask("/v1/completions", R"({"prompt":"a"})");
  EXPECT_EQ(refused->status, 503);
  EXPECT_EQ(refused->error().at("code"), "server_is_overloaded");
  EXPECT_EQ(refused->error().at("reason"), "memory_pressure");
  EXPECT_EQ(refused->header("Retry-After"), "5");
  EXPECT_EQ(world.door.refusals(Refusal::kMemoryPressure), 1u);
  world.finish(running);
  EXPECT_EQ(running->status, 200) << "what was admitted is left alone";
  world.door.refuse_for_memory(false);
  EXPECT_EQ(world.get("/health/ready")->status, 200);
  EXPECT_EQ(world.ask("/v1/completions", R"({"prompt":"a","max_tokens":2})")->status, 200);
}

TEST(Control, TokenizeAndBack) {
  World world;
  const auto got = world.ask("/tokenize", R"({"prompt":"h\u00e4<eos>"})");
  EXPECT_EQ(got->body, R"({"count":4,"max_model_len":256,"tokens":[104,195,164,256]})");
  EXPECT_EQ(world.ask("/tokenize", R"({"messages":[{"role":"user","content":""}]})")->json().at("count").as_int64(), 18);
  EXPECT_EQ(world.ask("/detokenize", R"({"tokens":[104,195,164,256]})")->body, "{\"prompt\":\"h\xC3\xA4<eos>\"}");
  for (const char* bad : {"{}", R"({"prompt":7})", R"({"prompt":"a","messages":[]})", R"({"messages":[]})",
                          R"({"prompt":"a","add_special_tokens":1})"}) {
    EXPECT_EQ(world.ask("/tokenize", bad)->status, 400) << bad;
  }
  for (const char* bad : {"{}", R"({"tokens":7})", R"({"tokens":[258]})", R"({"tokens":[-1]})", R"({"tokens":["a"]})"}) {
    EXPECT_EQ(world.ask("/detokenize", bad)->status, 400) << bad;
  }
}

TEST(Metrics, EveryFamilyIsThereFromTheStartAndWellFormed) {
  World world;
  const auto got = world.get("/metrics");
  EXPECT_EQ(got->content_type, "text/plain; version=0.0.4; charset=utf-8");
  std::set<std::string> families;
  std::istringstream lines(got->body);
  std::string current;
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("# TYPE ", 0) == 0) {
      current = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_TRUE(families.insert(current).second) << "twice: " << current;
    } else if (line[0] != '#') {
      EXPECT_EQ(line.rfind(current, 0), 0u) << line << " outside its family";
      EXPECT_NO_THROW(std::stod(line.substr(line.rfind(' ') + 1))) << line;
    }
  }
  for (const char* name :
       {"weir_requests_running", "weir_requests_waiting", "weir_waiting_tokens", "weir_kv_blocks", "weir_steps_total",
        "weir_step_seconds_total", "weir_prompt_tokens_total", "weir_output_tokens_total", "weir_preemptions_total",
        "weir_recomputed_tokens_total", "weir_spec_drafted_tokens_total", "weir_spec_accepted_tokens_total",
        "weir_spec_steps_total", "weir_spec_switched_off_total", "weir_ring_stalls_total", "weir_sequences_finished_total", "weir_refusals_total",
        "weir_http_connections", "weir_http_accepted_total", "weir_http_requests_total", "weir_http_bad_requests_total",
        "weir_http_client_gone_total", "weir_http_slow_readers_total", "weir_http_bytes_in_total",
        "weir_http_bytes_out_total", "weir_memory_rss_bytes", "weir_memory_peak_bytes", "weir_memory_plan_bytes",
        "weir_memory_limit_bytes", "weir_memory_huge_page_bytes", "weir_memory_pressure", "weir_memory_room_bytes", "weir_memory_stage",
        "weir_memory_stage_entered_total", "weir_memory_source_info", "weir_queue_seconds", "weir_time_to_first_token_seconds",
        "weir_time_per_output_token_seconds", "weir_request_seconds", "weir_host_bytes", "weir_host_bytes_peak",
        "weir_host_bytes_limit", "weir_queue_stands", "weir_step_prediction_error_ratio", "weir_step_pace_ratio", "weir_start_prediction_error_ratio",
        "weir_start_in_time_ratio", "weir_waiting_by_class", "weir_predicted_start_seconds",
        "weir_adaptive_limit", "weir_adaptive_acting", "weir_adaptive_signal_ratio", "weir_adaptive_changes_total",
        "weir_brown_out_level", "weir_brown_out_active", "weir_brown_out_entered_total", "weir_host_refusals_total", "weir_watchdog_stalls_total", "weir_compute_threads",
        "weir_cpu_run_seconds_total", "weir_cpu_wait_seconds_total", "weir_cpu_throttled_periods_total",
        "weir_watchdog_abandoned_steps_total", "weir_watchdog_culprits_total", "weir_host_unaccounted_bytes", "vllm:num_requests_running",
        "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc"}) {
    EXPECT_EQ(families.count(name), 1u) << name;
  }
  for (int i = 0; i < static_cast<int>(Refusal::kCount); ++i) {
    const std::string line = std::string("weir_refusals_total{reason=\"") + refusal_name(static_cast<Refusal>(i)) + "\"} 0\n";
    EXPECT_NE(got->body.find(line), std::string::npos) << line;
  }
  EXPECT_NE(got->body.find("vllm:num_requests_running{model_name=\"tiny\"} 0\n"), std::string::npos);
  for (const char* line : {"weir_http_accepted_total 7\n", "weir_memory_pressure 0.75\n", "weir_memory_room_bytes 9\n",
                           "weir_memory_stage 1\n", "weir_memory_stage_entered_total{stage=\"stop_growing\"} 2\n",
                           "weir_memory_source_info{source=\"a \\\"b\\\"\"} 1\n"}) {
    EXPECT_NE(got->body.find(line), std::string::npos) << line;
  }
  for (const char* line : {"weir_adaptive_limit 3\n", "weir_adaptive_acting 0\n", "weir_adaptive_changes_total{reason=\"over_target\"} 2\n",
                           "weir_brown_out_active{rung=\"clamp_background\"} 1\n", "weir_brown_out_active{rung=\"refuse\"} 0\n",
                           "weir_brown_out_entered_total{rung=\"smaller_chunks\"} 5\n", "weir_brown_out_level 0.7\n",
                           "weir_predicted_start_seconds{class=\"batch\",quantile=\"0.9\"} 0\n"}) {
    EXPECT_NE(got->body.find(line), std::string::npos) << line;
  }
  for (size_t i = 0; i < kHostKinds; ++i) {
    const std::string line = std::string("weir_host_bytes{kind=\"") + host_kind_name(static_cast<HostKind>(i)) + "\"} 0\n";
    EXPECT_NE(got->body.find(line), std::string::npos) << line;
  }
  EXPECT_NE(got->body.find("weir_host_refusals_total{limit=\"request\"} 0\n"), std::string::npos);
  EXPECT_NE(got->body.find("weir_host_unaccounted_bytes -5\n"), std::string::npos) << "it may be negative";
}

TEST(Metrics, AllocationsOfSealedThreadsAreShownWhereTheyAreCounted) {
  World world;
  if (!alloc_guard_linked()) {
    EXPECT_EQ(world.get("/metrics")->body.find("weir_sealed_allocations_total"), std::string::npos);
    return;
  }
  set_sealed_allocation_fatal(false);
  seal_this_thread("metrics test");
  void* volatile one = ::operator new(1);
  unseal_this_thread();
  ::operator delete(one);
#ifndef NDEBUG
  set_sealed_allocation_fatal(true);
#endif
  const auto got = world.get("/metrics");
  EXPECT_NE(got->body.find("weir_sealed_allocations_total{thread=\"metrics test\"} 1\n"), std::string::npos);
}

}  // namespace
}  // namespace weir::api
