#include "http/parser.h"

#include <algorithm>

#include "base/check.h"
#include "http/body_buffer.h"
#include "http/chunk_decoder.h"
#include "http/head_parser.h"

namespace weir::http {
namespace {

constexpr size_t kParsedHeadFactor =
    2;  // a parsed head waits with its body; strings and vector take about twice its text
constexpr size_t kChunkedReadBytes = 16 * 1024;
constexpr size_t kLeadingLineBreakBytesMax = 4;  // RFC 9112 section 2.2: some clients send one CRLF too many

}  // namespace

Fault no_memory(Granted why, uint64_t request_bytes_max) {
  switch (why) {
    case Granted::kRequestFull:
      return Fault{413, "request_too_large", "over_host_bytes",
                   "the request takes more than the " + std::to_string(request_bytes_max) +
                       " bytes of host memory that one request may take (--host-bytes-per-request): send it in parts"};
    case Granted::kTotalFull:
      return Fault{429, "slow_down", "host_bytes_full",
                   "requests hold all of the server's host memory for them (--host-request-bytes): try again soon"};
    case Granted::kGroupFull:
      return Fault{429, "slow_down", "tenant_host_bytes",
                   "the requests of this key's tenant hold all of its host memory: try again later"};
    case Granted::kOverGroup:
      return Fault{
          413, "request_too_large", "tenant_host_bytes",
          "the request takes more host memory than all requests of this key's tenant may: send it in parts"};
    case Granted::kBudgetFull:
    case Granted::kYes:
      break;
  }
  return Fault{503, "server_is_overloaded", "body_memory",
               "too many request bodies are being read at once: try again soon"};
}

struct RequestParser::Impl {
  explicit Impl(const ParseLimits& parse_limits) : limits(parse_limits), chunks(parse_limits.body_bytes_max) {}

  const ParseLimits limits;
  Head head;
  BodyBuffer body;
  ChunkDecoder chunks;
  Phase phase = Phase::kHead;
  Fault fault;
  uint64_t body_bytes_left = 0;  // with a Content-Length
  size_t skipped_bytes = 0;      // leading line breaks
  size_t scanned_bytes = 0;      // of the head, without its end in sight
  size_t head_bytes = 0;
  bool body_open = false;

  size_t fail(Fault why) {
    phase = Phase::kFailed;
    fault = std::move(why);
    return 0;
  }

  size_t fail_memory(Granted why) { return fail(no_memory(why, body.request_bytes_max())); }

  size_t skip_line_breaks(std::string_view bytes);
  size_t find_head_end(std::string_view bytes);
  size_t feed_head(std::string_view bytes);
  size_t feed_counted(std::string_view bytes);
  size_t feed_chunked(std::string_view bytes);
};

size_t RequestParser::Impl::skip_line_breaks(std::string_view bytes) {
  size_t skip = 0;
  while (skip + 2 <= bytes.size() && bytes[skip] == '\r' && bytes[skip + 1] == '\n' &&
         skipped_bytes < kLeadingLineBreakBytesMax) {
    skip += 2;
    skipped_bytes += 2;
  }
  if (skip > 0) scanned_bytes = 0;
  return skip;
}

// RETURNS: the length of the head with its empty line, or 0 while it is not complete (or has failed).
size_t RequestParser::Impl::find_head_end(std::string_view bytes) {
  const size_t limit = std::min(bytes.size(), limits.head_bytes_max);
  for (size_t i = scanned_bytes; i < limit; ++i) {
    const char c = bytes[i];
    if (c == '\0') return fail(malformed("the request head has a NUL byte"));
    if (c != '\n') continue;
    if (i == 0 || bytes[i - 1] != '\r') return fail(malformed("lines of the head must end in CR LF"));
    if (i >= 3 && bytes[i - 2] == '\n') return i + 1;
  }
  scanned_bytes = limit;
  if (bytes.size() >= limits.head_bytes_max) return fail(head_too_large());
  return 0;
}

size_t RequestParser::Impl::feed_head(std::string_view bytes) {
  const size_t skip = skip_line_breaks(bytes);
  bytes.remove_prefix(skip);
  if (bytes.empty()) return skip;
  const bool letter = bytes[0] >= 'A' && bytes[0] <= 'Z';
  if (!letter && bytes[0] != '\r')
    return fail(malformed("this is not an HTTP request (is the client speaking TLS?)"));
  head_bytes = find_head_end(bytes);
  if (head_bytes == 0) return skip;
  Fault wrong = parse_head(bytes.substr(0, head_bytes), limits, &head);
  if (wrong.status != 0) return fail(std::move(wrong));
  body_bytes_left = head.content_length.value_or(0);
  phase = head.chunked || body_bytes_left > 0 ? Phase::kBody : Phase::kDone;
  return skip + head_bytes;
}

size_t RequestParser::Impl::feed_counted(std::string_view bytes) {
  bytes = bytes.substr(0, static_cast<size_t>(std::min<uint64_t>(body_bytes_left, bytes.size())));
  if (const Granted granted = body.append(bytes); granted != Granted::kYes) return fail_memory(granted);
  body_bytes_left -= bytes.size();
  if (body_bytes_left == 0) phase = Phase::kDone;
  return bytes.size();
}

size_t RequestParser::Impl::feed_chunked(std::string_view bytes) {
  using Outcome = ChunkDecoder::Outcome;
  size_t used = 0;
  while (used < bytes.size() && chunks.outcome() == Outcome::kMore) {
    const ChunkDecoder::Step step = chunks.step(bytes.substr(used));
    used += step.consumed;
    if (const Granted granted = body.append(step.data); granted != Granted::kYes) return fail_memory(granted);
  }
  if (chunks.outcome() == Outcome::kMalformed) return fail(malformed("the chunked body is malformed"));
  if (chunks.outcome() == Outcome::kTooLarge) return fail(body_too_large(limits));
  if (chunks.outcome() == Outcome::kDone) phase = Phase::kDone;
  return used;
}

RequestParser::RequestParser(const ParseLimits& limits) : impl_(std::make_unique<Impl>(limits)) {}
RequestParser::~RequestParser() = default;

size_t RequestParser::feed(std::string_view bytes) {
  if (impl_->phase == Phase::kHead) return impl_->feed_head(bytes);
  if (impl_->phase != Phase::kBody) return 0;
  WEIR_CHECK(impl_->body_open);
  return impl_->head.chunked ? impl_->feed_chunked(bytes) : impl_->feed_counted(bytes);
}

void RequestParser::open_body(ByteCharge charge) {
  WEIR_CHECK(impl_->phase == Phase::kBody && !impl_->body_open);
  impl_->body_open = true;
  const bool known = !impl_->head.chunked;
  const size_t bytes_max = known ? static_cast<size_t>(impl_->body_bytes_left) : impl_->limits.body_bytes_max;
  const Granted granted =
      impl_->body.begin(std::move(charge), impl_->head_bytes * kParsedHeadFactor, bytes_max, known);
  if (granted != Granted::kYes) impl_->fail_memory(granted);
}

RequestParser::Phase RequestParser::phase() const { return impl_->phase; }

const Fault& RequestParser::fault() const {
  WEIR_CHECK(impl_->phase == Phase::kFailed);
  return impl_->fault;
}

size_t RequestParser::body_bytes_wanted() const {
  WEIR_CHECK(impl_->phase == Phase::kBody);
  return impl_->head.chunked ? kChunkedReadBytes : static_cast<size_t>(impl_->body_bytes_left);
}

bool RequestParser::chunked() const { return impl_->head.chunked; }
bool RequestParser::keep_alive() const { return impl_->head.keep_alive; }
bool RequestParser::head_only() const { return impl_->head.request.method == "HEAD"; }
bool RequestParser::http10() const { return impl_->head.http10; }
bool RequestParser::expects_continue() const {
  return !impl_->head.http10 && !impl_->head.request.header("expect").empty();  // checked to be 100-continue
}

Request& RequestParser::request() { return impl_->head.request; }

Request RequestParser::take() {
  WEIR_CHECK(impl_->phase == Phase::kDone);
  Request request = std::move(impl_->head.request);
  request.body = impl_->body.take_bytes();
  request.charge = impl_->body.take_charge();
  return request;
}

ParsedBytes parse_request_bytes(std::string_view bytes, const ParseLimits& limits, size_t step,
                                std::shared_ptr<ByteBudget> budget, std::shared_ptr<ByteBook> book) {
  using Phase = RequestParser::Phase;
  RequestParser parser(limits);
  size_t consumed = 0;
  for (size_t seen = 0; seen < bytes.size();) {
    seen += std::min(step, bytes.size() - seen);
    Phase before = Phase::kHead;
    do {  // the parser stops once between head and body
      before = parser.phase();
      consumed += parser.feed(bytes.substr(consumed, seen - consumed));
      if (before == Phase::kHead && parser.phase() == Phase::kBody) {
        parser.open_body(ByteCharge(book ? book->open(-1) : nullptr, ByteUse::kBody, budget, share_of_peer("")));
      }
    } while (parser.phase() != before && parser.phase() == Phase::kBody);
    if (parser.phase() == Phase::kDone || parser.phase() == Phase::kFailed) break;
  }
  ParsedBytes parsed{parser.phase(), consumed, {}, {}};
  if (parsed.phase == Phase::kFailed) parsed.fault = parser.fault();
  if (parsed.phase == Phase::kDone) parsed.request = parser.take();
  return parsed;
}

}  // namespace weir::http
