// chat_local: a weir of one's own for `weir chat DIRECTORY`, inside this process.
//
// Thread: main. It listens on a loopback port that the kernel chooses, with a key that nobody else knows.
#pragma once

#include <memory>

#include "load/sse_client.h"
#include "config/settings.h"
#include "server/app.h"

namespace weir {

struct LocalServer {
  std::unique_ptr<App> app;
  ServerAddress address;
  std::string api_key;
};

// settings: as parsed; door, log and concurrency are replaced. ERRORS: those of App::create().
Result<LocalServer> start_local_server(Settings settings);

}  // namespace weir
