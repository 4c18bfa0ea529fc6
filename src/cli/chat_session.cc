#include "cli/chat_session.h"

#include <cstdio>
#include <fstream>

#include "config/nearest.h"

namespace weir {
namespace {

constexpr char kHelp[] =
    "/help          this page\n"
    "/system TEXT   sets the system prompt; without TEXT removes it\n"
    "/retry         asks the last message again\n"
    "/clear         forgets the conversation, keeps the system prompt\n"
    "/save FILE     writes the conversation as JSON\n"
    "/exit          leaves (so do Ctrl-D and two Ctrl-C)\n"
    "A message that begins with a slash is written with two. Ctrl-C stops an answer.\n";

const std::vector<std::string> kCommands = {"/help", "/system", "/retry", "/clear", "/save", "/exit"};

}  // namespace

std::string printable(std::string_view text) {
  std::string result;
  for (size_t at = 0; at < text.size(); ++at) {
    const auto c = static_cast<unsigned char>(text[at]);
    const bool control = (c < 0x20 && c != '\n' && c != '\t') || c == 0x7F;
    const bool c1 = c == 0xC2 && at + 1 < text.size() && static_cast<unsigned char>(text[at + 1]) < 0xA0;
    if (c1) ++at;
    if (!control && !c1) result += text[at];
  }
  return result;
}

void ChatSession::note(const std::string& text) {
  notes_ << (dim_ ? "\033[2m" : "") << text << (dim_ ? "\033[0m" : "") << std::endl;
}

void ChatSession::fail(const std::string& text) {
  failed_ = true;
  notes_ << "weir: error: " << printable(text) << std::endl;
}

void ChatSession::set_system(const std::string& text) {
  const bool present = !history_.empty() && history_[0].role == "system";
  if (present) history_.erase(history_.begin());
  if (!text.empty()) history_.insert(history_.begin(), {"system", text});
}

bool ChatSession::take(const std::string& input) {
  if (input.find_first_not_of(" \t\r\n") == std::string::npos) return true;
  if (input[0] == '/' && input.compare(0, 2, "//") != 0) {
    const size_t space = std::min(input.find_first_of(" \t\n"), input.size());
    const size_t rest = std::min(input.find_first_not_of(" \t\n", space), input.size());
    return command(input.substr(0, space), input.substr(rest));
  }
  say(input[0] == '/' ? input.substr(1) : input);
  return true;
}

bool ChatSession::command(const std::string& word, const std::string& rest) {
  if (word == "/exit" || word == "/quit") return false;
  if (word == "/help") {
    notes_ << kHelp << std::flush;
  } else if (word == "/system") {
    set_system(rest);
    note(rest.empty() ? "no system prompt" : "system prompt set");
  } else if (word == "/clear") {
    history_.resize(!history_.empty() && history_[0].role == "system" ? 1 : 0);
    note("forgotten");
  } else if (word == "/save") {
    save(rest);
  } else if (word == "/retry") {
    retry();
  } else {
    const std::string meant = did_you_mean(word, kCommands);
    fail("unknown command " + word + (meant.empty() ? "; see /help" : meant));
  }
  return true;
}

void ChatSession::say(const std::string& text) {
  last_input_ = text;
  history_.push_back({"user", text});
  Result<Answer> answer =
      ask_(history_, [this](std::string_view piece) { out_ << printable(piece) << std::flush; });
  if (!answer.ok()) {
    history_.pop_back();  // the server never took it; /retry has it still
    out_ << std::endl;
    return fail(answer.status().message());
  }
  out_ << std::endl;
  print_summary(*answer);
  history_.push_back({"assistant", std::move(answer->text)});
}

void ChatSession::retry() {
  if (last_input_.empty()) return fail("there is no message to ask again");
  const size_t count = history_.size();
  const bool answered = count >= 2 && history_[count - 1].role == "assistant" &&
                        history_[count - 2].role == "user" && history_[count - 2].content == last_input_;
  if (answered) history_.resize(count - 2);
  say(std::string(last_input_));
}

void ChatSession::save(const std::string& path) {
  if (path.empty()) return fail("name a file: /save FILE");
  std::ofstream file(path);
  file << history_json(history_) << std::flush;
  if (!file) return fail("cannot write " + path);
  note("saved " + std::to_string(history_.size()) + " messages to " + path);
}

void ChatSession::print_summary(const Answer& answer) {
  if (!dim_) return;
  std::string line = "[";
  if (answer.output_tokens >= 0) line += std::to_string(answer.output_tokens) + " tokens, ";
  if (answer.output_tokens > 1 && answer.seconds > 0) {
    char rate[48];  // the first token's time is the prompt's, so the rate counts those after it
    std::snprintf(rate, sizeof rate, "%.1f tokens/s, ",
                  static_cast<double>(answer.output_tokens - 1) / answer.seconds);
    line += rate;
  }
  note(line + (answer.finish_reason.empty() ? "no finish reason" : printable(answer.finish_reason)) + "]");
}

}  // namespace weir
