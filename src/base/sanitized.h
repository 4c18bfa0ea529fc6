// Whether this is a build with sanitizers, for tests: their memory is in no plan, and what they watch is slow.
#pragma once

namespace weir {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

// Of many like cases, a test takes every so many-th.
inline constexpr int kSanitizedStride = kSanitized ? 8 : 1;

}  // namespace weir
