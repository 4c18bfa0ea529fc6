// No memory at any moment of a request's life: the k-th allocation of the code under test fails, for every k until
// none is left to fail, alone or with all that follow it. Each time the request has exactly one end, everything
// comes back (World's destructor), and the next request is served.
//
// A program of its own, because it replaces operator new. Allocations of the fakes and of the test itself never
// fail.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <limits>
#include <new>
#include <set>

#include "api/world_test.h"

namespace {

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
constinit std::atomic<int64_t> g_left{kNever};  // allocations under test that still succeed
constinit std::atomic<bool> g_for_good{false};  // and then all fail, not one
constinit std::atomic<uint64_t> g_failed{0};

void* allocate(std::size_t bytes, std::size_t alignment) {
  if (weir::api::Allocating::under_test() && g_left.load(std::memory_order_relaxed) != kNever) {
    const int64_t left = g_left.fetch_sub(1, std::memory_order_relaxed);
    if (left == 0 || (left < 0 && g_for_good.load(std::memory_order_relaxed))) {
      g_failed.fetch_add(1, std::memory_order_relaxed);
      throw std::bad_alloc();
    }
  }
  void* const memory = alignment == 0
                           ? std::malloc(bytes == 0 ? 1 : bytes)
                           : std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

// noinline: gcc otherwise sees malloc in one place and delete in another, and warns of a mismatch.
#define WEIR_HOOK [[gnu::noinline]]
WEIR_HOOK void* operator new(std::size_t n) { return allocate(n, 0); }
WEIR_HOOK void* operator new[](std::size_t n) { return allocate(n, 0); }
WEIR_HOOK void* operator new(std::size_t n, std::align_val_t a) { return allocate(n, static_cast<std::size_t>(a)); }
WEIR_HOOK void* operator new[](std::size_t n, std::align_val_t a) {
  return allocate(n, static_cast<std::size_t>(a));
}
WEIR_HOOK void operator delete(void* p) noexcept { std::free(p); }
WEIR_HOOK void operator delete[](void* p) noexcept { std::free(p); }
WEIR_HOOK void operator delete(void* p, std::size_t) noexcept { std::free(p); }
WEIR_HOOK void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
WEIR_HOOK void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
WEIR_HOOK void operator delete[](void* p, std::align_val_t) noexcept { std::free(p); }
WEIR_HOOK void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
WEIR_HOOK void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }

namespace weir::api {
namespace {

struct Ask {
  const char* path;
  const char* body;
};

constexpr Ask kWhole{"/v1/completions", R"({"prompt":"abc","max_tokens":6,"logprobs":1,"stop":["zz"]})"};
constexpr Ask kChat{"/v1/chat/completions", R"({"messages":[{"role":"user","content":"hi"}],"max_tokens":4})"};
constexpr Ask kStream{
    "/v1/chat/completions",
    R"({"messages":[{"role":"user","content":"hi"}],"stream":true,"n":2,"max_tokens":6,"logprobs":true})"};

// One request in a world of its own, in which the k-th allocation fails.
class OneLife {
 public:
  OneLife(const Ask& ask, int64_t k, bool for_good) : world_(options()) {
    Allocating::test_thread = true;
    g_for_good = for_good;
    const uint64_t before = g_failed;
    g_left = k;
    exchange_ = world_.post(ask.path, ask.body);
    world_.run_until([&] { return exchange_->done || dropped(); });
    g_left = kNever;
    failed_ = g_failed != before;
    if (dropped()) answer_as_http_does();
    world_.finish(exchange_);
    check_end();
    check_the_next(ask);
  }
  bool failed() const { return failed_; }  // false: there was no k-th allocation any more
  int status() const { return cut_ ? 0 : exchange_->status; }

 private:
  static WorldOptions options() {
    WorldOptions options;
    options.queue_keepalive_us = 1;
    return options;
  }
  // Nobody holds the exchange but its connection.
  bool dropped() {
    return exchange_.use_count() == 1 && exchange_->answers == 0 && exchange_->gone() == http::Gone::kNo;
  }
  void answer_as_http_does() { exchange_->respond(500, "application/json", "{}", {}, http::ChargedBy::kHttp); }

  void check_end() {
    cut_ = exchange_->gone() == http::Gone::kCut;
    EXPECT_TRUE(cut_ || (exchange_->answers == 1 && exchange_->ended)) << exchange_->status << exchange_->body;
    EXPECT_TRUE(cut_ || exchange_->status == 200 || (failed_ && exchange_->status >= 400)) << exchange_->status;
    EXPECT_TRUE(failed_ || !cut_);
    EXPECT_EQ(world_.engine.submits, world_.engine.finishes);
    EXPECT_EQ(world_.door.admitted(), 0);
    EXPECT_EQ(world_.ledger->used_bytes(), 0u);
  }
  void check_the_next(const Ask& ask) {
    const auto next = world_.ask(ask.path, ask.body);
    EXPECT_EQ(next->status, 200) << next->body;
    if (next->content_type.find("event-stream") != std::string::npos) {
      EXPECT_EQ(next->events().back(), "[DONE]");
    }
  }

  World world_;
  std::shared_ptr<FakeExchange> exchange_;
  bool failed_ = false, cut_ = false;
};

// RETURNS: the statuses with which requests ended; 0 is a client that was cut off.
std::set<int> all_lives(const Ask& ask, bool for_good) {
  std::set<int> ends;
  int64_t k = 0;
  for (;; ++k) {
    SCOPED_TRACE(std::string(ask.body) + " without allocation " + std::to_string(k) +
                 (for_good ? " and all later ones" : ""));
    const OneLife life(ask, k, for_good);
    ends.insert(life.status());
    if (!life.failed() || ::testing::Test::HasFailure()) break;
  }
  EXPECT_GT(k, 10) << "the code under test allocates, so something was tried";
  return ends;
}

TEST(Faults, exception_in_a_job) {
  for (const Ask& ask : {kWhole, kChat, kStream}) {
    const std::set<int> ends = all_lives(ask, false);
    EXPECT_EQ(ends.count(503), 1u) << "a failure before the answer began says so";
    EXPECT_EQ(ends.count(0), 0u) << "one failure leaves memory to say what happened";
  }
}

TEST(Faults, exception_in_a_job_and_no_memory_to_say_so) {
  for (const Ask& ask : {kWhole, kChat, kStream}) {
    const std::set<int> ends = all_lives(ask, true);
    EXPECT_EQ(ends.count(0), 1u) << "without memory for an answer the client is cut off";
  }
}

TEST(Faults, exception_in_a_job_of_the_other_routes) {
  for (const Ask& ask :
       {Ask{"/tokenize", R"({"prompt":"a longer text that is turned into tokens"})"},
        Ask{"/tokenize", R"({"messages":[{"role":"user","content":"hi"}]})"},
        Ask{"/detokenize", R"({"tokens":[97,98,99,97,98,99,97,98,99,97,98,99,97,98,99,97,98,99]})"}}) {
    EXPECT_EQ(all_lives(ask, false).count(0), 0u);
    all_lives(ask, true);
  }
}

}  // namespace
}  // namespace weir::api
