#include "device/host/host_device.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/log.h"
#include "base/units.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // Linux 5.14; an older kernel says EINVAL and pages are touched by hand
#endif

namespace weir {
namespace {

constexpr uint64_t kPageBytes = 4 * kKiB;
constexpr uint64_t kHugeBytes = 2 * kMiB;

class HostStream final : public Stream {};

// One field of /proc/meminfo in bytes; 0 where it cannot be read. No allocation: the pressure monitor polls it.
uint64_t meminfo_bytes(const char* field) {
  const int fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  char text[4096];
  const ssize_t got = read(fd, text, sizeof(text) - 1);
  close(fd);
  if (got <= 0) return 0;
  text[got] = '\0';
  const char* at = std::strstr(text, field);
  return at == nullptr ? 0 : std::strtoull(at + std::strlen(field), nullptr, 10) * kKiB;
}

Status exhausted(uint64_t wanted, uint64_t available) {
  return Status(Code::kResourceExhausted,
                "cannot reserve " + format_bytes(wanted) + " of memory: " + format_bytes(available) +
                    " are available; lower the memory settings or free memory",
                "device_memory");
}

// Pages beyond the committed end are PROT_NONE, so the kernel cannot back them with the rest of a huge page.
uint64_t committed_bytes(uint64_t bytes) { return round_up(bytes, kPageBytes); }

void touch_pages(char* begin, uint64_t bytes) {
  for (uint64_t at = 0; at < bytes; at += kPageBytes) {
    volatile char* page = begin + at;
    *page = 0;
  }
}

// Pages in [begin, begin + bytes) exist afterwards.
Status populate(char* begin, uint64_t bytes) {
  if (bytes == 0) return ok_status();
  if (madvise(begin, bytes, MADV_POPULATE_WRITE) == 0) return ok_status();
  if (errno != EINVAL) return exhausted(bytes, meminfo_bytes("MemAvailable:"));
  touch_pages(begin, bytes);
  return ok_status();
}

std::string lock_limit_text() {
  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return "RLIMIT_MEMLOCK is too low";
  if (limit.rlim_cur == RLIM_INFINITY) return "RLIMIT_MEMLOCK is unlimited, so the memory itself is short";
  return "RLIMIT_MEMLOCK allows this process " + format_bytes(limit.rlim_cur) + " in all";
}

// EPERM: the limit is zero; ENOMEM: beyond it; EAGAIN: some pages could not be locked.
Status lock_failed(uint64_t bytes, int error) {
  return Status(Code::kResourceExhausted,
                "--mlock: cannot lock " + format_bytes(bytes) + " of memory (" + std::strerror(error) + "): " +
                    lock_limit_text() +
                    "; raise it (ulimit -l unlimited, LimitMEMLOCK=infinity in a systemd unit, --ulimit memlock=-1 "
                    "with docker) or leave --mlock out",
                "mlock");
}

}  // namespace

Result<std::unique_ptr<Stream>> HostDevice::make_stream() {
  return std::unique_ptr<Stream>(std::make_unique<HostStream>());
}

void HostDevice::copy_to_device(Stream&, DevicePtr dst, const void* src, uint64_t bytes) {
  if (bytes != 0) std::memcpy(host_ptr<void>(dst), src, bytes);
}
void HostDevice::copy_to_host(Stream&, void* dst, DevicePtr src, uint64_t bytes) {
  if (bytes != 0) std::memcpy(dst, host_ptr<void>(src), bytes);
}
void HostDevice::copy_within(Stream&, DevicePtr dst, DevicePtr src, uint64_t bytes) {
  if (bytes != 0) std::memcpy(host_ptr<void>(dst), host_ptr<void>(src), bytes);
}
void HostDevice::fill_zero(Stream&, DeviceSpan span) {
  if (span.bytes != 0) std::memset(host_ptr<void>(span.data), 0, span.bytes);
}
Status HostDevice::synchronize(Stream&) { return ok_status(); }

uint64_t HostDevice::memory_free_bytes() const { return meminfo_bytes("MemAvailable:"); }
uint64_t HostDevice::memory_total_bytes() const { return meminfo_bytes("MemTotal:"); }

Result<DevicePtr> HostDevice::map(uint64_t bytes, uint64_t bytes_max) {
  const uint64_t available = meminfo_bytes("MemAvailable:");
  if (available != 0 && bytes > available) return exhausted(bytes, available);
  // Huge pages need a 2 MiB aligned start, which mmap does not promise: map more, give the margins back.
  const uint64_t space = committed_bytes(bytes_max);
  const bool huge = space >= kHugeBytes;
  const uint64_t margin = huge ? kHugeBytes : 0;
  if (space < bytes_max || space + margin < space) return exhausted(bytes_max, available);
  void* raw = mmap(nullptr, space + margin, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (raw == MAP_FAILED) return exhausted(bytes_max, available);
  char* begin = static_cast<char*>(raw);
  if (huge) {
    char* aligned =
        begin + (round_up(reinterpret_cast<uintptr_t>(raw), kHugeBytes) - reinterpret_cast<uintptr_t>(raw));
    const uint64_t front = static_cast<uint64_t>(aligned - begin);
    if (front != 0) munmap(begin, front);
    if (margin != front) munmap(aligned + space, margin - front);
    begin = aligned;
    madvise(begin, space, MADV_HUGEPAGE);  // fewer TLB misses while weights stream; a refusal costs speed only
  }
  spread(begin, space);  // before any page exists
  const DevicePtr base = device_ptr_of(begin);
  const Status committed = remap(base, 0, bytes);
  if (!committed.ok()) {
    munmap(begin, space);
    return committed;
  }
  return base;
}

// The raw call: libnuma would be a library for one line. mbind(2): mode, mask of nodes, bits in the mask plus one.
void HostDevice::spread(char* begin, uint64_t bytes) const {
  if (options_.nodes.size() < 2 || bytes == 0) return;
  constexpr int kInterleave = 3;  // MPOL_INTERLEAVE
  constexpr size_t kWordBits = 8 * sizeof(unsigned long);
  std::array<unsigned long, kNumaNodesMax / kWordBits> mask{};
  for (const int node : options_.nodes) {
    WEIR_CHECK(node >= 0 && node < kNumaNodesMax);
    mask[static_cast<size_t>(node) / kWordBits] |= 1ul << (static_cast<size_t>(node) % kWordBits);
  }
  if (syscall(SYS_mbind, begin, bytes, kInterleave, mask.data(), kNumaNodesMax + 1, 0) == 0) return;
  static std::atomic<bool> said{false};
  if (!said.exchange(true)) {
    log_warning("memory", std::string("memory cannot be spread over the NUMA nodes (mbind: ") + std::strerror(errno) +
                              "); all of it may lie on one of them");
  }
}

Status HostDevice::remap(DevicePtr base, uint64_t bytes_old, uint64_t bytes_new) {
  char* begin = host_ptr<char>(base);
  const uint64_t from = committed_bytes(bytes_old);
  const uint64_t to = committed_bytes(bytes_new);
  if (to < from) {
    give_back(begin + to, from - to);
    std::memset(begin + bytes_new, 0, to - bytes_new);  // a later growth finds zeros in the last page too
    return ok_status();
  }
  if (to == from) {
    if (bytes_new < bytes_old) std::memset(begin + bytes_new, 0, bytes_old - bytes_new);
    return ok_status();
  }
  const uint64_t available = meminfo_bytes("MemAvailable:");
  if (available != 0 && to - from > available) return exhausted(to - from, available);
  if (mprotect(begin + from, to - from, PROT_READ | PROT_WRITE) != 0) return exhausted(to - from, available);
  const Status committed = commit(begin + from, to - from);
  if (!committed.ok()) give_back(begin + from, to - from);
  return committed;
}

Status HostDevice::commit(char* begin, uint64_t bytes) const {
  WEIR_RETURN_IF_ERROR(populate(begin, bytes));
  if (!options_.lock || mlock(begin, bytes) == 0) return ok_status();
  return lock_failed(bytes, errno);
}

// The kernel refuses to drop pages that are locked, so the lock goes first.
void HostDevice::give_back(char* begin, uint64_t bytes) const {
  if (options_.lock) munlock(begin, bytes);
  madvise(begin, bytes, MADV_DONTNEED);
  mprotect(begin, bytes, PROT_NONE);
}

void HostDevice::unmap(DevicePtr base, uint64_t bytes_max) {
  munmap(host_ptr<char>(base), committed_bytes(bytes_max));
}

}  // namespace weir
