// RequestParser: bytes to one Request under limits.
//
// Owner: a Connection, from the first byte of a request until it was handed over. Thread: the connection's.
// Limits: ParseLimits, kHeadersMax, those of chunk_decoder.h. It never looks at a socket, so the fuzzer drives the
// same code, and the outcome never depends on how the bytes were cut into packets: the end of the head is found
// here, the whole head goes through head_parser.h, a chunked body through chunk_decoder.h. Refused besides what is
// malformed: heads over the limit in total, line feeds without carriage return, more than one Content-Length or
// Host, any Transfer-Encoding but "chunked", Transfer-Encoding in HTTP/1.0, targets with bytes outside RFC 3986,
// unknown methods and expectations.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "http/server.h"

namespace weir::http {

inline constexpr size_t kHeadersMax = 100;

struct ParseLimits {
  size_t head_bytes_max;
  size_t body_bytes_max;
};

class RequestParser {
 public:
  enum class Phase { kHead, kBody, kDone, kFailed };

  explicit RequestParser(const ParseLimits& limits);
  ~RequestParser();

  // Takes a prefix of `bytes` and returns its length; the caller keeps the rest and passes it again, with more
  // behind it. Returns after the head even when body bytes follow, so that the caller can look at the head first.
  // REQUIRES: in kBody, that the body was opened.
  size_t feed(std::string_view bytes);
  // REQUIRES: kBody; once. charge: empty, on the accounts of the body and of the head that waits with it.
  void open_body(ByteCharge charge);

  Phase phase() const;
  const Fault& fault() const;  // REQUIRES: kFailed
  // REQUIRES: kBody. How much more of the body may be read without touching the next request; chunked: a guess.
  size_t body_bytes_wanted() const;
  bool chunked() const;

  // Facts of the head; before it is complete they are the defaults.
  bool keep_alive() const;
  bool head_only() const;
  bool http10() const;
  bool expects_continue() const;
  // The request as far as it is known; before the head is complete, nothing or a part of it. Until take().
  Request& request();

  // REQUIRES: kDone; once, and nothing else is asked of the parser afterwards.
  Request take();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Why bytes of a request were refused. REQUIRES: not kYes. request_bytes_max: of one request, for the message.
//   kBudgetFull: 503 body_memory; kTotalFull: 429 host_bytes_full; kRequestFull: 413 over_host_bytes; kGroupFull:
//   429 and kOverGroup: 413 tenant_host_bytes
Fault no_memory(Granted why, uint64_t request_bytes_max);

// Parses one request that is there in full or in part, for tests and the fuzzer.
struct ParsedBytes {
  RequestParser::Phase phase;
  size_t consumed;
  Fault fault;
  Request request;  // when kDone
};
// step: at most so many new bytes at a time, as if they came in small packets.
ParsedBytes parse_request_bytes(std::string_view bytes, const ParseLimits& limits, size_t step,
                                std::shared_ptr<ByteBudget> budget = nullptr,
                                std::shared_ptr<ByteBook> book = nullptr);

}  // namespace weir::http
