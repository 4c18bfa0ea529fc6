// weir key [TENANT]: makes an API key, shows it once, and says what the key file keeps of it.
#include <cstdio>

#include "base/random_bytes.h"
#include "base/sha256.h"
#include "cli/commands.h"
#include "config/tenants_file.h"

namespace weir {
namespace {

// 256 random bits: nobody finds them from the digest.
std::string new_key() {
  Sha256 secret;
  fill_random(secret);
  return "weir-" + hex_of(secret);
}

int run_key(const ParsedCommand& command) {
  const std::string tenant = command.positional.empty() ? "NAME" : command.positional;
  if (!command.positional.empty() && !is_tenant_name(tenant)) {
    return report_error(invalid_argument("'" + tenant.substr(0, 64) +
                                         "' is no tenant's name; use a-z, 0-9, -, _ and ., "
                                         "up to 64 of them"),
                        kExitUsage);
  }
  const std::string key = new_key();
  std::printf(
      "key, shown once and kept nowhere:\n  %s\n\nfor the key file (weir serve --api-keys FILE.toml):\n"
      "  [[tenant]]\n  name = \"%s\"\n  keys = [\"sha256:%s\"]\n",
      key.c_str(), tenant.c_str(), hex_of(sha256(key)).c_str());
  return kExitOk;
}

}  // namespace

Command key_command() {
  return {{
              .name = "key",
              .about = "Makes an API key for a tenant: the key itself, and its hash for the key file.",
              .positional = "TENANT",
              .positional_help = "the tenant's name; without it the lines show NAME",
              .examples = {"weir key acme"},
          },
          run_key};
}

}  // namespace weir
