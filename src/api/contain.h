// contain(): an exception ends the request it came from and nothing else. Every entrance of a request (the handler,
// a job of the text pool, a posted callback, a notice, a look at the clock) goes through it.
//
// Pure; any thread. Where there is no memory even for the error, the caller cuts the client off
// (Reply::end_after_throw), or drops the request and http answers it with a 500.
#pragma once

#include <cstdint>
#include <exception>
#include <new>

#include "api/error.h"

namespace weir::api {

enum class Thrown : uint8_t {
  kNothing,
  kOutOfMemory,  // std::bad_alloc: 503 out_of_memory
  kUnexpected,   // anything else, a bug of ours: 500 unexpected
};

void log_thrown(const char* what) noexcept;
ApiError error_of(Thrown thrown);  // REQUIRES: not kNothing. Allocates.

template <class Body>
Thrown contain(Body&& body) noexcept {
  try {
    body();
    return Thrown::kNothing;
  } catch (const std::bad_alloc&) {
    return Thrown::kOutOfMemory;  // counted with its refusal; a log line would want memory too
  } catch (const std::exception& error) {
    log_thrown(error.what());
  } catch (...) {
    log_thrown("an exception of no known type");
  }
  return Thrown::kUnexpected;
}

}  // namespace weir::api
