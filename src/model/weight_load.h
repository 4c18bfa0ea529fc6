// load_weights: the weights of a model in their region, from the weight cache where there is a right one, else
// packed from the checkpoint and then, where the operator gave a folder, written to the cache.
//
// Thread: main, at load. A folder that cannot be used ends the start, for the operator asked for it; whatever is
// wrong with a file in it is a line in the log that names file, reason and what happens instead, and the weights
// are packed.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "checkpoint/model_spec.h"
#include "checkpoint/safetensors.h"
#include "kernels/backend.h"
#include "model/options.h"
#include "model/weights.h"

namespace weir {

struct WeightCacheUse {
  std::string folder;     // of --weight-cache; empty: no cache
  std::string model_dir;  // the checkpoint's
};

// fraction: 0..1 within the stage; stage: a few words. On the thread that loads.
using LoadProgress = std::function<void(double fraction, std::string_view stage)>;

struct WeightLoad {
  const ModelSpec& spec;
  const ModelOptions& options;
  Checkpoint& checkpoint;
  Backend& backend;
  Stream& stream;
  DeviceSpan region;  // what `weights` was cut from; zero
  const WeightCacheUse& cache;
  const LoadProgress& progress;
};

// ERRORS: those of fill_weights(), and of make_weight_cache_folder().
Status load_weights(const WeightLoad& load, Weights* weights);

// For `weir plan`: one line about the cache that load_weights() would meet; its pieces are not read.
std::string weight_cache_state(const ModelSpec& spec, const ModelOptions& options, const Checkpoint& checkpoint,
                               Backend& backend, const WeightCacheUse& cache);

}  // namespace weir
