// Fuzz target: a template and its JSON context, split at the first NUL byte. Small limits keep every input fast,
// and nothing a template does may crash, leak, overflow or run on. The first byte chooses whether lists may be
// changed.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "text/jinja/engine.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  weir::jinja::Options options;
  options.limits = {.steps = 20'000, .output_bytes = size_t{64} << 10, .heap_bytes = size_t{1} << 20, .depth = 900};
  options.immutable = input[0] == 'i';
  options.now_seconds = 1'753'000'000;
  input.remove_prefix(1);
  const size_t split = input.find('\0');
  const std::string_view context = split == input.npos ? std::string_view("{}") : input.substr(split + 1);
  auto parsed = weir::jinja::Template::parse(input.substr(0, split));
  if (!parsed.ok()) return 0;
  (void)parsed->render(context, options);
  return 0;
}
