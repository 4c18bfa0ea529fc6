#include "api/metrics_tenants.h"

#include <array>
#include <optional>
#include <span>
#include <vector>

namespace weir::api {
namespace {

constexpr size_t kReasons = static_cast<size_t>(Refusal::kCount);

struct NamedTenant {
  std::string label;  // {tenant="name"
  int32_t index;
};

void write_refusals(const FrontDoor& door, const std::vector<NamedTenant>& tenants, PromText* out) {
  std::array<std::string, kReasons> reasons;
  for (size_t i = 0; i < kReasons; ++i)
    reasons[i] = std::string(",reason=\"") + refusal_name(static_cast<Refusal>(i)) + "\"}";
  out->family("weir_tenant_refusals_total", "counter",
              "Requests refused, by tenant and reason; reasons that occurred.");
  for (const NamedTenant& tenant : tenants) {
    for (size_t i = 0; i < kReasons; ++i) {
      const uint64_t count = read(door.tenant_counters(tenant.index).refusals[i]);
      if (count > 0) out->sample_in_parts(count, tenant.label, reasons[i]);
    }
  }
}

// In pieces, so that requests are let in between two of them.
void write_buckets(const FrontDoor& door, Micros now_us, const std::vector<NamedTenant>& tenants, PromText* out) {
  out->family("weir_tenant_bucket_tokens", "gauge",
              "Tokens left of tokens_per_minute, below 0: debt; tenants with that limit.");
  std::array<std::optional<int64_t>, FrontDoor::kLevelsPerLock> levels;
  for (size_t begin = 0; begin < tenants.size(); begin += levels.size()) {
    const std::span piece(levels.data(), std::min(levels.size(), tenants.size() - begin));
    door.bucket_levels({tenants[begin].index, now_us}, piece);
    for (size_t i = 0; i < piece.size(); ++i) {
      if (piece[i]) out->sample_in_parts(*piece[i], tenants[begin + i].label, "}");
    }
  }
}

}  // namespace

// One line a tenant and family. Names come from the key file alone, so there are at most kTenantsMax of them.
void write_tenants(const ApiContext& context, PromText* out) {
  const FrontDoor& door = *context.door;
  const TenantBoard& board = context.gateway->tenants();
  const Ledger& ledger = *context.ledger;
  const auto names = context.tenants->names();
  std::vector<NamedTenant> tenants;
  tenants.reserve(names->size());
  for (const std::string& name : *names) {
    tenants.push_back({"{tenant=\"" + name + "\"", static_cast<int32_t>(tenants.size())});
  }
  const auto each = [&](std::string_view name, std::string_view type, std::string_view help, auto write) {
    out->family(name, type, help);
    for (const NamedTenant& tenant : tenants) write(tenant, board.gauges[static_cast<size_t>(tenant.index)]);
  };
  each("weir_tenant_admitted_total", "counter", "Sequences admitted, by tenant.",
       [&](const NamedTenant& t, const TenantGauges&) {
         out->sample_in_parts(read(door.tenant_counters(t.index).admitted), t.label, "}");
       });
  write_refusals(door, tenants, out);
  each("weir_tenant_tokens_total", "counter", "Tokens served, by tenant.",
       [&](const NamedTenant& t, const TenantGauges& gauges) {
         out->sample_in_parts(read(gauges.prompt_tokens), t.label, ",kind=\"prompt\"}");
         out->sample_in_parts(read(gauges.output_tokens), t.label, ",kind=\"output\"}");
       });
  each("weir_tenant_running", "gauge", "Sequences that run, by tenant.",
       [&](const NamedTenant& t, const TenantGauges& gauges) {
         out->sample_in_parts(not_negative(read(gauges.running)), t.label, "}");
       });
  each("weir_tenant_waiting", "gauge", "Sequences that wait, by tenant.",
       [&](const NamedTenant& t, const TenantGauges& gauges) {
         out->sample_in_parts(not_negative(read(gauges.waiting)), t.label, "}");
       });
  write_buckets(door, context.clock->now_us(), tenants, out);
  each("weir_tenant_host_bytes", "gauge", "Host bytes that the tenant's requests hold.",
       [&](const NamedTenant& t, const TenantGauges&) {
         if (t.index < ledger.options().groups) out->sample_in_parts(ledger.group_used(t.index), t.label, "}");
       });
  out->family("weir_tenant_reloads_total", "counter",
              "Times that the key file was read again, by what came of it.");
  out->labelled("result", "ok", context.tenants->reloads(true));
  out->labelled("result", "refused", context.tenants->reloads(false));
}

}  // namespace weir::api
