#include "model/weight_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "base/check.h"
#include "base/units.h"
#include "checkpoint/model_name.h"
#include "model/chunk_team.h"
#include "model/weight_cache_folder.h"

namespace weir {
namespace {

constexpr uint64_t kTablePlace = ~uint64_t{0} - 1;  // as a seed: beyond every chunk
constexpr size_t kStemBytes = 64;                   // of the model's name in the file's

using Table = std::vector<uint64_t>;  // digests of the chunks, then zeros up to a page

uint64_t chunk_begin(uint64_t index) { return index * kCacheChunkBytes; }
uint64_t chunk_size(uint64_t index, uint64_t bytes) { return std::min(kCacheChunkBytes, bytes - chunk_begin(index)); }
uint64_t weights_offset(uint64_t bytes) { return kCachePageBytes + cache_table_bytes(bytes); }

// A file whose first page, size and table are right.
struct OpenCache {
  Descriptor file;
  Table table;
};

Status check_size(uint64_t found, uint64_t wanted) {
  if (found == wanted) return ok_status();
  if (found < wanted) return data_loss(fmt::format("it is cut short: {} of {} bytes", found, wanted));
  return data_loss(fmt::format("it has {} bytes more than it should", found - wanted));
}

Result<OpenCache> open_cache(const WeightCachePlace& place, const WeightCacheKey& key) {
  WEIR_ASSIGN_OR_RETURN(const Descriptor folder, open_cache_folder(place.folder));
  uint64_t size = 0;
  WEIR_ASSIGN_OR_RETURN(Descriptor file, open_cache_file(folder, place.file, &size));
  CachePage page;
  WEIR_RETURN_IF_ERROR(read_at(file, 0, std::span(page).first(std::min<uint64_t>(size, page.size()))));
  WEIR_ASSIGN_OR_RETURN(const WeightCacheHeader header,
                        parse_cache_page(std::span<const std::byte>(page).first(std::min<uint64_t>(size, page.size()))));
  WEIR_RETURN_IF_ERROR(compare_cache_keys(header.key, key));
  if (header.chunk_bytes != kCacheChunkBytes) return data_loss("it was written by another version of weir");
  WEIR_RETURN_IF_ERROR(check_size(size, cache_file_bytes(key.bytes)));
  OpenCache out{std::move(file), Table(cache_table_bytes(key.bytes) / sizeof(uint64_t))};
  const auto table = std::as_writable_bytes(std::span(out.table));
  WEIR_RETURN_IF_ERROR(read_at(out.file, kCachePageBytes, table));
  if (cache_digest(table, kTablePlace) != header.table_digest) return data_loss("its table of digests is damaged");
  return out;
}

// Letters, digits, dots, dashes and underscores of the directory's name, or of the model's where it is a snapshot;
// the rest is in the digest.
std::string stem_of(const std::filesystem::path& model_dir) {
  std::string name = snapshot_name_of(model_dir.string()), stem;
  if (name.empty()) name = model_dir.filename().string();
  for (const char c : name.substr(0, kStemBytes)) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
    stem += plain ? c : '_';
  }
  return stem.empty() || stem.front() == '.' ? "model" + stem : stem;
}

}  // namespace

std::string weight_cache_file(const std::string& model_dir, const std::string& format, const std::string& isa) {
  std::error_code ignored;
  std::filesystem::path path = std::filesystem::canonical(model_dir, ignored);
  if (ignored) path = model_dir;
  const std::string digest = hex_of(sha256(path.string())).substr(0, 16);
  return fmt::format("{}-{}-{}-{}.weights", stem_of(path), format, isa, digest);
}

Status check_weight_cache(const WeightCachePlace& place, const WeightCacheKey& key) {
  return open_cache(place, key).status();
}

Status read_weight_cache(const WeightCachePlace& place, const WeightCacheKey& key, std::span<std::byte> into,
                         const WeightCacheRun& run) {
  WEIR_CHECK(into.size() == key.bytes);
  WEIR_ASSIGN_OR_RETURN(const OpenCache cache, open_cache(place, key));
  const uint64_t chunks = cache_chunks(key.bytes);
  const auto read_chunk = [&](uint64_t index) {
    const auto chunk = into.subspan(chunk_begin(index), chunk_size(index, key.bytes));
    WEIR_RETURN_IF_ERROR(read_at(cache.file, weights_offset(key.bytes) + chunk_begin(index), chunk));
    if (cache_digest(chunk, index) == cache.table[index]) return ok_status();
    return data_loss(fmt::format("its piece {} of {} is damaged", index + 1, chunks));
  };
  // All but the last one are whole pages at whole pages of the file, which can come straight from the disk.
  const bool aligned = reinterpret_cast<uintptr_t>(into.data()) % kCachePageBytes == 0;
  const bool direct = aligned && read_past_page_cache(cache.file, true);
  const ChunkTeam team{.threads = run.threads, .progress = run.progress};
  Status status = team.run(chunks - 1, read_chunk);
  if (direct) {
    read_past_page_cache(cache.file, false);
    // Whatever the disk has against it: once more, as any file is read. A damaged file fails again.
    if (!status.ok()) status = team.run(chunks - 1, read_chunk);
  }
  return status.ok() ? read_chunk(chunks - 1) : status;
}

Status write_weight_cache(const WeightCachePlace& place, const WeightCacheKey& key, std::span<const std::byte> bytes,
                          const WeightCacheRun& run) {
  WEIR_CHECK(bytes.size() == key.bytes);
  WEIR_ASSIGN_OR_RETURN(const Descriptor folder, open_cache_folder(place.folder));
  UnfinishedFile::sweep(folder);
  WEIR_ASSIGN_OR_RETURN(UnfinishedFile file, UnfinishedFile::create(folder, place.file, cache_file_bytes(key.bytes)));
  Table table(cache_table_bytes(key.bytes) / sizeof(uint64_t));
  const ChunkTeam team{.threads = run.threads, .progress = run.progress};
  WEIR_RETURN_IF_ERROR(team.run(cache_chunks(key.bytes), [&](uint64_t index) {
    const auto chunk = bytes.subspan(chunk_begin(index), chunk_size(index, key.bytes));
    table[index] = cache_digest(chunk, index);
    return write_at(file.descriptor(), weights_offset(key.bytes) + chunk_begin(index), chunk);
  }));
  const auto table_bytes = std::as_bytes(std::span(table));
  WEIR_RETURN_IF_ERROR(write_at(file.descriptor(), kCachePageBytes, table_bytes));
  const CachePage page = write_cache_page({.key = key, .table_digest = cache_digest(table_bytes, kTablePlace)});
  WEIR_RETURN_IF_ERROR(write_at(file.descriptor(), 0, page));
  return file.commit();
}

}  // namespace weir
