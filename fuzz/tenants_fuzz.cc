// Fuzz target: a key file, as an operator might write it or a broken disk might leave it. Whatever it holds, it is
// tenants or one line that says why not.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "config/tenants_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto parsed = weir::parse_tenants_toml({reinterpret_cast<const char*>(data), size}, "keys.toml",
                                               {"interactive", "normal", "batch"});
  if (parsed.ok()) {
    for (const weir::TenantSetting& tenant : *parsed) {
      if (!weir::is_tenant_name(tenant.name) || !(tenant.weight > 0) || !(tenant.kv_share > 0)) std::abort();
    }
  } else if (parsed.status().message().empty() || parsed.status().message().find('\n') != std::string::npos) {
    std::abort();
  }
  return 0;
}
