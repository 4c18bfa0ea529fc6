// Whether this is a build with sanitizers, mostly for tests: their memory is in no plan, and what they watch is
// slow.
#pragma once

// gcc defines a macro of its own, clang answers when it is asked.
#if defined(__has_feature)
#define WEIR_HAS_FEATURE(feature) __has_feature(feature)
#else
#define WEIR_HAS_FEATURE(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || WEIR_HAS_FEATURE(address_sanitizer)
#define WEIR_ADDRESS_SANITIZER 1
#else
#define WEIR_ADDRESS_SANITIZER 0
#endif
#if defined(__SANITIZE_THREAD__) || WEIR_HAS_FEATURE(thread_sanitizer)
#define WEIR_THREAD_SANITIZER 1
#else
#define WEIR_THREAD_SANITIZER 0
#endif

namespace weir {

inline constexpr bool kAddressSanitized = WEIR_ADDRESS_SANITIZER;
inline constexpr bool kThreadSanitized = WEIR_THREAD_SANITIZER;
inline constexpr bool kSanitized = kAddressSanitized || kThreadSanitized;

// Of many like cases, a test takes every so many-th.
inline constexpr int kSanitizedStride = kSanitized ? 8 : 1;

}  // namespace weir
