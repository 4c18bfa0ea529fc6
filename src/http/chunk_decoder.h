// ChunkDecoder: the chunked coding of RFC 9112 section 7.1, one byte at a time, so that the outcome cannot depend
// on how the network cut the bytes and nothing has to be buffered. Extensions and trailers are read and dropped.
//
// Owner: a RequestParser. Thread: its. Limits: the body limit, kChunkExtensionBytesMax, kTrailerBytesMax.
// Stricter than the RFC where leniency has been used for smuggling: no space after the size, no bare line feeds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace weir::http {

inline constexpr size_t kChunkExtensionBytesMax = 256;  // per chunk
inline constexpr size_t kTrailerBytesMax = 4096;        // all together

class ChunkDecoder {
 public:
  enum class Outcome { kMore, kDone, kMalformed, kTooLarge };

  explicit ChunkDecoder(uint64_t body_bytes_max) : body_bytes_left_(body_bytes_max) {}

  struct Step {
    size_t consumed;        // > 0 unless `bytes` was empty or the outcome is final
    std::string_view data;  // a part of `bytes`; empty when only framing was read
  };
  // Reads on to the end of the next piece of data, the end of the body, a mistake, or the end of `bytes`.
  Step step(std::string_view bytes);
  Outcome outcome() const { return outcome_; }

 private:
  enum class At {
    kSize,
    kExtension,
    kSizeEnd,
    kData,
    kDataEnd,
    kDataEndFeed,
    kTrailerStart,
    kTrailer,
    kTrailerEnd,
    kEnd
  };

  void take(char c);
  void take_size(char c);
  void take_trailer_byte(char c, At next);
  void end_of_size();
  void fail(Outcome outcome) { outcome_ = outcome; }

  uint64_t body_bytes_left_;
  uint64_t size_ = 0;  // of the chunk; in kData, what is left of it
  size_t size_digits_ = 0;
  size_t extra_bytes_ = 0;  // of the extension or the trailers
  At at_ = At::kSize;
  Outcome outcome_ = Outcome::kMore;
};

}  // namespace weir::http
