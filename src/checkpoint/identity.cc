#include "checkpoint/identity.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>
#include <vector>

#include "base/files.h"
#include "base/units.h"

namespace weir {
namespace {

constexpr uint64_t kConfigBytesMax = 1 * kMiB;  // as checkpoint/model_spec.h reads it
constexpr uint64_t kSampleBytes = 4 * kKiB;
constexpr uint64_t kSliceBytes = 1 * kMiB;  // hashed at a time, so that a large header is not copied whole
// Two ticks of a kernel at 100 Hz: the grain of the times that it writes into inodes.
constexpr std::chrono::nanoseconds kTick = std::chrono::milliseconds(20);

// A chain: each part is hashed with its length and with the digest before it, so that no two lists of parts agree.
class Chain {
 public:
  void add(std::string_view part) {
    std::string text(reinterpret_cast<const char*>(digest_.data()), digest_.size());
    text += std::to_string(part.size()) + ":";
    text += part;
    digest_ = sha256(text);
  }
  void add_long(std::string_view part) {
    add(std::to_string(part.size()));
    for (; !part.empty(); part.remove_prefix(std::min<size_t>(part.size(), kSliceBytes))) add(part.substr(0, kSliceBytes));
  }
  const Sha256& digest() const { return digest_; }

 private:
  Sha256 digest_{};
};

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void wait_for_the_next_tick(const FileFacts& facts) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto age = now - std::chrono::nanoseconds(facts.changed_ns);
  if (age >= age.zero() && age < kTick) std::this_thread::sleep_for(kTick - age);
}

Status add_file(const WeightFile& file, Chain* chain) {
  Result<FileFacts> facts = file.facts_now();
  if (facts.ok()) {
    wait_for_the_next_tick(*facts);
    facts = file.facts_now();
  }
  if (!facts.ok()) return facts.status();
  const size_t slash = file.path().rfind('/');
  chain->add(file.path().substr(slash == std::string::npos ? 0 : slash + 1));
  chain->add(fmt::format("{} {} {} {}", facts->bytes, facts->inode, facts->modified_ns, facts->changed_ns));
  return ok_status();
}

}  // namespace

Result<Sha256> checkpoint_sample(const Checkpoint& checkpoint) {
  Chain chain;
  for (const auto& file : checkpoint.files()) {
    WEIR_RETURN_IF_ERROR(file->check_unchanged());
    WEIR_ASSIGN_OR_RETURN(const std::vector<std::byte> header, read_header(*file));
    chain.add_long(text_of(header));
  }
  std::array<std::byte, kSampleBytes> buffer;
  for (const StoredTensor& tensor : checkpoint.tensors()) {
    const uint64_t count = std::min(tensor.bytes, kSampleBytes);
    const auto sample = std::span(buffer).first(count);
    WEIR_RETURN_IF_ERROR(checkpoint.read(tensor, (tensor.bytes - count) / 2, sample));
    chain.add(text_of(sample));
  }
  return chain.digest();
}

Result<Sha256> checkpoint_identity(const std::string& model_dir, const Checkpoint& checkpoint) {
  Chain chain;
  WEIR_ASSIGN_OR_RETURN(const std::string config, read_small_file(model_dir + "/config.json", kConfigBytesMax));
  chain.add(config);
  for (const auto& file : checkpoint.files()) WEIR_RETURN_IF_ERROR(add_file(*file, &chain));
  WEIR_ASSIGN_OR_RETURN(const Sha256 sample, checkpoint_sample(checkpoint));
  chain.add({reinterpret_cast<const char*>(sample.data()), sample.size()});
  return chain.digest();
}

}  // namespace weir
