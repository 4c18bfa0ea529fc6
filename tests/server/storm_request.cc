#include "server/storm_request.h"

#include <algorithm>
#include <iterator>

#include "server/client.h"

namespace weir::testing {
namespace {

constexpr int kSharedPrefixes = 6;
constexpr char kCompletions[] = "/v1/completions";
constexpr char kChat[] = "/v1/chat/completions";

const char* const kOpenings[] = {"Once upon a time",           "The little dog ran to the", "Lily and Tom went",
                                 "\\u00c4 \\ud83d\\ude00 and", "One day, a big bear",       "x"};

std::string get_text(const std::string& path) {
  return "GET " + path + " HTTP/1.1\r\nHost: storm\r\nConnection: close\r\n\r\n";
}

}  // namespace

StormGenerator::StormGenerator(uint32_t seed, StormLimits limits) : limits_(limits), random_(seed) {
  for (int i = 0; i < kSharedPrefixes; ++i)
    shared_prefixes_.push_back(ids(limits_.session_tokens * (2 + i % 3) / 8));
}

// Mostly short, a few long: what a forecast from past lengths has to live with.
int StormGenerator::answer_tokens() { return one_in(10) ? 100 + below(limits_.session_tokens / 4) : 1 + below(80); }

std::string StormGenerator::ids(int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += (i ? "," : "") + std::to_string(8 + below(limits_.vocabulary - 8));
  return out;
}

// prompt: JSON.
std::string StormGenerator::completion(const std::string& prompt, int tokens, bool stream,
                                       const std::string& more) {
  return "{\"prompt\":" + prompt + ",\"max_tokens\":" + std::to_string(tokens) +
         ",\"temperature\":0.8,\"seed\":" + std::to_string(below(1 << 30)) +
         ",\"ignore_eos\":" + (one_in(2) ? "true" : "false") + ",\"stream\":" + (stream ? "true" : "false") + more +
         "}";
}

std::string StormGenerator::chat(int tokens, bool stream, const std::string& more) {
  return "{\"messages\":[{\"role\":\"user\",\"content\":\"" + std::string(kOpenings[below(std::size(kOpenings))]) +
         "\"}],\"ignore_eos\":true,\"max_tokens\":" + std::to_string(tokens) +
         ",\"stream\":" + (stream ? "true" : "false") + more + "}";
}

void StormGenerator::make_good(StormRequest* request) {
  const int kind = below(100);
  const bool stream = request->stream = one_in(2);
  request->asks_tokens = true;
  const std::string opening = "\"" + std::string(kOpenings[below(std::size(kOpenings))]) + "\"";
  const auto completions = [&](const char* name, const std::string& body) {
    request->kind = name;
    request->bytes = post_text(kCompletions, body);
  };
  if (kind < 50) {
    completions(stream ? "short, streamed" : "short, whole", completion(opening, answer_tokens(), stream));
  } else if (kind < 70) {
    const std::string& prefix = shared_prefixes_[static_cast<size_t>(below(kSharedPrefixes))];
    completions("shared prefix",
                completion("[" + prefix + "," + ids(1 + below(40)) + "]", answer_tokens(), stream));
  } else if (kind < 78) {  // as long as the session allows, or nearly
    const int answer = 1 + below(30);
    const int prompt = limits_.session_tokens - answer - (one_in(2) ? 0 : below(limits_.session_tokens / 2));
    completions("long prompt", completion("[" + ids(std::max(1, prompt)) + "]", answer, stream));
  } else if (kind < 86) {
    completions("n > 1", completion(opening, 1 + below(60), stream, ",\"n\":" + std::to_string(2 + below(3))));
  } else if (kind < 90) {
    completions("two prompts", completion("[" + opening + ",\"Two\"]", 1 + below(40), stream));
  } else {
    request->kind = "chat, logprobs";
    request->bytes = post_text(
        kChat, chat(1 + below(80), stream, ",\"logprobs\":true,\"top_logprobs\":" + std::to_string(below(21))));
  }
}

void StormGenerator::make_bad(StormRequest* request) {
  request->may_succeed = false;
  request->kind = "bad body";
  const std::string good = completion("\"Once\"", 4, one_in(2));
  std::string body;
  switch (below(9)) {
    case 0:
      body = good.substr(0, static_cast<size_t>(below(static_cast<int>(good.size()))));
      break;
    case 1:
      body = "{\"prompt\":\"a\",\"max_tokens\":\"many\"}";
      break;
    case 2:
      body = "{\"prompt\":{\"a\":[]},\"max_tokens\":2}";
      break;
    case 3:
      body = "{\"prompt\":\"\xff\xfe\xc0\x80\"}";
      break;
    case 4:
      body = "{\"prompt\":\"\\ud800\",\"temperature\":1}";
      break;
    case 5:
      body = "{\"prompt\":" + std::string(200, '[') + std::string(200, ']') + "}";
      break;
    case 6:
      body = std::string(limits_.body_bytes_max + 1 + static_cast<size_t>(below(1 << 16)), 'x');
      break;
    case 7:
      body = completion("[" + ids(limits_.session_tokens + 1 + below(500)) + "]", 1, false);
      break;
    default:
      body = completion("[1," + std::to_string(limits_.vocabulary + below(1000)) + "]", 1, false);
      break;
  }
  request->bytes = post_text(kCompletions, body);
}

void StormGenerator::make_other(StormRequest* request) {
  switch (below(6)) {
    case 0:
      request->bytes = get_text("/nowhere/" + std::to_string(below(100)));
      break;
    case 1:
      request->bytes = get_text(kCompletions);
      break;
    case 2:
      request->bytes = "BREW /pot HTTP/1.1\r\nHost: storm\r\nConnection: close\r\n\r\n";
      break;
    case 3:
      request->bytes = "nonsense\r\n\r\n";
      break;
    case 4:
      request->kind = "control";
      request->bytes = get_text(one_in(2) ? "/metrics" : "/plan");
      return;
    default:
      request->kind = "control";
      request->bytes =
          post_text("/tokenize", "{\"prompt\":\"" + std::string(static_cast<size_t>(1 + below(3000)), 'a') + "\"}");
      return;
  }
  request->kind = "wrong path";
  request->may_succeed = false;
}

// JSON of about so many bytes that is nothing but values: what costs a parser and a template most.
std::string StormGenerator::small_values(size_t bytes) {
  static const char* const kItems[] = {
      "1", "[]", "{}", "\"\"", "1.5", "1e15", "{\"a\":[\"b\",null]}", "[[[[[[[[1]]]]]]]]", "\"\\u00e9\\n\""};
  const std::string item = kItems[below(std::size(kItems))];
  std::string out = "[" + item;
  while (out.size() + item.size() + 2 < bytes) out += "," + item;
  return out + "]";
}

void StormGenerator::make_greedy(StormRequest* request) {
  const size_t bytes = limits_.body_bytes_max - 512 -
                       (one_in(2) ? 0 : static_cast<size_t>(random_()) % (limits_.body_bytes_max / 2));
  switch (below(5)) {
    case 0:
    case 1:
      request->kind = "template values";
      request->bytes =
          post_text(kChat, chat(2, false, ",\"chat_template_kwargs\":{\"a\":" + small_values(bytes) + "}"));
      return;
    case 2:
      request->kind = "costly JSON";
      request->bytes = post_text(kCompletions, completion("\"x\"", 2, false, ",\"user\":" + small_values(bytes)));
      return;
    case 3:
      request->kind = "unread text";
      request->bytes = post_text(
          "/detokenize", "{\"tokens\":[9" + [&] {
            std::string ids;
            while (ids.size() + 512 < bytes) ids += ",2000";
            return ids;
          }() + "]}");
      break;
    default:
      request->kind = "unread answers";
      for (int i = 0; i < 200; ++i) request->bytes += "GET /metrics HTTP/1.1\r\nHost: storm\r\n\r\n";
      break;
  }
  request->reads = false;
  request->bytes_per_read = 2048;  // a small buffer
  request->leave_after_ms = 200 + below(1800);
}

// Two thirds of those that ask for tokens stay to the end; the others leave at any moment, or hardly read.
void StormGenerator::choose_end(StormRequest* request) {
  const int end = below(100);
  request->reset = one_in(2);
  if (end < 66) return;
  if (end < 72) {
    request->send_bytes = 1 + static_cast<size_t>(random_()) % (request->bytes.size() - 1);
    request->leave_after_ms = below(50);
  } else if (end < 84) {
    request->leave_after_ms = one_in(2) ? below(10) : below(150);
  } else if (end < 95) {
    request->leave_after_bytes = 1 + below(8000);
  } else {  // an event of such an answer has about 1.5 KB
    request->kind = end < 98 ? "slow reader" : "never reads";
    request->stream = true;
    request->bytes = post_text(kChat, chat(end < 98 ? 20 + below(80) : 300 + below(limits_.session_tokens / 2),
                                           true, ",\"logprobs\":true,\"top_logprobs\":20"));
    request->send_bytes = request->bytes.size();
    request->bytes_per_read = 2048;
    request->read_pause_ms = 10;
    request->reads = end < 98;
    if (!request->reads) request->leave_after_ms = 200 + below(1800);
  }
}

StormRequest StormGenerator::next() {
  StormRequest request;
  const int kind = below(100);
  if (below(100) < limits_.greedy_percent) {
    make_greedy(&request);
  } else if (kind < 8) {
    make_bad(&request);
  } else if (kind < 12) {
    make_other(&request);
  } else {
    make_good(&request);
  }
  request.send_bytes = request.bytes.size();
  if (request.asks_tokens) choose_end(&request);
  return request;
}

}  // namespace weir::testing
