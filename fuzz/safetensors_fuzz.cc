// Fuzzes everything of checkpoint/ that reads bytes from outside: the first byte chooses the parser.
//   h  a safetensors file: length, header, data
//   t  a data size (one byte), then header text: reaches past the length field at once
//   c  config.json, and after a NUL byte generation_config.json
//   i  model.safetensors.index.json
// Seeds in fuzz/corpus/safetensors are written by hand; "t0" means 48 bytes of data, the code of '0'.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/check.h"
#include "checkpoint/model_spec.h"
#include "checkpoint/safetensors_header.h"
#include "checkpoint/shard_index.h"

namespace {

void one_line(const weir::Status& status) {
  WEIR_CHECK(!status.message().empty() && status.message().size() < 1024);
  WEIR_CHECK(status.message().find('\n') == std::string::npos);
}

void fuzz_header(std::span<const std::byte> file, uint64_t file_bytes) {
  const auto entries = weir::parse_header(file, file_bytes);
  if (!entries.ok()) return one_line(entries.status());
  uint64_t at = entries->empty() ? file_bytes : entries->front().begin;
  for (const weir::TensorEntry& entry : *entries) {
    WEIR_CHECK(entry.begin == at && entry.begin <= entry.end && entry.end <= file_bytes);
    at = entry.end;
  }
  WEIR_CHECK(at == file_bytes);
}

void fuzz_header_text(std::string_view text) {
  if (text.empty()) return;
  const auto data_bytes = static_cast<unsigned char>(text.front());
  text.remove_prefix(1);
  std::string file;
  for (int i = 0; i < 8; ++i) file += static_cast<char>(static_cast<uint64_t>(text.size()) >> (8 * i));
  file += text;
  fuzz_header(std::as_bytes(std::span(file)), file.size() + data_bytes);
}

void fuzz_config(std::string_view text) {
  const size_t cut = std::min(text.find('\0'), text.size());
  const std::string_view generation = cut < text.size() ? text.substr(cut + 1) : std::string_view();
  const auto spec = weir::parse_config(text.substr(0, cut), generation);
  if (!spec.ok()) return one_line(spec.status());
  WEIR_CHECK(spec->heads % spec->kv_heads == 0 && spec->head_dim % 2 == 0);
  for (const float frequency : weir::rope_inverse_frequencies(*spec)) WEIR_CHECK(frequency > 0 && frequency <= 1);
  if (spec->layers <= 8) WEIR_CHECK(weir::weight_bytes(*spec, weir::DType::kF32) < uint64_t{1} << 62);
}

void fuzz_index(std::string_view text) {
  const auto index = weir::parse_shard_index(text, "index");
  if (!index.ok()) return one_line(index.status());
  for (const auto& entry : index->entries) {
    WEIR_CHECK(entry.file < index->files.size() && index->files[entry.file].find('/') == std::string::npos);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0]) {
    case 'h':
      fuzz_header(std::as_bytes(std::span(text)), text.size());
      break;
    case 't':
      fuzz_header_text(text);
      break;
    case 'c':
      fuzz_config(text);
      break;
    case 'i':
      fuzz_index(text);
      break;
    default:
      break;
  }
  return 0;
}
