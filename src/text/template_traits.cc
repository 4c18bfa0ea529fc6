#include "text/template_traits.h"

#include <algorithm>
#include <initializer_list>
#include <string_view>
#include <tuple>

#include "text/chat_context.h"

namespace weir {
namespace {

using Arguments = TemplateTraits::Arguments;
using CallContent = TemplateTraits::CallContent;
using TextWithCall = TemplateTraits::TextWithCall;

// A template that needs more for a conversation of a few words is not probed but taken as it comes.
constexpr jinja::Limits kProbeLimits{
    .steps = 400'000, .output_bytes = size_t{1} << 20, .heap_bytes = size_t{16} << 20};

constexpr std::string_view kSystem = R"({"role":"system","content":"s"})";
constexpr std::string_view kUser = R"({"role":"user","content":"u"})";
constexpr std::string_view kAssistant = R"({"role":"assistant","content":"a"})";
constexpr std::string_view kCall =
    R"({"role":"assistant","content":null,"tool_calls":[{"id":"call_7Hq2TzK9mNw4","type":"function","function":{"name":"f","arguments":"{\"k\":1}"}}]})";
constexpr std::string_view kCallWithText =
    R"({"role":"assistant","content":"t","tool_calls":[{"id":"call_7Hq2TzK9mNw4","type":"function","function":{"name":"f","arguments":"{\"k\":1}"}}]})";
constexpr std::string_view kResult =
    R"({"role":"tool","tool_call_id":"call_7Hq2TzK9mNw4","name":"f","content":"r"})";
constexpr std::string_view kTools =
    R"(,"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object","properties":{"k":{"type":"integer","description":"d"}},"required":["k"]}}}])";

using Messages = std::initializer_list<std::string_view>;

size_t count(std::string_view text, std::string_view what) {
  size_t n = 0;
  for (size_t at = text.find(what); at != text.npos; at = text.find(what, at + what.size())) ++n;
  return n;
}

// What speaks against a form, the worst first.
struct Faults {
  bool failed;
  size_t hidden;
  size_t odd;    // arguments quoted twice or in Python's way, a None or null that no message holds
  size_t bytes;  // of the prompt: a phantom turn makes it longer
  auto operator<=>(const Faults&) const = default;
};

class Prober {
 public:
  Prober(const jinja::Template& engine, const std::string& bos_token, const std::string& eos_token)
      : engine_(engine), bos_(bos_token), eos_(eos_token) {}

  ShownReport report(Messages messages, const TemplateTraits& traits, bool with_tools, bool ask = true) const {
    jinja::Heap heap(kProbeLimits);
    auto report = jinja::guarded(heap, [&]() -> Result<ShownReport> {
      WEIR_ASSIGN_OR_RETURN(const jinja::Value context,
                            jinja::Template::read_context(heap, context_json(messages, with_tools, ask)));
      set_text(heap, context, "bos_token", bos_);
      set_text(heap, context, "eos_token", eos_);
      return report_shown(engine_, heap, context, traits, {.limits = kProbeLimits});
    });
    return report.ok() ? std::move(*report) : ShownReport{};
  }

  bool shows(Messages messages, const TemplateTraits& traits, bool with_tools = false, bool ask = true) const {
    const ShownReport r = report(messages, traits, with_tools, ask);
    return r.rendered && r.hidden.empty();
  }

  Faults faults(Messages messages, const TemplateTraits& traits, bool with_tools) const {
    const ShownReport r = report(messages, traits, with_tools);
    const size_t odd =
        count(r.text, R"(\"zqkey\")") + count(r.text, "'zqkey'") + count(r.text, "None") + count(r.text, "null");
    return {.failed = !r.rendered, .hidden = r.hidden.size(), .odd = odd, .bytes = r.text.size()};
  }

 private:
  static void set_text(jinja::Heap& heap, const jinja::Value& context, const char* name, const std::string& text) {
    context.dict()->set(jinja::make_string(heap, jinja::Text(name)), jinja::make_string(heap, jinja::Text(text)));
  }

  static std::string context_json(Messages messages, bool with_tools, bool ask) {
    std::string out = R"({"messages":[)";
    for (const std::string_view message : messages) {
      if (out.back() == '}') out.push_back(',');
      out.append(message);
    }
    out.push_back(']');
    if (with_tools) out.append(kTools);
    return out.append(ask ? R"(,"add_generation_prompt":true})" : R"(,"add_generation_prompt":false})");
  }

  const jinja::Template& engine_;
  const std::string &bos_, &eos_;
};

// Whether contents are strings or lists of parts.
void choose_parts(const Prober& prober, TemplateTraits* traits) {
  if (prober.shows({kUser}, *traits)) return;
  traits->content_parts = prober.shows({kUser}, {.content_parts = true});
}

struct CallProbe {
  TemplateTraits traits;
  Faults faults;
};

// The best of the six forms of a call, the earlier of two that are alike: an object before a text, null before "".
CallProbe best_call_form(const Prober& prober, TemplateTraits traits, bool with_tools) {
  CallProbe best{traits, {.failed = true, .hidden = SIZE_MAX, .odd = 0, .bytes = 0}};
  Faults best_without_bytes = best.faults;
  for (const Arguments arguments : {Arguments::kObject, Arguments::kText}) {
    for (const CallContent content : {CallContent::kNull, CallContent::kEmpty, CallContent::kAbsent}) {
      traits.arguments = arguments;
      traits.call_content = content;
      const Faults faults = prober.faults({kUser, kCall, kResult, kAssistant, kUser}, traits, with_tools);
      Faults without_bytes = faults;
      without_bytes.bytes = 0;  // the two forms of arguments may have other lengths for good reasons
      const bool same_arguments = best.traits.arguments == arguments;
      if (faults.failed || (same_arguments ? faults >= best.faults : without_bytes >= best_without_bytes)) continue;
      best = {traits, faults};
      best_without_bytes = without_bytes;
    }
  }
  return best;
}

// RETURNS: whether calls need tools beside them to be probed.
bool choose_call_form(const Prober& prober, TemplateTraits* traits) {
  for (const bool short_ids : {false, true}) {
    for (const bool with_tools : {true, false}) {
      TemplateTraits tried = *traits;
      tried.nine_letter_ids = short_ids;
      const CallProbe best = best_call_form(prober, tried, with_tools);
      if (best.faults.failed) continue;
      *traits = best.traits;
      return with_tools;
    }
  }
  return true;
}

void choose_text_with_call(const Prober& prober, bool with_tools, TemplateTraits* traits) {
  const auto shows = [&](const TemplateTraits& t) {
    return prober.shows({kUser, kCallWithText, kResult, kAssistant, kUser}, t, with_tools) ||
           prober.shows({kUser, kCallWithText, kResult}, t, with_tools);
  };
  if (shows(*traits)) return;
  TemplateTraits split = *traits;
  split.text_with_call = TextWithCall::kBefore;
  if (shows(split)) *traits = split;
}

void list_hidden(const Prober& prober, bool with_tools, TemplateTraits* traits) {
  const TemplateTraits& t = *traits;
  const bool plain = prober.shows({kUser}, t);
  const auto note = [&](bool shown, const char* kind) {
    if (!shown) traits->hidden.emplace_back(kind);
  };
  note(plain, "a user's message alone");
  if (!plain) return;  // it wants variables that probes do not know
  note(prober.shows({kSystem, kUser}, t), "a system message");
  note(prober.shows({kSystem, kSystem, kUser}, t) || prober.shows({kSystem, kUser, kAssistant, kSystem, kUser}, t),
       "a second system message");
  note(prober.shows({kUser, kCall}, t, with_tools) || prober.shows({kUser, kCall, kResult}, t, with_tools),
       "tool calls");
  note(prober.shows({kUser, kCall, kResult}, t, with_tools), "tool results");
  note(prober.shows({kUser, kCallWithText, kResult}, t, with_tools), "an assistant's text beside a call");
  note(prober.shows({kUser, kAssistant}, t, false, false), "an assistant's message at the end");
}

}  // namespace

TemplateTraits probe_traits(const jinja::Template& engine, const std::string& bos_token,
                            const std::string& eos_token) {
  const Prober prober(engine, bos_token, eos_token);
  TemplateTraits traits;
  choose_parts(prober, &traits);
  const bool with_tools = choose_call_form(prober, &traits);
  choose_text_with_call(prober, with_tools, &traits);
  traits.plain_with_system =
      prober.shows({kSystem, kUser}, traits) && prober.shows({kSystem, kUser, kAssistant, kUser}, traits);
  traits.plain_without_system = prober.shows({kUser}, traits) && prober.shows({kUser, kAssistant, kUser}, traits);
  list_hidden(prober, with_tools, &traits);
  return traits;
}

std::string hidden_kinds(const TemplateTraits& traits) {
  std::string out;
  for (const std::string& kind : traits.hidden) out += (out.empty() ? "" : ", ") + kind;
  return out;
}

std::string describe(const TemplateTraits& traits) {
  static constexpr const char* kContents[] = {"null", "empty", "absent"};
  std::string out = "call_content=" + std::string(kContents[static_cast<int>(traits.call_content)]);
  out += traits.arguments == Arguments::kObject ? " arguments=object" : " arguments=text";
  out += traits.text_with_call == TextWithCall::kTogether ? " text_with_call=together" : " text_with_call=before";
  if (traits.content_parts) out += " content=parts";
  if (traits.nine_letter_ids) out += " ids=nine_letters";
  return traits.hidden.empty() ? out : out + " hidden: " + hidden_kinds(traits);
}

}  // namespace weir
