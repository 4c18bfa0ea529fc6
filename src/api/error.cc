#include "api/error.h"

#include "api/json_out.h"

namespace weir::api {
namespace {

struct Row {
  Code status;
  std::string_view reason;  // empty: any
  int http;
  const char* type;
  const char* code;  // null: JSON null
};

// The first row that fits counts. Types and codes are those that OpenAI's clients know.
constexpr Row kTable[] = {
    {Code::kInvalidArgument, "prompt_too_long", 400, "invalid_request_error", "context_length_exceeded"},
    {Code::kInvalidArgument, "prompt_over_pool", 400, "invalid_request_error", "context_length_exceeded"},
    {Code::kInvalidArgument, "guarantee_over_pool", 400, "invalid_request_error", "context_length_exceeded"},
    {Code::kInvalidArgument, "", 400, "invalid_request_error", nullptr},
    {Code::kFailedPrecondition, "", 400, "invalid_request_error", nullptr},
    {Code::kUnauthenticated, "", 401, "invalid_request_error", "invalid_api_key"},
    {Code::kNotFound, "", 404, "invalid_request_error", nullptr},
    {Code::kTooLarge, "", 413, "invalid_request_error", "request_too_large"},
    {Code::kResourceExhausted, "queue_tokens_full", 429, "tokens", "slow_down"},
    {Code::kResourceExhausted, "tenant_tokens_per_minute", 429, "tokens", "slow_down"},
    {Code::kResourceExhausted, "", 429, "requests", "slow_down"},
    {Code::kUnavailable, "", 503, "server_error", "server_is_overloaded"},
    {Code::kDeadlineExceeded, "", 504, "server_error", "timeout"},
    {Code::kUnimplemented, "", 501, "invalid_request_error", "unsupported"},
};
constexpr Row kOtherwise = {Code::kInternal, "", 500, "server_error", "internal_error"};

const Row& row_of(const Status& status) {
  for (const Row& row : kTable) {
    if (row.status == status.code() && (row.reason.empty() || row.reason == status.reason())) return row;
  }
  return kOtherwise;
}

void append_nullable(std::string_view text, std::string* out) {
  if (text.empty()) {
    out->append("null");
  } else {
    append_json_string(text, out);
  }
}

}  // namespace

ApiError bad_param(std::string param, std::string message) {
  return {.status = invalid_argument(std::move(message)), .param = std::move(param)};
}

ApiError unknown_model(std::string_view asked, std::string_view served) {
  std::string name(asked.substr(0, 128));  // an echo of what was asked, not of a megabyte
  return {.status = not_found("the model \"" + name + "\" does not exist here; this server serves \"" +
                              std::string(served) + "\""),
          .param = "model",
          .code = "model_not_found"};
}

ApiError unsupported_param(std::string param, std::string message) {
  return {.status = invalid_argument(std::move(message)), .param = std::move(param), .code = "unsupported_parameter"};
}

int http_status(const ApiError& error) { return error.http != 0 ? error.http : row_of(error.status).http; }

const char* error_code(const ApiError& error) {
  const char* code = error.code != nullptr ? error.code : row_of(error.status).code;
  return code != nullptr ? code : "";
}

bool wants_retry_after(const ApiError& error) {
  const int status = http_status(error);
  return status == 429 || status == 503;
}

std::string error_body(const ApiError& error) {
  const Row& row = row_of(error.status);
  std::string out = R"({"error":{"message":)";
  append_json_string(error.status.message(), &out);
  out.append(R"(,"type":)");
  append_json_string(row.type, &out);
  out.append(R"(,"param":)");
  append_nullable(error.param, &out);
  out.append(R"(,"code":)");
  append_nullable(error_code(error), &out);
  if (!error.status.reason().empty()) {
    out.append(R"(,"reason":)");
    append_json_string(error.status.reason(), &out);
  }
  out.append("}}");
  return out;
}

}  // namespace weir::api
