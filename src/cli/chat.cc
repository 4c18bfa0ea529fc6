// weir chat MODEL|URL: a conversation in the terminal, or one answer per line of a pipe.
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <iostream>

#include "cli/chat_client.h"
#include "cli/chat_local.h"
#include "cli/commands.h"
#include "cli/line_reader.h"
#include "config/options.h"
#include "config/parse.h"
#include "config/values.h"

namespace weir {
namespace {

std::atomic<bool> g_interrupted{false};  // set by the signal handler, cleared by the loop
static_assert(std::atomic<bool>::is_always_lock_free);

void on_interrupt(int) { g_interrupted.store(true); }

bool is_url(const std::string& text) { return text.find("://") != std::string::npos; }

Result<ChatSampling> sampling_from(const ParsedCommand& command) {
  ChatSampling sampling;
  const std::string temperature = command.value_or("temperature", "");
  if (!temperature.empty()) {
    char* end = nullptr;
    sampling.temperature = std::strtod(temperature.c_str(), &end);
    if (*end != '\0' || !(sampling.temperature >= 0 && sampling.temperature <= 100)) {
      return invalid_argument("--temperature: '" + temperature + "' is no number from 0 to 100");
    }
  }
  const std::string tokens = command.value_or("max-tokens", "");
  if (!tokens.empty()) {
    const Result<int64_t> number = parse_integer(tokens, 1, 1 << 30);
    if (!number.ok()) return number.status().with_prefix("--max-tokens");
    sampling.max_tokens = *number;
  }
  return sampling;
}

// MODIFIES: local, when MODEL is a directory; it must outlive the target. code: the exit code of an error.
Result<ChatTarget> target_from(const ParsedCommand& command, LocalServer* local, int* code) {
  *code = kExitUsage;
  const Environment environment = process_environment();
  ChatTarget target;
  WEIR_ASSIGN_OR_RETURN(target.sampling, sampling_from(command));
  if (is_url(command.positional)) {
    WEIR_ASSIGN_OR_RETURN(target.server, parse_server_url(command.positional));
    const auto key = environment.find("WEIR_API_KEY");
    target.api_key = command.value_or("api-key", key == environment.end() ? "" : key->second);
    if (!target.api_key.empty()) WEIR_RETURN_IF_ERROR(check_api_key(target.api_key));
    target.model = command.value_or("model-name", "");
    *code = kExitFailed;
    return target;
  }
  std::vector<std::string> warnings;
  WEIR_ASSIGN_OR_RETURN(Settings settings, settings_from(command, environment, &warnings));
  const Result<MemoryPlan> plan = plan_for(settings);
  *code = plan.status().code() == Code::kFailedPrecondition ? kExitNoFit : kExitFailed;
  if (!plan.ok()) return plan.status();
  WEIR_ASSIGN_OR_RETURN(*local, start_local_server(std::move(settings)));
  target.server = local->address;
  target.api_key = local->api_key;
  target.model = local->app->model_name();
  return target;
}

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  sigaction(SIGINT, &action, nullptr);
}

// One Ctrl-C stops an answer, or warns at the prompt; the second in a row leaves.
int converse(ChatSession* session, bool terminal) {
  LineReader reader(STDIN_FILENO, terminal, &g_interrupted);
  bool warned = false;
  for (;;) {
    if (terminal) std::cout << "> " << std::flush;
    std::string input;
    const LineReader::Event event = reader.next(&input);
    if (event == LineReader::Event::kEnd) break;
    if (event == LineReader::Event::kInterrupted) {
      g_interrupted.store(false);
      std::cout << std::endl;
      if (warned || !terminal) break;
      warned = true;
      std::cerr << "(Ctrl-C again, Ctrl-D or /exit leaves)" << std::endl;
      continue;
    }
    if (!session->take(input)) break;
    warned = g_interrupted.exchange(false);
    if (warned && !terminal) return 128 + SIGINT;
  }
  return session->failed() && !terminal ? kExitFailed : kExitOk;
}

int run_chat(const ParsedCommand& command) {
  if (command.positional.empty()) {
    return report_error(invalid_argument("name a model directory or a server: weir chat http://127.0.0.1:23333"),
                        kExitUsage);
  }
  const bool terminal = isatty(STDIN_FILENO) != 0;
  int code = kExitFailed;
  LocalServer local;
  Result<ChatTarget> target = target_from(command, &local, &code);
  if (!target.ok()) return report_error(target.status(), code);
  target->stop = &g_interrupted;
  target->notice = [](const std::string& text) { std::cerr << "weir: " << printable(text) << std::endl; };
  catch_interrupts();
  if (target->model.empty()) {
    Result<std::string> name = ask_model_name(*target);
    if (!name.ok()) return report_error(name.status(), kExitFailed);
    target->model = *std::move(name);
  }
  if (terminal) std::cerr << "model " << printable(target->model) << "; /help lists the commands" << std::endl;
  ChatSession session(
      [&](const std::vector<ChatMessage>& messages, const std::function<void(std::string_view)>& piece) {
        return ask_server(*target, messages, piece);
      },
      &std::cout, &std::cerr, terminal && isatty(STDOUT_FILENO) != 0);
  session.set_system(command.value_or("system", ""));
  return converse(&session, terminal);
}

// Those settings of `weir serve` that matter to a server of one's own.
void add_local_flags(std::vector<OptionSpec>* options) {
  for (OptionSpec flag : settings_flags()) {
    const bool wanted = flag.name == "chat-template" || flag.name == "model-format" || flag.name == "dtype" ||
                        flag.name == "session-len" || flag.name == "memory-limit" || flag.name == "threads" ||
                        flag.name == "cpu-set" || flag.name == "config";
    if (!wanted) continue;
    flag.group = "for a model directory";
    options->push_back(std::move(flag));
  }
}

}  // namespace

Command chat_command() {
  CommandSpec spec{
      .name = "chat",
      .about = "Talks to a model in the terminal; lines of a pipe are one message each.",
      .positional = "MODEL|URL",
      .positional_help = "a local Hugging Face directory, or http://HOST:PORT of a server",
      .options = {{"system", "TEXT", "conversation", "the system prompt", ""},
                  {"temperature", "T", "conversation", "0 is greedy; default: the server's", ""},
                  {"max-tokens", "N", "conversation", "longest answer; default: the server's", ""},
                  {"model-name", "NAME", "for a server", "which of its models; default: its first", ""},
                  {"api-key", "KEY", "for a server", "better in the environment: WEIR_API_KEY", ""}},
      .examples = {"weir chat models/weir-demo", "weir chat http://127.0.0.1:23333 --temperature 0.7",
                   "echo 'Tell me a story' | weir chat models/weir-demo --max-tokens 100"},
  };
  add_local_flags(&spec.options);
  return {std::move(spec), run_chat};
}

}  // namespace weir
