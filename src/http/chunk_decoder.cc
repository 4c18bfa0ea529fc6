#include "http/chunk_decoder.h"

#include <algorithm>

namespace weir::http {
namespace {

constexpr size_t kSizeDigitsMax = 15;  // 60 bits: no overflow, and no line of zeros without end

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_control(char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; }

}  // namespace

ChunkDecoder::Step ChunkDecoder::step(std::string_view bytes) {
  size_t i = 0;
  while (i < bytes.size() && outcome_ == Outcome::kMore) {
    if (at_ != At::kData) {
      take(bytes[i++]);
      continue;
    }
    const size_t take_bytes = static_cast<size_t>(std::min<uint64_t>(size_, bytes.size() - i));
    size_ -= take_bytes;
    if (size_ == 0) at_ = At::kDataEnd;
    return {i + take_bytes, bytes.substr(i, take_bytes)};
  }
  return {i, {}};
}

void ChunkDecoder::take(char c) {
  const bool cr = c == '\r', lf = c == '\n';
  switch (at_) {
    case At::kSize:
      return take_size(c);
    case At::kExtension:
      if (cr) {
        at_ = At::kSizeEnd;
      } else if (is_control(c) || ++extra_bytes_ > kChunkExtensionBytesMax) {
        fail(Outcome::kMalformed);
      }
      return;
    case At::kSizeEnd:
      return lf ? end_of_size() : fail(Outcome::kMalformed);
    case At::kDataEnd:
      at_ = At::kDataEndFeed;
      return cr ? void() : fail(Outcome::kMalformed);
    case At::kDataEndFeed:
      at_ = At::kSize;
      return lf ? void() : fail(Outcome::kMalformed);
    case At::kTrailerStart:
      return take_trailer_byte(c, cr ? At::kEnd : At::kTrailer);
    case At::kTrailer:
      return take_trailer_byte(c, cr ? At::kTrailerEnd : At::kTrailer);
    case At::kTrailerEnd:
      at_ = At::kTrailerStart;
      return lf ? void() : fail(Outcome::kMalformed);
    case At::kEnd:
      return fail(lf ? Outcome::kDone : Outcome::kMalformed);
    case At::kData:
      return;  // step() takes data itself
  }
}

void ChunkDecoder::take_size(char c) {
  const int digit = hex_value(c);
  if (digit >= 0) {
    size_ = size_ * 16 + static_cast<uint64_t>(digit);
    if (++size_digits_ > kSizeDigitsMax) fail(Outcome::kMalformed);
  } else if (size_digits_ > 0 && c == ';') {
    at_ = At::kExtension;
  } else if (size_digits_ > 0 && c == '\r') {
    at_ = At::kSizeEnd;
  } else {
    fail(Outcome::kMalformed);
  }
}

void ChunkDecoder::end_of_size() {
  extra_bytes_ = size_digits_ = 0;
  at_ = size_ == 0 ? At::kTrailerStart : At::kData;
  if (size_ > body_bytes_left_) return fail(Outcome::kTooLarge);
  body_bytes_left_ -= size_;
}

void ChunkDecoder::take_trailer_byte(char c, At next) {
  at_ = next;
  const bool line_goes_on = next == At::kTrailer;
  if ((line_goes_on && is_control(c)) || ++extra_bytes_ > kTrailerBytesMax) fail(Outcome::kMalformed);
}

}  // namespace weir::http
