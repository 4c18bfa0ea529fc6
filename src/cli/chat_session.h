// ChatSession: the history of a terminal chat and its /commands; knows neither sockets nor terminals.
//
// Thread: one, the caller's. What a model says is not trusted to drive the terminal: control characters other than
// newline and tab are dropped before they are printed.
#pragma once

#include <cstdint>
#include <functional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "cli/chat_protocol.h"

namespace weir {

struct Answer {
  std::string text;
  std::string finish_reason;   // as the server says; "stopped": by the user
  int64_t output_tokens = -1;  // -1: not known
  double seconds = 0;          // from the first piece to the last
};

// Sends the history, hands out each piece as it comes. ERRORS: one line for the user.
using AskModel = std::function<Result<Answer>(const std::vector<ChatMessage>& messages,
                                              const std::function<void(std::string_view)>& piece)>;

class ChatSession {
 public:
  // dim: also print tokens, speed and finish reason after an answer, in a faint colour (a terminal reads along).
  ChatSession(AskModel ask, std::ostream* out, std::ostream* notes, bool dim)
      : ask_(std::move(ask)), out_(*out), notes_(*notes), dim_(dim) {}

  void set_system(const std::string& text);
  // One input of the user: a /command, or a message (a leading // stands for a slash). RETURNS: false to leave.
  bool take(const std::string& input);

  const std::vector<ChatMessage>& history() const { return history_; }
  bool failed() const { return failed_; }  // some input ended in an error

 private:
  void say(const std::string& text);
  bool command(const std::string& word, const std::string& rest);
  void retry();
  void save(const std::string& path);
  void note(const std::string& text);
  void fail(const std::string& text);
  void print_summary(const Answer& answer);

  AskModel ask_;
  std::ostream& out_;
  std::ostream& notes_;
  const bool dim_;
  bool failed_ = false;
  std::string last_input_;  // for /retry
  std::vector<ChatMessage> history_;
};

// RETURNS: text without the control characters that could drive a terminal (C0 except \n and \t, DEL, C1).
std::string printable(std::string_view text);

}  // namespace weir
