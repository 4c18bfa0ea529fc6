// ShardIndex: model.safetensors.index.json, checked. A value; any thread.
// Limits: 16 MiB of text, 1024 shards; a shard is a plain file name of the index's own directory.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace weir {

struct ShardIndex {
  struct Entry {
    std::string tensor;
    uint32_t file = 0;  // position in `files`
  };
  std::vector<std::string> files;  // sorted, unique
  std::vector<Entry> entries;      // sorted by tensor, unique
};

// `what` names the text in messages.
// ERRORS: kInvalidArgument for text that is no index or names a file outside the directory; kTooLarge.
Result<ShardIndex> parse_shard_index(std::string_view json, std::string_view what);

// Reads and parses. ERRORS: also those of read_small_file.
Result<ShardIndex> load_shard_index(const std::string& path);

}  // namespace weir
