#include "load/names.h"

#include <iterator>

#include "load/http_wire.h"

namespace weir::load {
namespace {

constexpr const char* kNames[] = {
    "none",
    "connect_refused",
    "connect_failed",
    "connect_timeout",
    "no_descriptor",
    "too_many_in_flight",
    "closed_at_once",
    "reset",
    "closed_in_answer",
    "timeout",
    "bad_status_line",
    "head_too_large",
    "bad_content_length",
    "bad_chunk",
    "event_too_large",
    "body_too_large",
    "not_a_stream",
    "half_event",
    "bad_json",
    "error_in_stream",
    "unfinished",
    "empty_answer",
};
static_assert(std::size(kNames) == static_cast<size_t>(Failure::kCount));

}  // namespace

const char* failure_name(Failure failure) { return kNames[static_cast<size_t>(failure)]; }

Failure failure_of_wire(std::string_view reason) {
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if (reason == kNames[i]) return static_cast<Failure>(i);
  }
  return Failure::kBadStatusLine;
}

std::string printable_name(std::string_view text) {
  std::string name;
  for (char c : text.substr(0, 64)) name += c > ' ' && c <= '~' ? c : '_';
  return name;
}

}  // namespace weir::load
