#include "kernels/cpu/isa.h"

#include <cstdlib>

#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace weir::cpu {
namespace {

#if defined(__x86_64__)
// __builtin_cpu_supports also checks XGETBV: the OS must save the wide registers.
bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}
bool has_vnni() { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }
#else
bool has_avx2() { return false; }
bool has_avx512() { return false; }
bool has_vnni() { return false; }
#endif

#if defined(__aarch64__)
constexpr unsigned long kHwcapDotProduct = 1ul << 20;  // HWCAP_ASIMDDP of the Linux ABI
constexpr unsigned long kHwcap2Matrix = 1ul << 13;     // HWCAP2_I8MM
bool has_neon_dot() { return (getauxval(AT_HWCAP) & kHwcapDotProduct) != 0; }
bool has_neon_matrix() { return has_neon_dot() && (getauxval(AT_HWCAP2) & kHwcap2Matrix) != 0; }
#else
bool has_neon_dot() { return false; }
bool has_neon_matrix() { return false; }
#endif

}  // namespace

std::vector<const KernelTable*> usable_tables() {
  std::vector<const KernelTable*> tables;
  const auto add = [&](const KernelTable* table, bool runs) {
    if (table != nullptr && runs) tables.push_back(table);
  };
  add(avx512vnni_table(), has_vnni());
  add(avx512_table(), has_avx512());
  add(avx2_table(), has_avx2());
  add(neoni8mm_table(), has_neon_matrix());
  add(neon_table(), has_neon_dot());
  add(scalar_table(), true);
  return tables;
}

Result<const KernelTable*> choose_table(std::string_view wanted) {
  const char* forced = std::getenv("WEIR_ISA");
  if (forced != nullptr && *forced != '\0') wanted = forced;
  std::string names;
  for (const KernelTable* table : usable_tables()) {
    if (wanted.empty() || wanted == table->isa) return table;
    names += (names.empty() ? "" : ", ") + std::string(table->isa);
  }
  return invalid_argument("instruction set \"" + std::string(wanted.substr(0, 32)) +
                          "\" is unknown or absent on this CPU: use one of " + names);
}

}  // namespace weir::cpu
