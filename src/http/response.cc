#include "http/response.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "base/check.h"

namespace weir::http {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return out;
}

bool is_token(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

// Values may carry what a client sent (a request id, say), and must not become a second header.
void append_value(std::string* out, std::string_view value) {
  for (char c : value) out->push_back(c == '\r' || c == '\n' || c == '\0' ? ' ' : c);
}

void append_header(std::string* out, std::string_view name, std::string_view value) {
  *out += name;
  *out += ": ";
  append_value(out, value);
  *out += "\r\n";
}

std::string json_escape(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(static_cast<unsigned char>(c) < 0x20 ? ' ' : c);
  }
  return out;
}

}  // namespace

const char* reason_phrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 499:
      return "Client Closed Request";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Status";
  }
}

bool status_has_body(int status) { return status != 204 && status != 304; }

bool asks_to_close(const Headers& headers) {
  return std::any_of(headers.begin(), headers.end(), [](const auto& header) {
    return lower(header.first) == "connection" && lower(header.second) == "close";
  });
}

std::string format_head(const ResponseHead& head, const Headers& headers) {
  std::string out = fmt::format("HTTP/1.1 {} {}\r\n", head.status, reason_phrase(head.status));
  append_header(&out, "Date", head.date);
  if (!head.content_type.empty()) append_header(&out, "Content-Type", head.content_type);
  for (const auto& [name, value] : headers) {
    const std::string key = lower(name);
    if (!is_token(name) || key == "content-length" || key == "transfer-encoding" || key == "connection") continue;
    append_header(&out, name, value);
  }
  if (head.length_bytes) append_header(&out, "Content-Length", std::to_string(*head.length_bytes));
  if (head.chunked) append_header(&out, "Transfer-Encoding", "chunked");
  if (head.close) append_header(&out, "Connection", "close");
  if (!head.close && head.http10) append_header(&out, "Connection", "keep-alive");
  out += "\r\n";
  return out;
}

std::string format_fault(const Fault& fault, const FaultFrame& frame) {
  const bool ours = fault.status >= 500;
  std::string body =
      fmt::format(R"({{"error":{{"message":"{}","type":"{}","code":"{}","param":null)", json_escape(fault.message),
                  ours ? "server_error" : fault.status == 429 ? "requests" : "invalid_request_error", fault.code);
  if (*fault.reason != '\0') body += fmt::format(R"(,"reason":"{}")", fault.reason);
  body += "}}";
  Headers headers = fault.headers;
  if (!frame.id.empty()) headers.emplace_back(kIdHeader, frame.id);
  if (fault.status == 503 || fault.status == 429) headers.emplace_back("Retry-After", "1");
  ResponseHead head{.status = fault.status,
                    .content_type = "application/json",
                    .length_bytes = body.size(),
                    .close = frame.close,
                    .http10 = frame.http10,
                    .date = frame.date};
  return format_head(head, headers) + (frame.head_only ? "" : body);
}

void append_chunk(std::string* out, std::string_view bytes) {
  WEIR_CHECK(!bytes.empty());
  char size[24];
  const auto end = fmt::format_to(size, "{:x}\r\n", bytes.size());
  out->append(size, end);
  out->append(bytes);
  out->append("\r\n");
}

std::string format_date(int64_t unix_seconds) {
  const std::time_t time = unix_seconds;
  std::tm parts{};
  gmtime_r(&time, &parts);
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", kDays[parts.tm_wday], parts.tm_mday,
                     kMonths[parts.tm_mon], parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

}  // namespace weir::http
