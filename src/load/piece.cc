#include "load/piece.h"

#include "load/names.h"

namespace weir::load {
namespace {

namespace json = boost::json;

const json::value* member(const json::value* value, const char* name) {
  const json::object* object = value == nullptr ? nullptr : value->if_object();
  return object == nullptr ? nullptr : object->if_contains(name);
}

bool has_text(const json::value* value) {
  return value != nullptr && value->is_string() && !value->get_string().empty();
}

std::string name_in(const json::value* value) {
  if (value == nullptr) return "";
  if (value->is_string()) return printable_name({value->get_string().data(), value->get_string().size()});
  return value->is_int64() ? std::to_string(value->get_int64()) : "";
}

int64_t count_in(const json::value* value) {
  return value != nullptr && value->is_int64() && value->get_int64() >= 0 ? value->get_int64() : -1;
}

void read_choice(const json::value& choice, Piece* piece) {
  piece->has_choice = true;
  const json::value* delta = member(&choice, "delta");
  if (delta == nullptr) delta = member(&choice, "message");
  piece->has_text = has_text(member(&choice, "text")) || has_text(member(delta, "content")) ||
                    has_text(member(delta, "reasoning_content"));
  piece->finished = has_text(member(&choice, "finish_reason"));
}

void read_error(const json::value& error, Piece* piece) {
  piece->is_error = true;
  piece->reason = name_in(member(&error, "reason"));
  piece->code = name_in(member(&error, "code"));
  piece->type = name_in(member(&error, "type"));
}

Piece read(const json::value& value) {
  Piece piece;
  if (!value.is_object()) return piece;
  piece.is_json = true;
  if (const json::value* error = member(&value, "error"); error != nullptr && !error->is_null()) {
    read_error(*error, &piece);
  }
  const json::value* choices = member(&value, "choices");
  if (choices != nullptr && choices->is_array() && !choices->get_array().empty()) {
    read_choice(choices->get_array()[0], &piece);
  }
  const json::value* usage = member(&value, "usage");
  piece.output_tokens = count_in(member(usage, "completion_tokens"));
  piece.prompt_tokens = count_in(member(usage, "prompt_tokens"));
  return piece;
}

}  // namespace

Piece PieceParser::parse(std::string_view text) {
  json::monotonic_resource memory(buffer_, sizeof buffer_);
  parser_.reset(&memory);
  json::error_code error;
  parser_.write(text.data(), text.size(), error);
  if (!error) parser_.finish(error);
  Piece piece;
  if (!error) piece = read(parser_.release());
  parser_.reset();  // lets go of the memory above
  return piece;
}

}  // namespace weir::load
