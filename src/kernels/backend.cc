#include "kernels/backend.h"

#include "backend_list.inc"  // written by CMake: declares the factories and defines kBackends

namespace weir {

std::string backend_names() {
  std::string names;
  for (const auto& entry : kBackends) names += (names.empty() ? "" : ", ") + std::string(entry.name);
  return names;
}

Result<std::unique_ptr<Backend>> make_backend(std::string_view name, const BackendOptions& options) {
  for (const auto& entry : kBackends) {
    if (entry.name == name) return entry.make(options);
  }
  return invalid_argument("unknown backend \"" + std::string(name.substr(0, 32)) + "\": this build has " +
                          backend_names());
}

}  // namespace weir
