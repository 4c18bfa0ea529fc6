// ChunkTeam: a few threads that share numbered pieces of work until one of them fails. For loading alone.
//
// Thread: run() on the thread that loads, which works too and alone tells the progress. Threads live as long as the call.
#pragma once

#include <cstdint>
#include <functional>

#include "base/status.h"

namespace weir {

struct ChunkTeam {
  int threads = 1;
  std::function<void(double)> progress{};  // done over count; may be empty

  // Calls body(i) for each i in [0, count), in any order, from several threads at once; after the first error no
  // further piece is begun. Fewer threads than asked for, where the system gives no more, is no error.
  // RETURNS: the error of the lowest piece that failed, or ok.
  Status run(uint64_t count, const std::function<Status(uint64_t index)>& body) const;
};

}  // namespace weir
