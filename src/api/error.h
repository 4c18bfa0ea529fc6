// ApiError: a Status as an OpenAI client sees it; the one table from our codes and reasons to HTTP.
//
// Values and pure functions; any thread. A body never carries anything the client did not send or may not know:
// messages are one line, made by weir, with the client's own values cut short.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace weir::api {

struct ApiError {
  Status status;              // not ok
  std::string param;          // the JSON field at fault, "messages[0].content"; empty: null in the body
  const char* code = nullptr; // overrides the table's code; static storage
  int http = 0;               // overrides the table's HTTP status; 0: as the table says
};

// A field of the body that cannot work: 400.
ApiError bad_param(std::string param, std::string message);
// 404 model_not_found, with both names.
ApiError unknown_model(std::string_view asked, std::string_view served);
// A field that is known and that weir does not serve: 400 with code "unsupported_parameter".
ApiError unsupported_param(std::string param, std::string message);

int http_status(const ApiError& error);       // 400..599
const char* error_code(const ApiError& error); // as the body says it; "" for null; static storage
bool wants_retry_after(const ApiError& error); // 429 and 503
// {"error":{"message":..,"type":..,"param":..,"code":..,"reason":..}}; reason only where a shed point named one.
std::string error_body(const ApiError& error);

}  // namespace weir::api
