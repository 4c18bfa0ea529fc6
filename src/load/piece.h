// PieceParser: the JSON of an answer, whole or one event of a stream, as far as a load test needs it.
//
// Thread: one; a worker owns one and all its answers share it. The server is not trusted: a field of another type
// counts as absent, text that is no JSON is told, depth is bounded by Boost.JSON (32).
#pragma once

#include <boost/json.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace weir::load {

struct Piece {
  bool is_json = false;
  bool has_choice = false;     // choices[0] is there
  bool has_text = false;       // it brought text (content, reasoning_content, text)
  bool finished = false;       // it named a finish_reason
  int64_t output_tokens = -1;  // usage, when told
  int64_t prompt_tokens = -1;
  bool is_error = false;           // {"error": ...}
  std::string reason, code, type;  // of the error; weir's reason, OpenAI's code and type; cut to 64 bytes
};

class PieceParser {
 public:
  Piece parse(std::string_view text);

 private:
  boost::json::stream_parser parser_;
  unsigned char buffer_[8192];  // a usual event needs no allocation
};

}  // namespace weir::load
