// A weight cache: the packed weights of one model in one file, so that the next start reads them instead of packing.
//
// Thread: main, at load; it starts threads of its own for as long as a call lasts. Owner: whoever loads. It knows bytes
// and no tensors. Limits: the file is as large as the weights plus a table of 8 bytes per 4 MiB and a page; reading goes
// straight into place and writing straight from there, so neither takes memory (kLoadingBytes has the rest).
//
// What it trusts: nothing that it has not compared. The key must be the wanted one (weight_cache_header.h), the size
// exact, every chunk's XXH3 the one in the table. XXH3 is no seal against forgery, so a file counts only if it is a
// regular file of this user or of root that nobody else may write to; links are not followed.
//
// Writing goes to a file of its own beside the final one, is made durable and then renamed: who reads sees the old file,
// the new one or none, also when several servers write at once; the last one wins. Unfinished files of servers that died
// are removed by the next writer. Pages leave the page cache behind both directions: the weights are in memory already.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>

#include "base/status.h"
#include "model/weight_cache_header.h"

namespace weir {

struct WeightCachePlace {
  std::string
      folder;  // exists; the operator's, so it may be reached through links (see make_weight_cache_folder())
  std::string file;    // from weight_cache_file()
};

// One file per model directory, format and instruction set, whatever the weights in it are: a changed model
// replaces its file, so a folder does not grow by itself. "weir-demo-int8-avx2-1f0c93ab52d4e671.weights"; a hub
// snapshot's begins with "OWNER_NAME-".
std::string weight_cache_file(const std::string& model_dir, const std::string& format, const std::string& isa);

struct WeightCacheRun {
  int threads = 1;                         // the calling one included; at most 16 are used
  std::function<void(double)> progress{};  // 0..1, on the calling thread; may be empty
};

// Whether read_weight_cache() would begin: everything but the chunks is checked. ERRORS: as there.
Status check_weight_cache(const WeightCachePlace& place, const WeightCacheKey& key);

// Fills `into` with the weights. REQUIRES into.size() == key.bytes. MODIFIES: `into` may hold anything after an error.
// ERRORS, each of one line: kNotFound when there is no such file; kUnavailable when the folder cannot be used at all;
// kFailedPrecondition for a file that is of other weights, or may not be used; kDataLoss for a damaged one.
Status read_weight_cache(const WeightCachePlace& place, const WeightCacheKey& key, std::span<std::byte> into,
                         const WeightCacheRun& run);

// Writes the file, mode 0600. REQUIRES bytes.size() == key.bytes.
// ERRORS: kFailedPrecondition, or kResourceExhausted for want of room, which is looked at before anything is written;
// then the folder is as it was.
Status write_weight_cache(const WeightCachePlace& place, const WeightCacheKey& key, std::span<const std::byte> bytes,
                          const WeightCacheRun& run);

}  // namespace weir
