// The program weir.
#include <fcntl.h>
#include <unistd.h>

#include <csignal>

#include "base/fatal.h"
#include "cli/commands.h"

namespace {

// A descriptor that was closed before the start would else become a socket's or a model file's, and receive the
// log.
void open_missing_descriptors() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (::fcntl(fd, F_GETFD) < 0)
      (void)::open("/dev/null", fd == STDIN_FILENO ? O_RDONLY : O_WRONLY);  // the lowest free one
  }
}

}  // namespace

int main(int count, char** words) {
  open_missing_descriptors();
  weir::install_fatal_lines();
  std::signal(SIGPIPE, SIG_IGN);  // a reader that left is an error of one write, not the end of the server
  return weir::run_weir({words + (count > 0 ? 1 : 0), words + count},
                        {weir::serve_command(), weir::plan_command(), weir::chat_command(), weir::bench_command(),
                         weir::simulate_command(), weir::key_command()});
}
