// Pressure: how close this process is to being killed for want of memory, or to hurting its machine.
//
// Owner: the monitor thread; one thread at a time. It reads small files under an injected root and decides nothing;
// memory/monitor/governor does. Limits: 16 cgroup mounts, 1 MiB of any file. Errors: a file that is missing, empty
// or nonsense makes its source unknown and the others decide; unknown is never "no room" and never "room enough".
//
// Two kinds of source. A *limit* has room in bytes, and whoever runs out of it is killed, throttled or swapped: the
// cgroup limits of this process and of every ancestor, and what the machine has available. A *sign* has none: time
// that tasks stall for memory (PSI), and resident memory above the plan. A sign may ask for less work, never for
// requests to be refused or cancelled: the machine may suffer for somebody else's reasons.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "memory/monitor/cgroup.h"
#include "memory/monitor/host_facts.h"

namespace weir {

// Room that is to stay free where --memory-reserve gives none: 4 % of the limit, at least 64 MiB, at most 2 GiB,
// and never more than an eighth of a small limit.
uint64_t default_reserve_bytes(uint64_t limit_bytes);

struct PressureOptions {
  std::string root = "/";      // tests give a directory with its own proc/ and sys/
  uint64_t reserve_bytes = 1;  // > 0
};

// Every level is in [0, 1]. A limit: 0 with at least two reserves of room, 0.5 with one, 1 with none. PSI, from its
// ten-second averages: 0.5 when some task stalls 20 % of the time or all do 10 %, 1 at twice that (systemd-oomd, as
// a comparison, kills at 60 % of `full`: oomd.conf(5), DefaultMemoryPressureLimit). Resident memory: 0 within the
// plan, 0.5 right above it, 1 one reserve above it.
struct PressureReading {
  double limit_level = 0;              // the tightest limit's
  double sign_level = 0;               // the worst sign's
  std::optional<uint64_t> room_bytes;  // of the tightest limit; nothing: no limit is known
  std::string source = "unknown";      // who decides: a file, printable ASCII; "unknown" when nothing could be read
  double level() const { return limit_level > sign_level ? limit_level : sign_level; }
};

class PressureReader {
 public:
  explicit PressureReader(PressureOptions options);

  // facts: read under the same root just now. plan_bytes: what the plan promises in all; 0: not known.
  PressureReading read(const HostFacts& facts, uint64_t plan_bytes);

 private:
  void follow_cgroup();  // reads the mounts again only when /proc/self/cgroup changed
  void read_group(const CgroupDir& dir);
  void read_stalls();
  void add_limit(uint64_t limit, uint64_t used, const std::string& source);
  void add_room(uint64_t room, const std::string& source);
  void add_sign(double level, const std::string& source);

  const PressureOptions options_;
  std::string groups_text_;  // of /proc/self/cgroup, as chain_ was made from it
  std::vector<CgroupDir> chain_;
  PressureReading reading_;  // being made
  std::string limit_source_, sign_source_;
};

}  // namespace weir
