#include "model/weight_load.h"

#include <fmt/format.h>

#include <filesystem>
#include <span>

#include "base/clock.h"
#include "base/log.h"
#include "base/units.h"
#include "checkpoint/identity.h"
#include "model/weight_cache.h"
#include "model/weight_cache_folder.h"

namespace weir {
namespace {

constexpr char kArea[] = "weights";

WeightCachePlace place_of(const ModelOptions& options, const Backend& backend, const WeightCacheUse& cache) {
  const std::string format(weight_format_name(options.format));
  return {cache.folder, weight_cache_file(cache.model_dir, format, std::string(backend.packed_layout().isa))};
}

// ERRORS: those of checkpoint_identity().
Result<WeightCacheKey> key_of(const ModelOptions& options, const Checkpoint& checkpoint, const Backend& backend,
                              const WeightCacheUse& cache, uint64_t bytes) {
  WEIR_ASSIGN_OR_RETURN(const Sha256 model, checkpoint_identity(cache.model_dir, checkpoint));
  const PackedLayout layout = backend.packed_layout();
  return WeightCacheKey{.model = model, .order_version = kWeightOrderVersion, .pack_version = layout.version,
                        .isa = std::string(layout.isa), .format = std::string(weight_format_name(options.format)),
                        .bytes = bytes};
}

// One load with a cache; the steps in their order.
class CachedLoad {
 public:
  CachedLoad(const WeightLoad& load, uint64_t bytes, WeightCacheKey key, void* memory)
      : load_(load), place_(place_of(load.options, load.backend, load.cache)), key_(std::move(key)),
        memory_(static_cast<std::byte*>(memory), bytes) {}

  // RETURNS: true when the weights are there. MODIFIES: the region is zero again when they are not.
  bool read() {
    const Micros begin = clock_.now_us();
    const Status status = read_weight_cache(place_, key_, memory_, run("reading the weight cache"));
    if (status.ok()) {
      log_info(kArea, fmt::format("{}: {} read and checked in {:.1f} s", path(), format_bytes(memory_.size()), seconds_since(begin)));
      return true;
    }
    if (status.code() == Code::kNotFound) {
      log_info(kArea, fmt::format("{}: {}; packing the weights", path(), status.message()));
    } else {
      log_warning(kArea, fmt::format("{}: {}; packing the weights again", path(), status.message()));
      load_.backend.device().fill_zero(load_.stream, load_.region);
    }
    return false;
  }

  void write() {
    const Result<WeightCacheKey> now = key_of(load_.options, load_.checkpoint, load_.backend, load_.cache, key_.bytes);
    if (!now.ok() || now->model != key_.model) {
      log_warning(kArea, "the model's files changed while they were read; no weight cache is written");
      return;
    }
    const Micros begin = clock_.now_us();
    const Status status = write_weight_cache(place_, key_, memory_, run("writing the weight cache"));
    if (status.ok()) {
      log_info(kArea, fmt::format("{}: {} written in {:.1f} s", path(), format_bytes(memory_.size()), seconds_since(begin)));
    } else {
      log_warning(kArea, fmt::format("{}: {}; serving without a cache", path(), status.message()));
    }
  }

 private:
  std::string path() const { return "weight cache " + place_.folder + "/" + place_.file; }
  double seconds_since(Micros begin) const { return static_cast<double>(clock_.now_us() - begin) / 1e6; }
  WeightCacheRun run(std::string_view stage) const {
    if (!load_.progress) return {.threads = load_.backend.threads(), .progress = {}};
    return {.threads = load_.backend.threads(),
            .progress = [this, stage](double fraction) { load_.progress(fraction, stage); }};
  }

  const WeightLoad& load_;
  const WeightCachePlace place_;
  const WeightCacheKey key_;
  const std::span<std::byte> memory_;
  const SteadyClock clock_;
};

Status pack(const WeightLoad& load, Weights* weights) {
  std::function<void(double)> progress;
  if (load.progress) progress = [&](double fraction) { load.progress(fraction, "packing the weights"); };
  return fill_weights(load.spec, load.checkpoint, load.backend, load.stream, progress, weights);
}

Status load_with_cache(const WeightLoad& load, Weights* weights) {
  WEIR_RETURN_IF_ERROR(make_weight_cache_folder(load.cache.folder));
  void* memory = load.backend.device().host_pointer(load.region.data);
  if (memory == nullptr) {
    log_warning(kArea, "--weight-cache is for weights in host memory; packing them without a cache");
    return pack(load, weights);
  }
  Result<WeightCacheKey> key = key_of(load.options, load.checkpoint, load.backend, load.cache, weights->stored_bytes);
  if (!key.ok()) {
    log_warning(kArea, key.status().message() + "; packing the weights without a cache");
    return pack(load, weights);
  }
  CachedLoad cached(load, weights->stored_bytes, std::move(key).value(), memory);
  if (cached.read()) return ok_status();
  WEIR_RETURN_IF_ERROR(pack(load, weights));
  cached.write();
  return ok_status();
}

}  // namespace

Status load_weights(const WeightLoad& load, Weights* weights) {
  WEIR_RETURN_IF_ERROR(load.cache.folder.empty() ? pack(load, weights) : load_with_cache(load, weights));
  fill_tables(load.spec, load.backend.device(), load.stream, weights);
  return ok_status();
}

std::string weight_cache_state(const ModelSpec& spec, const ModelOptions& options, const Checkpoint& checkpoint,
                               Backend& backend, const WeightCacheUse& cache) {
  Cutter counter;
  const uint64_t bytes = cut_weights(spec, options, backend.ops(), &counter).stored_bytes;
  const WeightCachePlace place = place_of(options, backend, cache);
  const Result<WeightCacheKey> key = key_of(options, checkpoint, backend, cache, bytes);
  const Status status = key.ok() ? check_weight_cache(place, *key) : key.status();
  const std::string line = "weight cache " + place.folder + "/" + place.file + ": ";
  if (status.ok()) return line + format_bytes(bytes) + " of this model, to be read at start";
  std::error_code ignored;
  if (!std::filesystem::exists(place.folder, ignored)) {
    return line + "the folder is not there; a start makes it, packs the weights and writes " +
           format_bytes(cache_file_bytes(bytes));
  }
  if (status.code() == Code::kUnavailable) return line + status.message();
  return line + status.message() + "; a start packs the weights and writes " + format_bytes(cache_file_bytes(bytes));
}

}  // namespace weir
