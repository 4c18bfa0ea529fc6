#include "cli/chat_protocol.h"

#include <boost/json.hpp>

#include <charconv>

#include "load/json_text.h"

namespace weir {
namespace {

namespace json = boost::json;

void append_number(std::string* out, double number) {
  char digits[64];
  out->append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}

void append_messages(std::string* out, const std::vector<ChatMessage>& messages, const char* between) {
  for (const ChatMessage& message : messages) {
    if (&message != &messages.front()) *out += between;
    *out += "{\"role\": ";
    append_json_string(out, message.role);
    *out += ", \"content\": ";
    append_json_string(out, message.content);
    *out += "}";
  }
}

// Boost.JSON throws on none of these calls: the overloads with an error code, and if_*().
json::value parse(std::string_view text) {
  json::error_code error;
  json::value value = json::parse({text.data(), text.size()}, error);
  return error ? json::value() : value;
}

const json::value* member(const json::value* value, const char* name) {
  const json::object* object = value == nullptr ? nullptr : value->if_object();
  return object == nullptr ? nullptr : object->if_contains(name);
}

const json::value* first_item(const json::value* value) {
  const json::array* list = value == nullptr ? nullptr : value->if_array();
  return list == nullptr || list->empty() ? nullptr : &(*list)[0];
}

std::string string_of(const json::value* value) {
  const json::string* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? "" : std::string(text->data(), text->size());
}

std::string one_line(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 127) c = ' ';
  }
  if (text.size() > 500) text = text.substr(0, 500) + "...";
  return text;
}

}  // namespace

std::string chat_request_json(const std::string& model, const std::vector<ChatMessage>& messages,
                              const ChatSampling& sampling) {
  std::string body = "{\"model\": ";
  append_json_string(&body, model);
  body += ", \"stream\": true, \"stream_options\": {\"include_usage\": true}";
  if (sampling.temperature >= 0) append_number(&(body += ", \"temperature\": "), sampling.temperature);
  if (sampling.max_tokens > 0) body += ", \"max_tokens\": " + std::to_string(sampling.max_tokens);
  body += ", \"messages\": [";
  append_messages(&body, messages, ", ");
  return body + "]}";
}

Result<ChatPiece> parse_chat_piece(std::string_view data) {
  const json::value value = parse(data);
  if (!value.is_object()) return data_loss("the server sent an event that is no JSON object");
  if (const json::value* error = member(&value, "error"); error != nullptr && !error->is_null()) {
    const std::string message = string_of(member(error, "message"));
    return Status(Code::kUnavailable, one_line(message.empty() ? json::serialize(*error) : message));
  }
  ChatPiece piece;
  const json::value* choice = first_item(member(&value, "choices"));
  piece.text = string_of(member(member(choice, "delta"), "content"));
  piece.finish_reason = string_of(member(choice, "finish_reason"));
  const json::value* tokens = member(member(&value, "usage"), "completion_tokens");
  if (tokens != nullptr && tokens->is_int64()) piece.output_tokens = tokens->get_int64();
  return piece;
}

std::string error_text(int status, std::string_view body) {
  const json::value value = parse(body);
  std::string message = string_of(member(member(&value, "error"), "message"));
  if (message.empty()) message = string_of(member(&value, "message"));
  if (message.empty()) message = std::string(body);
  return "the server answered " + std::to_string(status) + ": " + one_line(message);
}

Result<std::string> first_model(std::string_view body) {
  const json::value value = parse(body);
  std::string id = string_of(member(first_item(member(&value, "data")), "id"));
  if (id.empty()) return data_loss("the server's list of models is empty; name one with --model-name");
  return id;
}

std::string history_json(const std::vector<ChatMessage>& messages) {
  std::string text = "[\n  ";
  append_messages(&text, messages, ",\n  ");
  return messages.empty() ? "[]\n" : text + "\n]\n";
}

}  // namespace weir
