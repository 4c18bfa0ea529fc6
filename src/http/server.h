// The HTTP/1.1 server: sockets to requests, answers to sockets. Bytes only; it knows no JSON schema and no model.
//
// Owner: the composition root holds the Server; a connection and whoever answers hold the Exchange jointly.
// Threads: Options::io_threads io threads, each with its own listener (SO_REUSEPORT) and its own connections; a
// connection never changes its thread. Limits: every number in Options, all bounded by default. It never waits for
// a handler, never reads ahead of an unanswered request by more than one read, and never keeps a request's bytes
// after the handler returned.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "http/byte_charge.h"
#include "http/callback.h"
#include "http/hooks.h"

namespace weir::http {

struct Options {
  std::string address = "127.0.0.1";  // name or number, IPv4 or IPv6; or "unix:/PATH"
  uint16_t port = 0;                  // 0: the kernel chooses, see Server::port()
  int io_threads = 1;                 // 1..64
  size_t connections_max = 4096;      // slots; for one more the longest idle connection gives way
  size_t spare_connections_max =
      64;                           // beyond them, for heads that may only ask for an open route; closed afterwards
  size_t peer_connections_max = 0;  // of one address; 0: no such limit
  size_t head_bytes_max = 16 * 1024;  // request line and headers (431); 512 B .. 1 MiB
  size_t body_bytes_max = 8u << 20;   // one body (413)
  // All bodies being read or held in a Request (503, reason body_memory); at least three times body_bytes_max. An
  // eighth is kept for small ones, and no peer or group has more than its share (byte_budget.h).
  size_t body_bytes_total_max = 64u << 20;
  size_t head_bytes_total_max = 2u << 20;     // heads that are there in part, and requests behind an unanswered one
  size_t control_bytes_total_max = 2u << 20;  // unread answers of the open and the control lane
  // Deadlines are totals, not per read: a client that drips bytes gains nothing by it. 1 ms .. 1 day.
  int64_t head_timeout_ms =
      10'000;  // from accept, or from the first byte of a later request, to the end of the head
  int64_t body_timeout_ms = 30'000;   // from the end of the head to the end of the body
  int64_t idle_timeout_ms = 75'000;   // between two requests of a connection
  int64_t write_timeout_ms = 30'000;  // for every 64 KiB of an answer, or its rest
  int refusals_per_second = 2000;     // of one group and io thread, see loop_pace.cc; 0: no limit; 2..1e6
  size_t out_bytes_max = 256 * 1024;  // unsent bytes of a stream beyond the kernel's; a slower reader is cut off
  int64_t tick_ms_max = 200;          // between two looks at deadlines, body watches and Hooks::on_tick; 1..200 ms
};

// The most user memory that this room takes by itself, for the memory plan. What requests cause beyond it (bodies,
// unsent bytes above kOutKeepBytes of a connection) is charged to the ByteBook; kernel memory (at most 512 KiB a
// connection) is extra.
uint64_t planned_bytes(const Options& options);
// What clients hold of it whose request is not known yet, or is none that works: half heads, unread control
// answers.
uint64_t planned_control_bytes(const Options& options);
// What requests charge at most where the ByteBook refuses nothing, so that its limit can be chosen. streams_max: how
// many exchanges the callers let stream at once.
uint64_t planned_request_bytes(const Options& options, uint64_t streams_max);

// One parsed request. Moves with its charge, so the body is counted wherever it goes. charge.account() is the request's
// account where it has a body and the server a ByteBook; else null.
struct Request {
  std::string method;  // GET HEAD POST PUT PATCH DELETE OPTIONS
  std::string target;  // as sent
  std::string path;    // begins with '/', or is "*"; percent escapes are valid but not decoded
  std::string query;   // without the '?', not decoded
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case, at most 100
  std::string body;
  std::string peer;  // numeric address without the port; "" on a Unix socket
  std::string id;    // what Hooks::choose_id said; "" without that hook
  int64_t age_us = 0;  // at the hand-over: since its head had been read
  ByteCharge charge;
  std::unique_ptr<BodyWatch> watch;  // where its body came later than its head and somebody looked after it

  // RETURNS: the first value of that name, or "".
  std::string_view header(std::string_view lower_name) const;
};

// Why an exchange ended early. kCut: Exchange::cut(). kHostBytes: it did not read what the ByteBook could not take. kShutdown also stands for
// "this server had no memory left for it".
enum class Gone { kNo, kClientClosed, kSlowReader, kWriteTimeout, kHostBytes, kCut, kShutdown };
inline constexpr size_t kGoneKinds = static_cast<size_t>(Gone::kShutdown) + 1;
const char* gone_name(Gone gone);  // "client_closed"; static storage

using GoneCallback = UniqueFunction<void(Gone)>;

// Who holds the charge of a whole answer's body until on_done.
enum class ChargedBy : uint8_t {
  kHttp,    // this room, on the request's account, while the kernel has not taken it
  kCaller,  // whoever answers has charged it already, before it was made
};

// One request's answer.
//
// Whoever is going to answer holds a shared_ptr to it; when the connection is the only holder left and nothing was
// answered, the client gets a 500 within a quarter of a second. Every method is for the exchange's io thread only;
// post() alone is for any thread. No callback ever runs inside one of these methods: they run from the event loop,
// in the order gone, done. Once the client is gone every answering method does nothing.
class Exchange {
 public:
  virtual ~Exchange();

  // Exactly once, either a whole answer or a stream. `headers` must not name Content-Length or Transfer-Encoding
  // (they are dropped); "Connection: close" is obeyed. Line breaks inside values become spaces.
  // REQUIRES: 200 <= status <= 599.
  virtual void respond(int status, std::string_view content_type, std::string body, Headers headers = {},
                       ChargedBy charged_by = ChargedBy::kHttp) = 0;
  virtual void begin_stream(int status, std::string_view content_type, Headers headers = {}) = 0;

  // Appends to the stream. Everything written in one turn of the event loop leaves in one send. More than
  // Options::out_bytes_max that the kernel does not take cuts the client off with kSlowReader.
  // RETURNS: false where the ByteBook refuses the bytes although the client reads: nothing was appended, and the stream
  // may still be ended with a short event. A client that does not read is then cut off with kHostBytes, and the answer
  // is true, as it is for a client that is gone.
  virtual bool write(std::string_view bytes) = 0;
  virtual void end_stream() = 0;
  // Drops the client with kCut, from the event loop: what is not sent never will be. Before, during or after the answer.
  virtual void cut() = 0;

  virtual size_t unsent_bytes() const = 0;
  virtual Gone gone() const = 0;

  // At most once, as soon as the client left or was cut off, before or during the answer; never after on_done.
  virtual void on_gone(GoneCallback callback) = 0;
  // Exactly once: the last byte was handed to the kernel, or the connection is dead. The place may be freed.
  virtual void on_done(Callback callback) = 0;

  // Runs it on the exchange's io thread and keeps the exchange alive until then. After the server has stopped the
  // callback is destroyed without being run.
  virtual void post(Callback callback) = 0;
  virtual int io_index() const = 0;  // 0 .. io_threads - 1
};

// Called on the io thread, once per request. Must not block; may answer at once or later. The request is valid
// until it returns, unless moved from.
using Handler = std::function<void(Request&&, std::shared_ptr<Exchange>)>;

class Server {
 public:
  // Raises the descriptor limit to the hard limit, lowers connections_max to what that allows (with a log line),
  // ignores SIGPIPE, binds and listens. Nothing is accepted before start().
  // ERRORS: kInvalidArgument for options out of range or an address that is none; kFailedPrecondition when the
  // address cannot be bound or an io thread cannot be had; each says what to do.
  // book: where requests' bytes are charged; null: Options alone bound them.
  static Result<std::unique_ptr<Server>> create(Options options, Handler handler,
                                                std::shared_ptr<ByteBook> book = nullptr, Hooks hooks = {});
  virtual ~Server() = default;  // stops first

  virtual void start() = 0;  // once
  virtual uint16_t port() const = 0;
  virtual int io_threads() const = 0;

  // Any thread: runs the callback on that io thread; writes made by it are flushed together afterwards.
  // RETURNS: false after stop(); the callback was not run and never will be.
  virtual bool post(int io_index, Callback callback) = 0;

  // Drain, any thread: idle connections close, every answer ends with "Connection: close". The listeners stay open, so
  // that health still answers and late requests get their refusal.
  virtual void drain() = 0;
  // drain(), and the listeners close. Any thread.
  virtual void stop_accepting() = 0;
  // Cuts every connection with kShutdown, runs what was posted, joins. Idempotent. Not from an io thread.
  virtual void stop() = 0;

  struct Stats {
    uint64_t accepted, connections, requests, bytes_in, bytes_out;
    uint64_t refused_connections, bad_requests, timeouts, client_gone, slow_readers;
    uint64_t gave_way;         // connections closed for newer ones
    uint64_t held;             // times that a connection was held back to keep refusals at their pace
    uint64_t dropped_answers;  // their reader did not read, and their bytes found no room
  };
  virtual Stats stats() const = 0;  // any thread; relaxed, so the numbers may be a moment apart
};

}  // namespace weir::http
