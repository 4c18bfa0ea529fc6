#include "cli/chat_local.h"

#include <sys/random.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "base/clock.h"
#include "base/log.h"
#include "cli/progress.h"

namespace weir {
namespace {

std::string random_key() {
  constexpr char kHex[] = "0123456789abcdef";
  unsigned char bytes[16] = {};
  if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) return "";
  std::string key;
  for (unsigned char byte : bytes) key.append({kHex[byte >> 4], kHex[byte & 15]});
  return key;
}

// Threads started while it lives never see Ctrl-C: it belongs to the chat's own thread.
class InterruptBlock {
 public:
  InterruptBlock() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, &before_);
  }
  ~InterruptBlock() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  InterruptBlock(const InterruptBlock&) = delete;
  InterruptBlock& operator=(const InterruptBlock&) = delete;

 private:
  sigset_t before_;
};

}  // namespace

Result<LocalServer> start_local_server(Settings settings) {
  settings.server_name = "127.0.0.1";
  settings.server_port = 0;
  settings.io_threads = 1;
  settings.max_batch_size = settings.max_concurrent_requests = 1;
  settings.max_queued_requests = 4;
  settings.max_connections = 16;
  settings.drain_timeout_ms = 0;
  settings.log_level = LogLevel::kOff;
  set_log_level(LogLevel::kOff);
  LocalServer local;
  local.api_key = random_key();
  if (local.api_key.empty()) return internal_error("the kernel gave no random bytes");
  settings.api_keys = {local.api_key};

  const InterruptBlock block;
  const SteadyClock clock;
  ProgressLine line(STDERR_FILENO, isatty(STDERR_FILENO) != 0);
  const App::Progress show = [&](double fraction, const std::string& text) {
    line.show(fraction, text, clock.now_us());
  };
  WEIR_ASSIGN_OR_RETURN(local.app, App::create(settings, show));
  WEIR_RETURN_IF_ERROR(local.app->start());
  WEIR_ASSIGN_OR_RETURN(local.address, parse_server_url(local.app->url()));
  return local;
}

}  // namespace weir
