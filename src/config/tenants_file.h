// The key file: [[tenant]] tables in TOML -> TenantSetting, strictly.
//
// toml++ stays inside its .cc. Thread: main at start; whoever reloads, later. Limits: kTenantsInFileMax tenants of
// kKeysPerTenantMax keys, 1 MiB. Keys stand there as digests alone; a message never repeats what stands in the
// place of one. Nothing is kept: a file is good as a whole or not at all.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "config/tenant_settings.h"

namespace weir {

// classes: the names of --classes. where: what the messages call the text, usually the path.
// ERRORS: kInvalidArgument with the line for bad TOML, an unknown field (the nearest is named), a value out of its
// range, a name or key that stands there twice, a class that there is not, too many tenants or keys, and none at
// all.
Result<std::vector<TenantSetting>> parse_tenants_toml(std::string_view text, const std::string& where,
                                                      const std::vector<std::string>& classes);

// [a-z0-9_.-], 1 to 64 bytes.
bool is_tenant_name(std::string_view name);

// ERRORS: those above, and those of read_small_file().
Result<std::vector<TenantSetting>> read_tenants_file(const std::string& path,
                                                     const std::vector<std::string>& classes);

}  // namespace weir
