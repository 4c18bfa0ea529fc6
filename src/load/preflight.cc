#include "load/preflight.h"

#include <algorithm>

#include "load/piece.h"
#include "load/sse_client.h"

namespace weir::load {
namespace {

constexpr int64_t kSilenceMs = 15'000;
constexpr int64_t kWordsFew = 16, kWordsMany = 80;

Result<int64_t> tokens_of(const WorkloadOptions& options, int64_t words, const std::atomic<bool>* stop) {
  WorkloadOptions plain;
  plain.server = options.server;
  plain.model = options.model;
  plain.endpoint = options.endpoint;
  plain.tenants = options.tenants;
  plain.seed = options.seed;
  plain.stream = false;
  const Workload workload(plain);
  const std::string bytes =
      workload.request_bytes({.index = static_cast<uint64_t>(words), .prompt_tokens = words, .output_tokens = 1});
  HttpCall call{.method = "POST", .silence_ms = kSilenceMs, .stop = stop};
  call.path = options.endpoint == Endpoint::kChat ? "/chat/completions" : "/completions";
  call.json = bytes.substr(bytes.find("\r\n\r\n") + 4);
  call.api_key = workload.tenants()[0].key;
  WEIR_ASSIGN_OR_RETURN(const HttpReply reply,
                        http_call(options.server, call, [](std::string_view) { return true; }));
  if (reply.status != 200) {
    return failed_precondition("the server answered " + std::to_string(reply.status) + " to a short request");
  }
  PieceParser parser;
  const Piece piece = parser.parse(reply.body);
  if (piece.prompt_tokens <= 0) return failed_precondition("the server tells no usage.prompt_tokens");
  return piece.prompt_tokens;
}

}  // namespace

Result<TokenScale> scale_through(int64_t words_few, int64_t tokens_few, int64_t words_many, int64_t tokens_many) {
  const double slope = static_cast<double>(tokens_many - tokens_few) / static_cast<double>(words_many - words_few);
  if (slope < 0.05 || slope > 50) {
    return failed_precondition("the server counts " + std::to_string(tokens_few) + " tokens for " +
                               std::to_string(words_few) + " words and " + std::to_string(tokens_many) + " for " +
                               std::to_string(words_many) + ", which makes no scale");
  }
  return TokenScale{slope, std::max(0.0, static_cast<double>(tokens_few) - slope * static_cast<double>(words_few))};
}

Result<TokenScale> measure_scale(const WorkloadOptions& options, const std::atomic<bool>* stop) {
  WEIR_ASSIGN_OR_RETURN(const int64_t few, tokens_of(options, kWordsFew, stop));
  WEIR_ASSIGN_OR_RETURN(const int64_t many, tokens_of(options, kWordsMany, stop));
  return scale_through(kWordsFew, few, kWordsMany, many);
}

}  // namespace weir::load
