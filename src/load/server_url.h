// server_url: the http:// address of a server, taken apart. Pure, any thread; a value.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace weir {

struct ServerAddress {
  std::string host = "127.0.0.1";  // without brackets
  std::string port = "80";
  std::string path;  // what precedes /chat/completions: "/v1"; never ends in a slash

  std::string text() const;  // "http://[::1]:23333/v1"
};

// "http://host", "http://host:23333", "http://[::1]:23333/v1/". No path means "/v1".
// ERRORS: kInvalidArgument, kUnimplemented for https.
Result<ServerAddress> parse_server_url(std::string_view url);

}  // namespace weir
