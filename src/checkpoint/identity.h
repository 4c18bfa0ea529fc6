// checkpoint_identity: a digest that changes when the weights of a model directory may have changed.
//
// For whoever keeps something that was computed from a checkpoint (model/weight_cache.h). Reading every byte again
// would prove that nothing changed, at the price of a cold start, so it goes by what a change cannot avoid:
// - config.json, byte by byte; names, sizes and whole headers of the weight files;
// - of each file inode, time of modification and time of change in nanoseconds. The last one is the kernel's: writing,
//   truncating, replacing and setting the other times all move it, and no program can set it back;
// - 4 KiB from the middle of every tensor, for file systems that keep no honest times: other weights of the same shape
//   differ there even where every fact above agrees.
// What remains: a file system that keeps neither times nor inodes, or a disk written to below its file system, together
// with a change of a few numbers that misses all samples. A copy, a restored backup or a changed mode give another
// identity although the weights are the same: that costs a cold start and nothing else.
//
// Any thread; reads, and sleeps 20 ms at most where a file was changed this instant (a second change within the same
// tick of the kernel's clock would not show in its time).
#pragma once

#include <string>

#include "base/sha256.h"
#include "base/status.h"
#include "checkpoint/safetensors.h"

namespace weir {

// The part of it that file systems have no say in: headers and samples. ERRORS: kDataLoss.
Result<Sha256> checkpoint_sample(const Checkpoint& checkpoint);

// ERRORS: those of reading config.json; kDataLoss when a file cannot be asked, or was written to since open().
Result<Sha256> checkpoint_identity(const std::string& model_dir, const Checkpoint& checkpoint);

}  // namespace weir
