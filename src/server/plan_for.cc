#include "checkpoint/safetensors.h"
#include "model/weight_load.h"
#include "server/app.h"
#include "server/blueprint.h"

namespace weir {

Result<MemoryPlan> plan_for(const Settings& settings, std::string* cache_line) {
  WEIR_ASSIGN_OR_RETURN(Blueprint blueprint, draw_blueprint(settings));
  if (cache_line != nullptr && !settings.weight_cache.empty()) {
    WEIR_ASSIGN_OR_RETURN(const auto checkpoint, Checkpoint::open(settings.model));
    *cache_line = weight_cache_state(blueprint.spec, blueprint.model, *checkpoint, *blueprint.backend,
                                     {settings.weight_cache, settings.model});
  }
  return std::move(blueprint.plan);
}

}  // namespace weir
