// The plan is whole: for every class of sites at which a request can make the process grow, what malloc really
// hands out stays within what is planned for its text job, what was charged before it was taken, and a fixed rest.
#include <gmock/gmock.h>

#include <functional>
#include <string>
#include <vector>

#include "api/text_work.h"
#include "api/world_test.h"
#include "charges/counted_malloc.h"

namespace weir::api {
namespace {

using weir::testing::malloc_live_bytes;
using weir::testing::malloc_peak_bytes;
using weir::testing::reset_malloc_peak;

constexpr int64_t kSessionTokens = 200'000;
constexpr uint64_t kTokenBytesMax = 5;  // the World's
// Exchanges, callbacks, the Generation's parts that kFixedBytes does not name, what libraries keep.
constexpr int64_t kRestBytes = 64 << 10;

// A body of about `bytes` bytes.
using MakeBody = std::function<std::string(size_t bytes)>;

struct Site {
  const char* name;
  const char* path;
  MakeBody body;
};

constexpr const char* kChat = "/v1/chat/completions";
constexpr const char* kCompletion = "/v1/completions";

std::string fill(std::string_view piece, size_t bytes) {
  std::string out;
  out.reserve(bytes + piece.size());
  while (out.size() < bytes) out += piece;
  return out;
}

std::string list_of(std::string_view item, size_t bytes) {
  return "[" + std::string(item) + fill("," + std::string(item), bytes) + "]";
}

std::string with_kwargs(const std::string& value) {
  return R"({"messages":[{"role":"user","content":"hi"}],"max_tokens":4,"chat_template_kwargs":{"a":)" + value +
         "}}";
}

MakeBody kwargs(const char* item) {
  return [item](size_t bytes) { return with_kwargs(list_of(item, bytes)); };
}

MakeBody content(const char* piece) {
  return [piece](size_t bytes) {
    return R"({"max_tokens":4,"messages":[{"role":"user","content":")" + fill(piece, bytes) + "\"}]}";
  };
}

MakeBody around(const char* before, const char* piece, const char* after) {
  return [=](size_t bytes) { return before + fill(piece, bytes) + after; };
}

std::string deep(size_t bytes) {
  std::string one = "1";
  for (int i = 0; i < 25; ++i) one = "[" + one + "]";
  return with_kwargs(list_of(one, bytes));
}

std::string many_keys(size_t bytes) {
  std::string value = "{\"k\":1";
  for (int i = 0; value.size() < bytes; ++i) value += ",\"k" + std::to_string(i) + "\":" + std::to_string(i);
  return with_kwargs(value + "}");
}

std::string arguments(size_t bytes) {
  std::string inner = "[1";
  while (inner.size() < bytes) inner += ",1";
  return R"({"max_tokens":4,"messages":[{"role":"assistant","tool_calls":[{"id":"x","type":"function","function":)"
         R"({"name":"f","arguments":"{\"a\":)" +
         inner + R"(]}"}}]}]})";
}

std::vector<Site> sites() {
  return {
      {"json, template: small numbers", kChat, kwargs("1")},
      {"json, template: fractions", kChat, kwargs("1.5")},
      {"json, template: large exponents", kChat, kwargs("1e15")},
      {"json, template: empty lists", kChat, kwargs("[]")},
      {"json, template: empty objects", kChat, kwargs("{}")},
      {"json, template: empty strings", kChat, kwargs("\"\"")},
      {"json, template: long integers", kChat, kwargs("18446744073709551615")},
      {"json, template: small objects", kChat, kwargs(R"({"a":1,"b":"c"})")},
      {"json, template: nested", kChat, deep},
      {"json, template: many keys", kChat, many_keys},
      {"json: a tool call's arguments", kChat, arguments},
      {"json, output: a long message", kChat, content("word ")},
      {"json, output: escapes", kChat, content("\\u0001")},
      {"json, output: characters of several bytes", kChat, content("é")},
      {"json, output: many messages", kChat,
       around(R"({"max_tokens":4,"messages":[)", R"({"role":"user","content":"a"},)",
              R"({"role":"user","content":"a"}]})")},
      {"json, output: many parts", kChat,
       around(R"({"max_tokens":4,"messages":[{"role":"user","content":[)", R"({"type":"text","text":"a"},)",
              R"({"type":"text","text":"a"}]}]})")},
      {"json, template: tools", kChat,
       around(R"({"max_tokens":4,"messages":[{"role":"user","content":"a"}],"tools":[)",
              R"({"type":"function","function":{"name":"f","parameters":{}}},)", "{}]}")},
      {"tokenising: a long prompt", kCompletion,
       around(R"({"max_tokens":4,"prompt":")", "a long prompt of words ", "\"}")},
      {"tokenising: one long word", kCompletion, around(R"({"max_tokens":4,"prompt":")", "a", "\"}")},
      {"tokenising: spaces", kCompletion, around(R"({"max_tokens":4,"prompt":")", " ", "\"}")},
      {"tokenising: digits and signs", kCompletion, around(R"({"max_tokens":4,"prompt":")", "1-2+", "\"}")},
      {"tokenising: echo", kCompletion, around(R"({"max_tokens":4,"echo":true,"prompt":")", "a b ", "\"}")},
      {"parameters: ids", kCompletion, around(R"({"max_tokens":4,"prompt":[)", "1,", "1]}")},
      {"parameters: ids with an echo", kCompletion,
       around(R"({"max_tokens":4,"echo":true,"prompt":[)", "97,", "97]}")},
      {"parameters: stop strings", kCompletion,
       around(R"({"max_tokens":4,"prompt":"a","stop":[")", "a stop string that is long ", R"("]})")},
      {"parameters: an unknown member", kCompletion,
       around(R"({"max_tokens":4,"prompt":"a","user":")", "u", "\"}")},
      {"parameters: a wrong one", kCompletion, around(R"({"max_tokens":4,"prompt":{"a":[)", "1,", "1]}}")},
      {"/tokenize of a prompt", "/tokenize", around(R"({"prompt":")", "a long prompt of words ", "\"}")},
      {"/tokenize of a chat", "/tokenize",
       around(R"({"messages":[{"role":"user","content":"a"}],"chat_template_kwargs":{"a":[)", "[],", "1]}}")},
      {"/detokenize", "/detokenize", around(R"({"tokens":[)", "97,", "97]}")},
      {"no JSON", kChat, around("[", "[", "")},
      {"JSON cut short", kChat, around(R"({"messages":[)", "{},", "")},
  };
}

// RETURNS: the most bytes that were taken at once for that request, beyond those that were there before.
int64_t peak_of(World* world, const Site& site, std::string body, int64_t* answer_bytes, int* status) {
  world->engine.set_script(say("ok"));
  world->engine.keep_specs = false;
  (void)world->ask(kCompletion, R"({"prompt":"warm"})");
  world->settle(3);
  const int64_t before = malloc_live_bytes() - static_cast<int64_t>(body.capacity());
  reset_malloc_peak();
  const auto got = world->post(site.path, std::move(body));
  world->finish(got);
  *answer_bytes = static_cast<int64_t>(got->body.capacity());
  *status = got->status;
  return malloc_peak_bytes() - before;
}

TEST(Faults, the_plan_is_whole) {
  for (const size_t bytes : {kInlineBodyBytes - 512, size_t{60} << 10, size_t{900} << 10}) {
    for (const Site& site : sites()) {
      SCOPED_TRACE(::testing::Message() << site.name << ", " << bytes << " bytes");
      WorldOptions options;
      options.session_tokens = kSessionTokens;
      World world(options);
      std::string body = site.body(bytes);
      const auto body_bytes = static_cast<int64_t>(body.size()), held = static_cast<int64_t>(body.capacity());
      int64_t answer_bytes = 0;
      int status = 0;
      const int64_t peak = peak_of(&world, site, std::move(body), &answer_bytes, &status);
      EXPECT_TRUE(status == 200 || status == 400 || status == 413) << status;
      const auto planned = static_cast<int64_t>(text_job_bytes(
          static_cast<uint64_t>(body_bytes), static_cast<uint64_t>(kSessionTokens) * kTokenBytesMax));
      // The body, and the answer that the fake exchange keeps, are http's and charged there.
      const auto charged = static_cast<int64_t>(world.ledger->peak_bytes());
      EXPECT_LE(peak, planned + charged + held + 2 * answer_bytes + kRestBytes)
          << "planned " << planned << ", charged " << charged << ", body " << held << ", answer " << answer_bytes;
    }
  }
}

}  // namespace
}  // namespace weir::api
