// The flags of order, deadlines and overload.
#include <set>

#include "config/setters.h"

namespace weir {
namespace {

constexpr char kOrder[] = "order and overload";
constexpr size_t kClassesMax = 8;

bool is_class_name(const std::string& name) {
  const auto allowed = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'; };
  return !name.empty() && name.size() <= 32 && std::all_of(name.begin(), name.end(), allowed);
}

// "interactive:urgent,normal,batch:background", highest first.
Status set_classes(const Values& values, Settings* settings, Warnings*) {
  std::vector<ClassSetting> classes;
  std::set<std::string> names;
  for (const std::string& text : split_words(values.back(), ", ")) {
    const size_t colon = text.find(':');
    ClassSetting one{.name = text.substr(0, colon)};
    if (colon != std::string::npos) one.kind = text.substr(colon + 1);
    if (!is_class_name(one.name)) {
      return invalid_argument("'" + one.name.substr(0, 40) + "' is no class name; use a-z, 0-9, - and _, up to 32 of them");
    }
    if (one.kind != "urgent" && one.kind != "standard" && one.kind != "background") {
      return invalid_argument("'" + one.kind.substr(0, 40) + "' is no kind of class; choose urgent, standard or background");
    }
    if (!names.insert(one.name).second) return invalid_argument("the class " + one.name + " stands there twice");
    classes.push_back(std::move(one));
  }
  if (classes.empty() || classes.size() > kClassesMax) {
    return invalid_argument("write 1 to 8 classes, highest first, such as interactive:urgent,normal,batch:background");
  }
  settings->classes = std::move(classes);
  return ok_status();
}

Setter duration_between(int64_t Settings::*member, int64_t min_ms, int64_t max_ms, bool zero_allowed, std::string range) {
  return [=](const Values& values, Settings* settings, Warnings*) -> Status {
    WEIR_ASSIGN_OR_RETURN(const int64_t ms, parse_duration_ms(values.back()));
    if (!(zero_allowed && ms == 0) && (ms < min_ms || ms > max_ms)) {
      return invalid_argument("'" + values.back() + "' is out of range; choose " + range);
    }
    settings->*member = ms;
    return ok_status();
  };
}

}  // namespace

std::vector<SettingOption> concurrency_options() {
  using S = Settings;
  return {
      {{"classes", "NAME[:KIND],...", kOrder, "interactive:urgent,normal,batch:background is the default", ""},
       set_classes},
      {{"default-class", "NAME", kOrder, "of requests that name none; empty: the first standard one", ""},
       text(&S::default_class)},
      {{"ageing", "TIME", kOrder, "so long in the queue counts as one class higher", "30s"},
       duration_between(&S::ageing_ms, 100, 86'400'000, false, "100ms to 24h")},
      {{"request-timeout", "TIME", kOrder, "from arrival to the last token; 0: no limit", "0"},
       duration(&S::request_timeout_ms)},
      {{"ttft-slo", "TIME", kOrder, "refuse what would get its first token later; 0: off", "0"},
       duration(&S::ttft_slo_ms)},
      {{"tpot-slo", "TIME", kOrder, "prefill leaves a step that decodes within it; 0: off", "0"},
       duration(&S::tpot_slo_ms)},
      {{"prefill-stretch", "N", kOrder, "else: prefill makes it at most N times as long", "2"},
       integer(&S::prefill_stretch, 0, 1000)},
      {{"queue-delay-target", "TIME", kOrder, "urgent work expires while the queue stands longer; 0: never", "10s"},
       duration(&S::queue_delay_target_ms)},
      {{"queue-keepalive", "TIME", kOrder, "an SSE comment as often while a stream waits; 0: none", "0"},
       duration_between(&S::queue_keepalive_ms, 100, 3'600'000, true, "100ms to 1h, or 0")},
      {{"adaptive", "MODE", kOrder, "the running limit follows the step time: off, on or shadow", "off"},
       word(&S::adaptive, {"off", "on", "shadow"})},
      {{"brown-out", "on|off", kOrder, "shrink work in steps before anything is refused", "on"},
       word(&S::brown_out, {"on", "off"})},
      {{"watchdog-timeout", "TIME", kOrder, "a step that takes longer is stuck; 0: no watchdog", "120s"},
       duration_between(&S::watchdog_timeout_ms, 100, 86'400'000, true, "100ms to 24h, or 0")},
  };
}

}  // namespace weir
