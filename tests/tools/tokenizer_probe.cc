// tokenizer_probe: the tokeniser as a filter, so that another implementation can be compared with it.
//
//   tokenizer_probe PATH          PATH: a tokenizer.json or a model repository. Reads records from stdin.
//   tokenizer_probe PATH FILE     encodes FILE whole, five times, and prints the best speed (of CPU time).
//
// A record is one byte of kind, four bytes of length (little-endian) and the content. 'T': text; answers
//   ids without special tokens / ids with them / ids with special tokens read as text / decode of the second,
//   keeping and skipping special tokens, in hex / "ok" if streaming gave the same two texts.
// 'I': ids of four bytes each; answers the last three of these lines.
// 'S': ids of four bytes each; answers how many bytes a stream that skips special tokens has given after each.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "text/detokenizer.h"
#include "text/tokenizer.h"

namespace weir {
namespace {

using Ids = std::vector<int32_t>;

void print_ids(const Result<Ids>& ids) {
  std::string line;
  if (!ids.ok()) line = "error " + ids.status().message();
  else
    for (const int32_t id : *ids) line += std::to_string(id) + " ";
  std::puts(line.c_str());
}

void print_hex(const std::string& text) {
  std::string line;
  for (const char c : text) {
    char two[3];
    std::snprintf(two, sizeof(two), "%02x", static_cast<unsigned char>(c));
    line += two;
  }
  std::puts(line.c_str());
}

bool stream_equals(const Tokenizer& tokenizer, const Ids& ids, bool skip, const std::string& whole) {
  Detokenizer detokenizer(&tokenizer, skip);
  std::string text;
  for (const int32_t id : ids) {
    const size_t before = text.size();
    detokenizer.add(id, &text);
    // What came must stand by itself: it starts and ends at characters, and is a prefix of the whole.
    if (text.size() > before && (static_cast<unsigned char>(text[before]) & 0xC0) == 0x80) return false;
    if (whole.compare(0, text.size(), text) != 0) return false;
  }
  detokenizer.finish(&text);
  return text == whole;
}

void print_decodes(const Tokenizer& tokenizer, const Ids& ids) {
  const std::string kept = tokenizer.decode(ids, false);
  const std::string skipped = tokenizer.decode(ids, true);
  print_hex(kept);
  print_hex(skipped);
  const bool same = stream_equals(tokenizer, ids, false, kept) && stream_equals(tokenizer, ids, true, skipped);
  std::puts(same ? "ok" : "stream differs");
}

void print_stream(const Tokenizer& tokenizer, const Ids& ids) {
  Detokenizer detokenizer(&tokenizer);
  std::string text, line;
  for (const int32_t id : ids) {
    detokenizer.add(id, &text);
    line += std::to_string(text.size()) + " ";
  }
  std::puts(line.c_str());
}

void answer(const Tokenizer& tokenizer, char kind, const std::string& content) {
  if (kind != 'T') {
    Ids ids(content.size() / 4);
    std::memcpy(ids.data(), content.data(), ids.size() * 4);
    return kind == 'S' ? print_stream(tokenizer, ids) : print_decodes(tokenizer, ids);
  }
  const auto with = tokenizer.encode(content, true);
  print_ids(tokenizer.encode(content, false));
  print_ids(with);
  print_ids(tokenizer.encode(content, false, false));
  print_decodes(tokenizer, with.ok() ? *with : Ids{});
}

int serve(const Tokenizer& tokenizer) {
  char kind;
  while (std::cin.get(kind)) {
    uint32_t size = 0;
    if (!std::cin.read(reinterpret_cast<char*>(&size), 4)) return 1;
    std::string content(size, '\0');
    if (!std::cin.read(content.data(), size)) return 1;
    answer(tokenizer, kind, content);
  }
  return 0;
}

// This thread's own time, so that a busy machine disturbs the figure less.
double cpu_seconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

int measure(const Tokenizer& tokenizer, const char* path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  double best = 1e9;
  size_t count = 0;
  for (int i = 0; i < 5; ++i) {
    const double start = cpu_seconds();
    const auto ids = tokenizer.encode(text, false);
    best = std::min(best, cpu_seconds() - start);
    if (!ids.ok()) return std::fprintf(stderr, "%s\n", ids.status().message().c_str()), 1;
    count = ids->size();
  }
  std::printf("%zu bytes, %zu tokens, %.1f MB/s, tables %.1f MB\n", text.size(), count, text.size() / best / 1e6,
              tokenizer.memory_bytes() / 1e6);
  return 0;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  if (argc < 2) return std::fprintf(stderr, "usage: tokenizer_probe PATH [FILE]\n"), 2;
  const std::string path = argv[1];
  const double start = weir::cpu_seconds();
  auto tokenizer = path.ends_with(".json") ? weir::Tokenizer::load(path) : weir::Tokenizer::load_dir(path);
  if (!tokenizer.ok()) return std::fprintf(stderr, "%s\n", tokenizer.status().message().c_str()), 1;
  const double seconds = weir::cpu_seconds() - start;
  if (argc > 2) std::printf("loaded in %.0f ms; ", seconds * 1e3);
  return argc > 2 ? weir::measure(**tokenizer, argv[2]) : weir::serve(**tokenizer);
}
