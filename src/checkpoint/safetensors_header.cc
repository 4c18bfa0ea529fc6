#include "checkpoint/safetensors_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "checkpoint/header_reader.h"
#include "checkpoint/json_fields.h"

namespace weir {
namespace {

struct DTypeRow {
  const char* name;
  unsigned bits;
};

// In the order of StoredDType. Sizes: safetensors/src/tensor.rs, `Dtype::bitsize`.
constexpr std::array<DTypeRow, 20> kDTypes = {
    {{"BOOL", 8},    {"U8", 8},   {"I8", 8},    {"U16", 16},    {"I16", 16},    {"U32", 32},    {"I32", 32},
     {"U64", 64},    {"I64", 64}, {"F4", 4},    {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"F8_E4M3", 8}, {"F8_E5M2", 8},
     {"F8_E8M0", 8}, {"F16", 16}, {"BF16", 16}, {"F32", 32},    {"F64", 64},    {"C64", 64}}};

Status bad_tensor(const TensorEntry& entry, std::string_view what) {
  return data_loss(fmt::format("tensor '{}': {}", printable(entry.name), what));
}

uint64_t little_endian_u64(std::span<const std::byte> bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < 8; ++i) value |= static_cast<uint64_t>(bytes[i]) << (8 * i);
  return value;
}

// RETURNS: the JSON text of the header.
Result<std::string_view> header_text(std::span<const std::byte> file, uint64_t file_bytes) {
  if (file_bytes < 8 || file.size() < 8)
    return data_loss("the file is truncated: shorter than its 8-byte header length");
  const uint64_t header_bytes = little_endian_u64(file);
  if (header_bytes > kHeaderBytesMax) {
    return data_loss(
        fmt::format("the header claims {} bytes, more than the {} allowed; is this a safetensors file?",
                    header_bytes, kHeaderBytesMax));
  }
  if (header_bytes > file_bytes - 8 || header_bytes > file.size() - 8) {
    return data_loss(fmt::format("the file is truncated: its header claims {} bytes and {} follow", header_bytes,
                                 file_bytes - 8));
  }
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + 8, header_bytes);
  if (!text.starts_with('{')) return data_loss("the header does not begin with '{'; is this a safetensors file?");
  return text;
}

Result<std::vector<TensorEntry>> read_entries(std::string_view text) {
  boost::json::basic_parser<HeaderReader> parser{boost::json::parse_options{}};
  boost::system::error_code error;
  const size_t used = parser.write_some(false, text.data(), text.size(), error);
  const std::string& problem = parser.handler().problem();
  if (error)
    return data_loss(problem.empty() ? fmt::format("the header is no valid JSON: {}", error.message()) : problem);
  // The format allows padding with spaces alone.
  if (text.find_first_not_of(" \n\r\t", used) != std::string_view::npos)
    return data_loss("the header has text after its object");
  return std::move(parser.handler().entries());
}

Status check_size(const TensorEntry& entry, uint64_t data_bytes) {
  if (entry.begin > entry.end) return bad_tensor(entry, "its range ends before it begins");
  if (entry.end > data_bytes) {
    return bad_tensor(
        entry, fmt::format("ends at byte {} of {} bytes of data: the file is truncated", entry.end, data_bytes));
  }
  uint64_t bits = stored_dtype_bits(entry.dtype);
  for (const int64_t extent : entry.shape) {
    if (__builtin_mul_overflow(bits, static_cast<uint64_t>(extent), &bits))
      return bad_tensor(entry, "its shape overflows 64 bits");
  }
  if (bits % 8 != 0 || bits / 8 != entry.end - entry.begin) {
    return bad_tensor(entry, fmt::format("its shape and dtype need {} bits and its range has {} bytes", bits,
                                         entry.end - entry.begin));
  }
  return ok_status();
}

// REQUIRES: entries sorted by range. The format forbids holes, so that no bytes hide in a file.
Status check_cover(const std::vector<TensorEntry>& entries, uint64_t data_bytes) {
  uint64_t at = 0;
  for (const TensorEntry& entry : entries) {
    if (entry.begin < at) return bad_tensor(entry, "overlaps another tensor");
    if (entry.begin > at)
      return bad_tensor(entry, fmt::format("a hole of {} bytes lies before it", entry.begin - at));
    at = entry.end;
  }
  if (at == data_bytes) return ok_status();
  return data_loss(fmt::format("{} bytes after the last tensor belong to none", data_bytes - at));
}

Status check_unique(const std::vector<TensorEntry>& entries) {
  std::vector<std::string_view> names;
  names.reserve(entries.size());
  for (const TensorEntry& entry : entries) names.push_back(entry.name);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  return twice == names.end() ? ok_status()
                              : data_loss(fmt::format("tensor '{}' is there twice", printable(*twice)));
}

}  // namespace

const char* stored_dtype_name(StoredDType dtype) { return kDTypes[static_cast<size_t>(dtype)].name; }
unsigned stored_dtype_bits(StoredDType dtype) { return kDTypes[static_cast<size_t>(dtype)].bits; }

std::optional<StoredDType> parse_stored_dtype(std::string_view name) {
  for (size_t i = 0; i < kDTypes.size(); ++i) {
    if (name == kDTypes[i].name) return static_cast<StoredDType>(i);
  }
  return {};
}

uint64_t header_end(std::span<const std::byte> front, uint64_t file_bytes) {
  if (front.size() < 8) return front.size();
  const uint64_t header_bytes = little_endian_u64(front);
  return header_bytes > kHeaderBytesMax ? 8 : std::min(8 + header_bytes, file_bytes);
}

Result<std::vector<TensorEntry>> parse_header(std::span<const std::byte> file, uint64_t file_bytes) {
  WEIR_ASSIGN_OR_RETURN(const std::string_view text, header_text(file, file_bytes));
  WEIR_ASSIGN_OR_RETURN(std::vector<TensorEntry> entries, read_entries(text));
  const uint64_t data_begin = 8 + text.size();
  const uint64_t data_bytes = file_bytes - data_begin;
  WEIR_RETURN_IF_ERROR(check_unique(entries));
  for (const TensorEntry& entry : entries) WEIR_RETURN_IF_ERROR(check_size(entry, data_bytes));
  std::sort(entries.begin(), entries.end(), [](const TensorEntry& a, const TensorEntry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  WEIR_RETURN_IF_ERROR(check_cover(entries, data_bytes));
  for (TensorEntry& entry : entries) {
    entry.begin += data_begin;
    entry.end += data_begin;
  }
  return entries;
}

}  // namespace weir
