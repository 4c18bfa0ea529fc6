#include "server/browser_rules.h"

namespace weir {

// What it listens on is a name of its own; "0.0.0.0" is one that no client sends.
BrowserRules browser_rules(const Settings& settings) {
  BrowserRules rules{.hosts = settings.allowed_hosts,
                     .origins = settings.allow_origins,
                     .methods = settings.allow_methods,
                     .headers = settings.allow_headers,
                     .credentials = settings.allow_credentials};
  rules.hosts.push_back(settings.server_name);
  return rules;
}

}  // namespace weir
