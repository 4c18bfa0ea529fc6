// TemplateTraits: the form of a conversation that one chat template shows whole. Authors test their templates with
// one form of what the OpenAI schema leaves open (no content beside a call, arguments as text or as an object), and
// with another the template drops a call, prints "None" or fails. Nothing is guessed from a model's name: the
// traits come from rendering probe conversations at load and looking for their texts in the prompts.
//
// Plain data; made once per template by probe_traits(), read by any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace weir {

namespace jinja {
class Template;
}

struct TemplateTraits {
  enum class CallContent : uint8_t {
    kNull,
    kEmpty,
    kAbsent
  };                                                  // of an assistant's message that has calls and no text
  enum class Arguments : uint8_t { kObject, kText };  // of a call: an object to walk, or its JSON text
  enum class TextWithCall : uint8_t {
    kTogether,
    kBefore
  };  // text in the call's message, or in one of its own before it

  CallContent call_content = CallContent::kEmpty;
  Arguments arguments = Arguments::kObject;
  TextWithCall text_with_call = TextWithCall::kTogether;
  bool content_parts = false;    // content as a list of {type, text}; a string is not shown
  bool nine_letter_ids = false;  // ids of calls must be nine letters and digits
  // A system message (or none) and users and assistants in turn, without tools: shown whole, so that requests of
  // this form need no second render to know it.
  bool plain_with_system = false, plain_without_system = false;
  std::vector<std::string> hidden;  // kinds of messages that no form shows, for the operator: "tool results"
};

// Bounded: some thirty renders of conversations of a few hundred bytes, each with limits far below a request's. A
// probe that fails counts as not shown.
TemplateTraits probe_traits(const jinja::Template& engine, const std::string& bos_token,
                            const std::string& eos_token);

// "tool calls, tool results"; empty where everything is shown.
std::string hidden_kinds(const TemplateTraits& traits);
// The names of the choices, for logs and tests: "call_content=null arguments=object ...".
std::string describe(const TemplateTraits& traits);

}  // namespace weir
