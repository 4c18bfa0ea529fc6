// Status and Result: how the outside world's failures travel.
//
// A Status is cheap to move and safe to drop only on purpose ([[nodiscard]]). Our own bugs are not a Status:
// they are a WEIR_CHECK (base/check.h). The table that maps codes to HTTP lives in api/error.h alone.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace weir {

// Choose the first line that fits.
enum class Code {
  kOk,                  // it worked
  kInvalidArgument,     // the caller sent something that can never work: fix it and send again (400)
  kUnauthenticated,     // no key, or a wrong one (401)
  kNotFound,            // a named thing (model, file, route) does not exist (404)
  kTooLarge,            // a size limit of the door, such as body bytes (413)
  kResourceExhausted,   // a bounded queue or limit is full now; the same request may work later (429)
  kUnavailable,         // the server cannot take work in its present state: starting, draining, pressure (503)
  kDeadlineExceeded,    // its time ran out (408 while reading, 504 later)
  kCancelled,           // the client left, or an operator aborted it
  kFailedPrecondition,  // the machine or the settings do not allow it: plan does not fit, missing file rights
  kUnimplemented,       // well-formed, known, and not supported by this build (501)
  kDataLoss,            // a file is damaged or lies about itself
  kInternal,            // a bug of ours that was contained
};

const char* code_name(Code code);  // "invalid_argument"; static storage

// A code, a one-line message that says what to do, and for refusals a stable machine-readable reason such as
// "queue_full" that also labels a metric. Any thread; a value.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message, std::string_view reason = {})
      : code_(code), message_(std::move(message)), reason_(reason) {}

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }
  const std::string& reason() const { return reason_; }  // empty unless a named shed point set it

  // The same status with "where: " before its message, for context on the way up.
  Status with_prefix(std::string_view where) const {
    return Status(code_, std::string(where) + ": " + message_, reason_);
  }

 private:
  Code code_ = Code::kOk;
  std::string message_;
  std::string reason_;
};

inline Status ok_status() { return {}; }
Status invalid_argument(std::string message);
Status data_loss(std::string message);
Status not_found(std::string message);
Status failed_precondition(std::string message);
Status internal_error(std::string message);

[[noreturn]] void die_bad_result_access(const Status& status);

// Either a value or a Status that is not ok. value() on an error is our bug and crashes with the message.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}  // NOLINT(google-explicit-constructor): return values read well
  Result(Status status) : status_(std::move(status)) {}  // NOLINT: REQUIRES !status.ok()

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }
  T& value() & {
    if (!value_) die_bad_result_access(status_);
    return *value_;
  }
  const T& value() const& {
    if (!value_) die_bad_result_access(status_);
    return *value_;
  }
  T&& value() && {
    if (!value_) die_bad_result_access(status_);
    return std::move(*value_);
  }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }

 private:
  std::optional<T> value_;
  Status status_;
};

#define WEIR_CONCAT_INNER(a, b) a##b
#define WEIR_CONCAT(a, b) WEIR_CONCAT_INNER(a, b)

// Returns early with the Status of `expr` unless it is ok.
#define WEIR_RETURN_IF_ERROR(expr)                           \
  do {                                                       \
    ::weir::Status weir_status = (expr);                     \
    if (!weir_status.ok()) return weir_status;               \
  } while (false)

// WEIR_ASSIGN_OR_RETURN(auto x, f()): declares x from a Result, or returns its Status.
#define WEIR_ASSIGN_OR_RETURN(decl, expr) \
  WEIR_ASSIGN_OR_RETURN_INNER(WEIR_CONCAT(weir_result_, __LINE__), decl, expr)
#define WEIR_ASSIGN_OR_RETURN_INNER(result, decl, expr) \
  auto result = (expr);                                 \
  if (!result.ok()) return result.status();             \
  decl = std::move(result).value()

}  // namespace weir
