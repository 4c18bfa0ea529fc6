// KeyFile: settings and the key file turned into Tenants, at start and again while serving.
//
// Owner: App. Thread: load() main, at start; reload() any, one at a time (a mutex of its own). It never waits for a
// request: what runs goes on as it was admitted.
#pragma once

#include <mutex>
#include <vector>

#include "admission/tenants.h"
#include "api/api.h"
#include "config/settings.h"
#include "memory/ledger/ledger.h"
#include "message/classes.h"

namespace weir {

std::vector<PriorityClass> classes_of(const Settings& settings);
int32_t default_class_of(const Settings& settings);  // REQUIRES: settings went through resolve_settings()

// Settings as tenants: those of the key file, and "default" with the plain keys. A tenant that lists no classes may
// ask for its own and every lower one; "default", where no file names it, for all. ERRORS: kInvalidArgument for a
// plain key that is a tenant's of the file too.
Result<std::vector<TenantPolicy>> tenant_policies(const Settings& settings,
                                                  const std::vector<TenantSetting>& tenants);

class KeyFile {
 public:
  // All outlive it. The ledger has kTenantsMax groups.
  KeyFile(const Settings* settings, Tenants* tenants, Ledger* ledger, const Clock* clock)
      : settings_(settings), tenants_(tenants), ledger_(ledger), clock_(clock) {}

  bool exists() const { return !settings_->tenants_file.empty(); }
  Result<TenantsLoaded> load();  // what the settings held at start
  // Reads the file again. A bad one changes nothing; either way it is logged in one line and counted.
  // REQUIRES: exists().
  Result<TenantsLoaded> reload();

 private:
  Result<TenantsLoaded> take(const std::vector<TenantSetting>& tenants);
  Result<TenantsLoaded> read_and_take();

  const Settings* const settings_;
  Tenants* const tenants_;
  Ledger* const ledger_;
  const Clock* const clock_;
  std::mutex mutex_;
};

}  // namespace weir
