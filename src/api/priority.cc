#include "api/priority.h"

#include <fmt/format.h>

namespace weir::api {
namespace {

constexpr const char* kField = "priority";

// may: the caller whose classes are listed; null: all of them.
std::string names(const std::vector<PriorityClass>& classes, const Caller* may) {
  std::string list;
  for (size_t i = 0; i < classes.size(); ++i) {
    if (may == nullptr || may->may_ask_for(static_cast<int>(i)))
      list += (list.empty() ? "" : ", ") + classes[i].name;
  }
  return list;
}

}  // namespace

int32_t read_priority(const std::vector<PriorityClass>& classes, const Caller& caller, Fields* fields) {
  const boost::json::value* value = fields->find(kField);
  if (value == nullptr || as_number(*value) == 0.0) return caller.class_index;
  if (!value->is_string()) {
    fields->fail(kField,
                 fmt::format("is {}; write the name of a class: {}", describe(*value), names(classes, nullptr)));
    return caller.class_index;
  }
  const std::string_view name = value->get_string();
  const int wanted = find_class(classes, name);
  if (wanted < 0) {
    fields->fail(kField, fmt::format("names no class of this server; there are {}", names(classes, nullptr)));
  } else if (!caller.may_ask_for(wanted)) {
    fields->fail({.status = {Code::kFailedPrecondition,
                             fmt::format("priority {} is not open to this key's tenant; it may ask for {}", name,
                                         names(classes, &caller))},
                  .param = kField,
                  .code = "priority_not_allowed",
                  .http = 403});
  }
  return wanted;
}

}  // namespace weir::api
