// browser_rules: the settings about hosts and origins as api/ wants them. Pure; main thread.
#pragma once

#include "api/browser.h"
#include "config/settings.h"

namespace weir {

BrowserRules browser_rules(const Settings& settings);

}  // namespace weir
