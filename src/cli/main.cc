// The program weir.
#include <csignal>

#include "cli/commands.h"

int main(int count, char** words) {
  std::signal(SIGPIPE, SIG_IGN);  // a reader that left is an error of one write, not the end of the server
  return weir::run_weir({words + (count > 0 ? 1 : 0), words + count},
                        {weir::serve_command(), weir::plan_command(), weir::chat_command(), weir::bench_command(),
                         weir::simulate_command(), weir::key_command()});
}
