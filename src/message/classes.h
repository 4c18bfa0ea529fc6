// PriorityClass: how urgent a request is against those of other classes.
//
// The list is configured at start (--classes), highest first, and never changes; a class is known by its index, 0 is
// the highest. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir {

inline constexpr int kClassesMax = 8;

enum class ClassKind : uint8_t {
  kUrgent,      // may preempt background work for a place; expires when the queue stands (CoDel)
  kStandard,
  kBackground,  // gives its place to urgent work; its max_tokens is clamped in a brown-out; never expires by CoDel
};

struct PriorityClass {
  std::string name;  // as a request's "priority" says it: [a-z0-9_-], 1 to 32 bytes
  ClassKind kind = ClassKind::kStandard;
  bool operator==(const PriorityClass&) const = default;
};

// interactive, normal, batch.
inline std::vector<PriorityClass> default_classes() {
  return {{"interactive", ClassKind::kUrgent}, {"normal", ClassKind::kStandard}, {"batch", ClassKind::kBackground}};
}

// RETURNS: its index, or -1.
inline int find_class(const std::vector<PriorityClass>& classes, std::string_view name) {
  for (size_t i = 0; i < classes.size(); ++i) {
    if (classes[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

}  // namespace weir
