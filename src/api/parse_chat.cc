#include "api/parse_chat.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "api/json_in.h"
#include "api/json_out.h"

namespace weir::api {
namespace {

constexpr size_t kMessagesMax = 4096;
constexpr std::string_view kRoles[] = {"system", "developer", "user", "assistant", "tool", "function"};
// Set by weir itself; chat_template_kwargs may not replace them.
constexpr std::string_view kReserved[] = {"messages", "tools", "add_generation_prompt", "bos_token", "eos_token"};

std::string place(size_t index, std::string_view field) { return fmt::format("messages[{}].{}", index, field); }

// Writes a member's value; a number that JSON cannot carry is the client's error.
void put(std::string_view key, const boost::json::value& value, Fields* f, std::string* out) {
  append_json_string(key, out);
  out->push_back(':');
  if (!append_json_value(value, out)) f->fail(key, "holds a number that is too large for JSON");
  out->push_back(',');
}

void close(char with, std::string* out) {
  if (out->back() == ',') out->pop_back();
  out->push_back(with);
}

bool append_part(const boost::json::value& part, std::string* text) {
  const auto* object = part.if_object();
  const auto* type = object != nullptr ? object->if_contains("type") : nullptr;
  const auto* value = object != nullptr ? object->if_contains("text") : nullptr;
  if (type == nullptr || *type != "text" || value == nullptr || !value->is_string()) return false;
  text->append(std::string_view(value->get_string()));
  return true;
}

std::string join_parts(const boost::json::array& parts, size_t index, Fields* f) {
  std::string text;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) text.push_back('\n');
    if (append_part(parts[i], &text)) continue;
    const std::string param = place(index, fmt::format("content[{}]", i));
    f->fail(bad_param(param, param + " must be a text part, {\"type\":\"text\",\"text\":...}; this model reads only text"));
    break;
  }
  return text;
}

bool has_calls(const boost::json::object& message, std::string_view role) {
  const auto* calls = role == "assistant" ? message.if_contains("tool_calls") : nullptr;
  return calls != nullptr && calls->is_array() && !calls->get_array().empty();
}

bool says_nothing(const boost::json::value* content) {
  return content == nullptr || content->is_null() || (content->is_string() && content->get_string().empty()) ||
         (content->is_array() && content->get_array().empty());
}

void put_content(const boost::json::object& message, std::string_view role, size_t index, Fields* f, std::string* out) {
  const auto* content = message.if_contains("content");
  out->append("\"content\":");
  if (says_nothing(content) && has_calls(message, role)) {
    out->append("null,");
  } else if (content == nullptr || content->is_null()) {
    if (role != "assistant") f->fail(bad_param(place(index, "content"), place(index, "content") + " is required"));
    out->append("\"\",");
  } else if (content->is_string()) {
    append_json_string(std::string_view(content->get_string()), out);
    out->push_back(',');
  } else if (content->is_array()) {
    append_json_string(join_parts(content->get_array(), index, f), out);
    out->push_back(',');
  } else {
    f->fail(bad_param(place(index, "content"), place(index, "content") + " must be a string or an array of text parts"));
  }
}

void put_tool_calls(const boost::json::value& calls, size_t index, Fields* f, std::string* out) {
  const std::string param = place(index, "tool_calls");
  if (calls.is_null()) return;
  if (!calls.is_array()) return f->fail(bad_param(param, param + " must be an array"));
  if (calls.get_array().empty()) return;  // templates look whether there is a list, not whether it holds a call
  out->append("\"tool_calls\":[");
  for (const auto& call : calls.get_array()) {
    const auto* function = call.is_object() ? call.get_object().if_contains("function") : nullptr;
    if (function == nullptr || !function->is_object()) {
      return f->fail(bad_param(param, param + " must hold objects with a function"));
    }
    if (!append_json_value(call, out))
      f->fail(bad_param(param, param + " holds a number that is too large for JSON"));
    out->push_back(',');
  }
  close(']', out);
  out->push_back(',');
}

void put_message(const boost::json::value& value, size_t index, Fields* f, std::string* out) {
  const std::string where = fmt::format("messages[{}]", index);
  if (!value.is_object()) return f->fail(bad_param(where, where + " must be an object"));
  const auto& message = value.get_object();
  const auto* role_value = message.if_contains("role");
  const std::string_view role =
      role_value != nullptr && role_value->is_string() ? std::string_view(role_value->get_string()) : "";
  if (std::find(std::begin(kRoles), std::end(kRoles), role) == std::end(kRoles)) {
    const std::string param = place(index, "role");
    return f->fail(bad_param(param, param + " must be system, developer, user, assistant, tool or function"));
  }
  out->append("{\"role\":");
  append_json_string(role == "developer" ? "system" : role, out);
  out->push_back(',');
  put_content(message, role, index, f, out);
  for (const auto& member : message) {
    if (member.key() == "role" || member.key() == "content") continue;
    if (member.key() == "tool_calls") {
      put_tool_calls(member.value(), index, f, out);
    } else if (member.key() == "function_call" && !member.value().is_null()) {
      const std::string param = place(index, "function_call");
      f->fail(bad_param(param, param + " is not supported, no template shows it; send tool_calls"));
    } else {
      put(member.key(), member.value(), f, out);
    }
  }
  close('}', out);
  out->push_back(',');
}

void put_messages(Fields* f, std::string* out) {
  const auto* messages = f->array("messages");
  if (messages == nullptr) return f->fail("messages", "is required");
  if (messages->empty() || messages->size() > kMessagesMax) {
    return f->fail("messages", fmt::format("must hold 1 to {} messages, got {}", kMessagesMax, messages->size()));
  }
  out->append("\"messages\":[");
  for (size_t i = 0; i < messages->size() && f->ok(); ++i) put_message((*messages)[i], i, f, out);
  close(']', out);
  out->push_back(',');
}

void put_tools(Fields* f, std::string* out) {
  const auto* tools = f->array("tools");
  const auto* choice = f->find("tool_choice");
  if (tools == nullptr || tools->empty() || (choice != nullptr && *choice == "none")) return;
  for (const auto& tool : *tools) {
    if (!tool.is_object()) return f->fail("tools", "must hold objects");
  }
  put("tools", *f->find("tools"), f, out);
}

void put_kwargs(Fields* f, std::string* out) {
  const auto* kwargs = f->object("chat_template_kwargs");
  if (kwargs == nullptr) return;
  for (const auto& member : *kwargs) {
    if (std::find(std::begin(kReserved), std::end(kReserved), std::string_view(member.key())) != std::end(kReserved)) {
      return f->fail("chat_template_kwargs", fmt::format("may not set {}", std::string_view(member.key())));
    }
    put(member.key(), member.value(), f, out);
  }
}

void read_logprobs(Fields* f, GenerateRequest* r) {
  const bool wanted = f->flag("logprobs", false);
  const auto count = f->integer("top_logprobs", 0, kTopLogprobsMax);
  if (count && *count > 0 && !wanted) return f->fail("top_logprobs", "needs logprobs to be true");
  if (wanted) r->params.top_logprobs = static_cast<int32_t>(count.value_or(0));
}

// A message can go on where it is the assistant's own text and nothing stands behind that.
void check_continued(Fields* f) {
  const auto* messages = f->array("messages");
  if (messages == nullptr || messages->empty()) return;
  const auto& last = messages->back().get_object();
  const auto* content = last.if_contains("content");
  if (last.at("role") != "assistant")
    return f->fail("continue_final_message", "needs an assistant's message at the end");
  if (has_calls(last, "assistant"))
    return f->fail("continue_final_message", "cannot continue a message with tool calls");
  if (content == nullptr || content->is_null()) f->fail("continue_final_message", "needs a content to continue");
}

// Whether the prompt ends inside the last message. The two flags exclude each other; what is not said follows the
// other.
bool read_open(Fields* f) {
  const bool open = f->flag("continue_final_message", false);
  if (open && f->flag("add_generation_prompt", false)) {
    f->fail("continue_final_message", "and add_generation_prompt cannot both be true");
  }
  if (open) check_continued(f);
  return open;
}

}  // namespace

ChatInput chat_input(const ChatTokens& tokens, Fields* f) {
  std::string out = "{";
  put_messages(f, &out);
  const bool open = read_open(f);
  put_tools(f, &out);
  put_kwargs(f, &out);
  out.append(f->flag("add_generation_prompt", !open) ? "\"add_generation_prompt\":true,\"bos_token\":"
                                                     : "\"add_generation_prompt\":false,\"bos_token\":");
  append_json_string(tokens.bos, &out);
  out.append(",\"eos_token\":");
  append_json_string(tokens.eos, &out);
  out.push_back('}');
  return {.context_json = std::move(out), .open = open};
}

void parse_chat(const ParamLimits& limits, const ChatTokens& tokens, Fields* f, GenerateRequest* r) {
  r->endpoint = Endpoint::kChat;
  read_common_params(limits, f, r);
  read_logprobs(f, r);
  check_sequences(limits, 1, f, *r);
  if (!f->ok()) return;
  ChatInput input = chat_input(tokens, f);
  r->context_json = std::move(input.context_json);
  r->continues_message = input.open;
}

}  // namespace weir::api
