// A chat's context on its way into a template: brought into the form that the template shows (TemplateTraits), and
// checked for what the prompt leaves out. Internal to the text room.
//
// Owner: one render on one thread; every value lives in that render's jinja::Heap and under its limits, so all of
// this runs inside jinja::guarded().
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "text/chat_template.h"
#include "text/jinja/engine.h"
#include "text/template_traits.h"

namespace weir {

// MODIFIES: context; roles and special tokens are marked as the author's. Fails the heap beyond its limits.
// RETURNS: for each message that the template sees, which of the client's messages it comes from.
jinja::Vec<uint32_t> adapt_chat(jinja::Heap& heap, const jinja::Value& context, const TemplateTraits& traits);

// RETURNS: true for a conversation of the form that the traits say is shown (TemplateTraits::plain_*).
bool is_shown_plain_chat(const jinja::Value& context, const TemplateTraits& traits);

// The outcome of a second render that looks for the parts of a conversation that the prompt leaves out.
struct ShownReport {
  bool rendered = false;
  std::string text;
  std::vector<HiddenPart> hidden;  // in the order of the messages
};

// Renders the conversation with a short unlikely word in the place of every text, call name, argument and result,
// and looks for each in the prompt. So it depends on the form of the conversation alone: what a template drops of a
// text itself, such as old reasoning, is its author's decision. MODIFIES: context. RETURNS: what was not shown;
// rendered is false where the template failed.
ShownReport report_shown(const jinja::Template& engine, jinja::Heap& heap, const jinja::Value& context,
                         const TemplateTraits& traits, const jinja::Options& options);

// Makes the last message one that goes on: a mark behind its text. REQUIRES: its content is a string.
void mark_last_message(jinja::Heap& heap, const jinja::Value& context);
// Cuts a prompt at the mark. RETURNS: false where the mark is not there exactly once.
bool cut_at_mark(AuthoredText* prompt);

}  // namespace weir
