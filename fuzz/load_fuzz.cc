// Fuzzes what the load tester reads from outside: a server's answer, and the files of --trace and --prompts.
//
// The first byte chooses the part and the packet size; the rest is the text. An answer's outcome may not depend on how
// the network cut it.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "load/answer.h"
#include "load/prompts.h"
#include "load/trace.h"

namespace {

using weir::load::Answer;
using weir::load::AnswerReader;

Answer read(std::string_view bytes, size_t piece, bool stream, weir::load::PieceParser* pieces) {
  AnswerReader reader({.stream = stream}, pieces);
  for (size_t at = 0; at < bytes.size() && !reader.over(); at += piece) reader.feed(bytes.substr(at, piece), 1);
  reader.closed();
  WEIR_CHECK(reader.over());
  const Answer answer = reader.answer();
  WEIR_CHECK(answer.ending != weir::load::Ending::kInterrupted);
  WEIR_CHECK((answer.failure != weir::load::Failure::kNone) == (answer.ending == weir::load::Ending::kFailed));
  WEIR_CHECK(answer.reason.size() <= 64 && answer.code.size() <= 64);
  return answer;
}

void check_answer(std::string_view bytes, size_t piece, bool stream) {
  weir::load::PieceParser pieces;
  const Answer whole = read(bytes, bytes.size() + 1, stream, &pieces);
  const Answer cut = read(bytes, piece, stream, &pieces);
  WEIR_CHECK(whole.ending == cut.ending && whole.failure == cut.failure);
  WEIR_CHECK(whole.events == cut.events && whole.output_tokens == cut.output_tokens);
}

void check_trace(std::string_view text) {
  const weir::Result<weir::load::Trace> trace = weir::load::parse_trace(text, "t");
  if (!trace.ok()) return;
  weir::Micros last_us = 0;
  for (const weir::load::TraceRow& row : trace->rows) {
    WEIR_CHECK(row.at_us >= last_us && row.prompt_tokens >= 1 && row.output_tokens >= 1);
    WEIR_CHECK(row.first_block + row.block_count <= trace->blocks.size());
    last_us = row.at_us;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  const size_t piece = 1 + data[0] % 16;
  switch (data[0] / 64) {
    case 0:
      check_trace(text);
      break;
    case 1:
      (void)weir::load::parse_prompts(text, "p");
      break;
    default:
      check_answer(text, piece, data[0] < 192);
  }
  return 0;
}
