// write_now: what a descriptor takes at this moment, without waiting for its reader.
//
// Thread: any; async-signal-safe; allocates nothing. The descriptor stays as it is: O_NONBLOCK would be set for
// every process that shares it, a shell's terminal among them.
#pragma once

#include <cstddef>
#include <string_view>

namespace weir {

// patience_ms: how long the reader of a full pipe may take to make room, for each PIPE_BUF bytes; 0: no time at
// all. RETURNS: bytes written; fewer than asked for where the descriptor is full, closed or broken.
size_t write_now(int fd, std::string_view text, int patience_ms);

}  // namespace weir
