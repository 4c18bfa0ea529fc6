// BlockKeeper: keeps the contents of blocks that no sequence holds, so that a later one can share them.
//
// Owner: the engine thread. Implemented by memory/prefix; the BlockPool calls it and knows nothing of what it keeps.
#pragma once

#include <cstdint>

namespace weir {

class BlockKeeper {
 public:
  virtual ~BlockKeeper() = default;
  // A kept block lost its last holder, or got one again.
  virtual void on_idle(int32_t block) = 0;
  virtual void on_held(int32_t block) = 0;
  // Gives up the idle block that is worth least. RETURNS: its id, no longer kept. REQUIRES: one is idle.
  virtual int32_t evict() = 0;
  // A kept block's bytes are to be found in `to` from now on; `to` was not kept.
  virtual void on_moved(int32_t from, int32_t to) = 0;
};

}  // namespace weir
