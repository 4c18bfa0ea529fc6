#include "load/server_url.h"

#include <algorithm>

namespace weir {
namespace {

bool is_port(std::string_view port) {
  if (port.empty() || port.size() > 5 || port.find_first_not_of("0123456789") != std::string_view::npos)
    return false;
  const int number = std::stoi(std::string(port));
  return number > 0 && number <= 65535;
}

// What follows the host: "" or ":PORT".
Status take_port(std::string_view text, ServerAddress* address) {
  if (text.empty()) return ok_status();
  if (text[0] != ':' || !is_port(text.substr(1))) return invalid_argument("the port is no number from 1 to 65535");
  address->port = std::string(text.substr(1));
  return ok_status();
}

Status take_authority(std::string_view text, ServerAddress* address) {
  const bool bracketed = !text.empty() && text[0] == '[';
  const size_t end = bracketed ? text.find(']') : std::min(text.find(':'), text.size());
  if (end == std::string_view::npos) return invalid_argument("the bracket of the address is not closed");
  address->host = std::string(bracketed ? text.substr(1, end - 1) : text.substr(0, end));
  for (char c : address->host) {
    if (c <= ' ' || c > '~' || c == '@') return invalid_argument("the host name holds a character that none may");
  }
  if (address->host.empty()) return invalid_argument("the host name is missing");
  return take_port(text.substr(end + (bracketed ? 1 : 0)), address);
}

}  // namespace

std::string ServerAddress::text() const {
  const bool v6 = host.find(':') != std::string::npos;
  return "http://" + (v6 ? "[" + host + "]" : host) + ":" + port + path;
}

Result<ServerAddress> parse_server_url(std::string_view url) {
  constexpr std::string_view kScheme = "http://";
  if (url.substr(0, 8) == "https://") {
    return Status(Code::kUnimplemented, "weir speaks plain http only; give the http:// address of the server");
  }
  if (url.substr(0, kScheme.size()) != kScheme) {
    return invalid_argument("'" + std::string(url) + "' is no address; write http://HOST:PORT");
  }
  const std::string_view rest = url.substr(kScheme.size());
  const size_t slash = std::min(rest.find('/'), rest.size());
  ServerAddress address;
  Status status = take_authority(rest.substr(0, slash), &address);
  if (!status.ok()) return status.with_prefix(url);
  std::string path(rest.substr(slash));
  for (char c : path) {
    if (c <= ' ' || c > '~' || c == '?' || c == '#') {
      return invalid_argument("the address may not hold spaces, a query or a fragment; write http://HOST:PORT/v1");
    }
  }
  while (!path.empty() && path.back() == '/') path.pop_back();
  address.path = path.empty() ? "/v1" : path;
  return address;
}

}  // namespace weir
