#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "cli/chat_client.h"
#include "cli/chat_session.h"
#include "cli/command.h"
#include "cli/line_reader.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "load/testing_server.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::internal::CaptureStderr;
using ::testing::internal::CaptureStdout;
using ::testing::internal::GetCapturedStderr;
using ::testing::internal::GetCapturedStdout;

std::vector<Command> toy_commands(ParsedCommand* seen) {
  CommandSpec serve{.name = "serve", .about = "Serves.", .positional = "MODEL", .positional_help = "a directory"};
  serve.options = {{"port", "N", "door", "where", "1"}};
  serve.examples = {"weir serve x"};
  return {{serve, [seen](const ParsedCommand& command) {
             *seen = command;
             return 7;
           }}};
}

TEST(RunWeir, HelpVersionAndUnknownCommands) {
  ParsedCommand seen;
  const std::vector<Command> commands = toy_commands(&seen);
  CaptureStdout();
  EXPECT_EQ(run_weir({"--version"}, commands), kExitOk);
  EXPECT_EQ(GetCapturedStdout(), "weir " WEIR_VERSION "\n");
  CaptureStdout();
  EXPECT_EQ(run_weir({"--help"}, commands), kExitOk);
  EXPECT_THAT(GetCapturedStdout(), HasSubstr("weir serve MODEL [options]"));
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"help", "serve"}, {"serve", "x", "--help"}}) {
    CaptureStdout();
    EXPECT_EQ(run_weir(words, commands), kExitOk);
    EXPECT_THAT(GetCapturedStdout(), HasSubstr("--port N"));
  }
  CaptureStderr();
  EXPECT_EQ(run_weir({"srve"}, commands), kExitUsage);
  EXPECT_EQ(GetCapturedStderr(), "weir: error: unknown command 'srve'; did you mean serve?\n");
  CaptureStderr();
  EXPECT_EQ(run_weir({}, commands), kExitUsage);
  EXPECT_THAT(GetCapturedStderr(), HasSubstr("usage:"));
}

TEST(RunWeir, RunsACommandWithItsWords) {
  ParsedCommand seen;
  const std::vector<Command> commands = toy_commands(&seen);
  EXPECT_EQ(run_weir({"serve", "dir", "--port", "5"}, commands), 7);
  EXPECT_EQ(seen.positional, "dir");
  EXPECT_EQ(seen.value_or("port", ""), "5");
  CaptureStderr();
  EXPECT_EQ(run_weir({"serve", "--prt", "5"}, commands), kExitUsage);
  EXPECT_EQ(GetCapturedStderr(), "weir: error: unknown option --prt; did you mean --port?\n");
}

TEST(RunWeir, AnErrorIsOneLine) {
  CaptureStderr();
  EXPECT_EQ(report_error(invalid_argument("a\nb"), 3), 3);
  EXPECT_EQ(GetCapturedStderr(), "weir: error: a b\n");
}

// In a child process: a signal is waited for, the next one ends it at once.
TEST(SignalsDeathTest, TheFirstIsTakenTheSecondEndsTheProcess) {
  for (const int signal : {SIGINT, SIGTERM}) {
    EXPECT_EXIT(
        {
          block_stop_signals();
          if (take_stop_signal() != 0) _exit(1);
          kill(getpid(), signal);
          if (wait_for_stop_signal() != signal || take_stop_signal() != 0) _exit(2);
          exit_on_next_stop_signal();
          kill(getpid(), signal);
          _exit(3);
        },
        ::testing::ExitedWithCode(128 + signal), "");
  }
}

std::string shown_progress(bool in_place) {
  std::FILE* file = std::tmpfile();
  {
    ProgressLine line(fileno(file), in_place);
    for (int i = 0; i <= 100; ++i) line.show(i / 100.0, "weights", i * 1000);
    line.show(0.0 / 0.0, "nonsense", 0);
  }
  std::rewind(file);
  std::string text(100'000, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file));
  std::fclose(file);
  return text;
}

TEST(ProgressLine, IsSparseInALogAndInPlaceOnATerminal) {
  const std::string log = shown_progress(false);
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 11);
  EXPECT_THAT(log, HasSubstr("loading: 100 %  weights\n"));
  const std::string terminal = shown_progress(true);
  EXPECT_EQ(std::count(terminal.begin(), terminal.end(), '\n'), 0);
  EXPECT_THAT(terminal, HasSubstr("100 %"));
  EXPECT_TRUE(terminal.ends_with("\r\033[K"));
}

// A stage that begins or ends within one tenth is shown all the same.
TEST(ProgressLine, ANewStageIsShownAtOnce) {
  std::FILE* file = std::tmpfile();
  {
    ProgressLine line(fileno(file), false);
    for (const char* stage : {"packing", "packing", "writing", "touching"}) line.show(1.0, stage, 0);
  }
  std::rewind(file);
  std::string text(1000, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file));
  std::fclose(file);
  EXPECT_EQ(text, "loading: 100 %  packing\nloading: 100 %  writing\nloading: 100 %  touching\n");
}

TEST(ChatProtocol, RequestIsStrictJson) {
  const std::vector<ChatMessage> messages = {{"system", "be \"brief\""},
                                             {"user", std::string("a\n\x01\xff\xC3\xA9\xED\xA0\x80")}};
  EXPECT_EQ(
      chat_request_json("m", messages, {0.5, 9}),
      "{\"model\": \"m\", \"stream\": true, \"stream_options\": {\"include_usage\": true}, \"temperature\": 0.5, "
      "\"max_tokens\": 9, \"messages\": [{\"role\": \"system\", \"content\": \"be \\\"brief\\\"\"}, "
      "{\"role\": \"user\", \"content\": "
      "\"a\\u000a\\u0001\xEF\xBF\xBD\xC3\xA9\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"}]}");
  EXPECT_THAT(chat_request_json("m", {}, {}), testing::Not(HasSubstr("temperature")));
}

TEST(ChatProtocol, ReadsPiecesAndErrorsOfAnyShape) {
  const Result<ChatPiece> piece = parse_chat_piece(
      R"({"choices":[{"delta":{"content":"h\u00e9"},"finish_reason":"stop"}],"usage":{"completion_tokens":4}})");
  ASSERT_TRUE(piece.ok());
  EXPECT_EQ(piece->text, "h\xC3\xA9");
  EXPECT_EQ(piece->finish_reason, "stop");
  EXPECT_EQ(piece->output_tokens, 4);
  for (const char* odd : {"{}", R"({"choices":[]})", R"({"choices":[3]})", R"({"choices":[{"delta":null}]})",
                          R"({"choices":{"delta":1},"usage":7})", R"({"error":null})"}) {
    ASSERT_TRUE(parse_chat_piece(odd).ok()) << odd;
    EXPECT_EQ(parse_chat_piece(odd)->text, "");
  }
  for (const char* broken : {"", "[]", "{", "nonsense", "\"x\""})
    EXPECT_FALSE(parse_chat_piece(broken).ok()) << broken;
  EXPECT_FALSE(parse_chat_piece(std::string(100'000, '[')).ok());
  EXPECT_EQ(parse_chat_piece(R"({"error":{"message":"over\nload"}})").status().message(), "over load");
  EXPECT_EQ(error_text(400, R"({"error":{"message":"no"}})"), "the server answered 400: no");
  EXPECT_EQ(error_text(502, "<html>\n"), "the server answered 502: <html> ");
  EXPECT_EQ(*first_model(R"({"data":[{"id":"demo"}]})"), "demo");
  EXPECT_FALSE(first_model("{}").ok());
}

// A session whose model answers "echo: " and the last message, or fails when told to.
class SessionTest : public ::testing::Test {
 protected:
  Result<Answer> answer(const std::vector<ChatMessage>& messages,
                        const std::function<void(std::string_view)>& piece) {
    asked_.push_back(messages);
    if (fail_) return Status(Code::kUnavailable, "the server is away");
    const std::string text = "echo: " + messages.back().content;
    piece(text);
    return Answer{text, "stop", 11, 2.0};
  }
  ChatSession session(bool dim = false) {
    return ChatSession(
        [this](const std::vector<ChatMessage>& messages, const std::function<void(std::string_view)>& piece) {
          return answer(messages, piece);
        },
        &out_, &notes_, dim);
  }

  bool fail_ = false;
  std::vector<std::vector<ChatMessage>> asked_;
  std::ostringstream out_, notes_;
};

TEST_F(SessionTest, KeepsTheHistory) {
  ChatSession chat = session(true);
  chat.set_system("be kind");
  EXPECT_TRUE(chat.take("hi"));
  EXPECT_TRUE(chat.take(" \n"));
  EXPECT_TRUE(chat.take("//usr?"));
  EXPECT_EQ(out_.str(), "echo: hi\necho: /usr?\n");
  EXPECT_THAT(notes_.str(), HasSubstr("[11 tokens, 5.0 tokens/s, stop]"));
  EXPECT_THAT(chat.history(), ElementsAre(ChatMessage{"system", "be kind"}, ChatMessage{"user", "hi"},
                                          ChatMessage{"assistant", "echo: hi"}, ChatMessage{"user", "/usr?"},
                                          ChatMessage{"assistant", "echo: /usr?"}));
  EXPECT_FALSE(chat.failed());
}

TEST_F(SessionTest, CommandsDoWhatTheySay) {
  ChatSession chat = session();
  chat.take("/system be kind");
  chat.take("one");
  chat.take("/retry");
  ASSERT_EQ(asked_.size(), 2u);
  EXPECT_EQ(asked_[0], asked_[1]);
  EXPECT_EQ(chat.history().size(), 3u);
  chat.take("/clear");
  EXPECT_THAT(chat.history(), ElementsAre(ChatMessage{"system", "be kind"}));
  chat.take("/system");
  EXPECT_TRUE(chat.history().empty());
  EXPECT_FALSE(chat.failed());
  chat.take("/hepl");
  EXPECT_THAT(notes_.str(), HasSubstr("unknown command /hepl; did you mean /help?"));
  EXPECT_TRUE(chat.failed());
  EXPECT_FALSE(chat.take("/exit"));
}

TEST_F(SessionTest, AFailureLeavesTheHistoryAsItWasAndCanBeRetried) {
  ChatSession chat = session();
  fail_ = true;
  chat.take("one");
  EXPECT_TRUE(chat.failed());
  EXPECT_TRUE(chat.history().empty());
  EXPECT_THAT(notes_.str(), HasSubstr("weir: error: the server is away"));
  fail_ = false;
  chat.take("/retry");
  EXPECT_THAT(chat.history(), ElementsAre(ChatMessage{"user", "one"}, ChatMessage{"assistant", "echo: one"}));
}

TEST_F(SessionTest, SavesJson) {
  ChatSession chat = session();
  chat.take("one");
  const std::string path =
      (std::filesystem::temp_directory_path() / ("weir_chat_" + std::to_string(getpid()))).string();
  chat.take("/save " + path);
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  std::filesystem::remove(path);
  EXPECT_EQ(text.str(),
            "[\n  {\"role\": \"user\", \"content\": \"one\"},\n"
            "  {\"role\": \"assistant\", \"content\": \"echo: one\"}\n]\n");
  chat.take("/save /no/such/folder/x");
  EXPECT_THAT(notes_.str(), HasSubstr("cannot write"));
}

TEST(Printable, DropsWhatDrivesATerminal) {
  EXPECT_EQ(printable("a\tb\n\033[31mred\x07\x7f\xC2\x9B"
                      "31m\xC3\xA9\xC2\xA0"),
            "a\tb\n[31mred31m\xC3\xA9\xC2\xA0");
}

std::vector<std::string> read_all(const std::string& text, bool terminal) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  EXPECT_EQ(::write(ends[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
  ::close(ends[1]);
  std::atomic<bool> interrupted{false};
  LineReader reader(ends[0], terminal, &interrupted);
  std::vector<std::string> inputs;
  std::string input;
  while (reader.next(&input) == LineReader::Event::kInput) inputs.push_back(input);
  ::close(ends[0]);
  return inputs;
}

TEST(LineReader, LinesOfAPipeAndPastesOfATerminal) {
  EXPECT_THAT(read_all("one\r\ntwo\n\nlast", false), ElementsAre("one", "two", "", "last"));
  EXPECT_THAT(read_all("one\ntwo\n\nlast\n", true), ElementsAre("one\ntwo\n\nlast"));
  EXPECT_TRUE(read_all("", false).empty());
  std::atomic<bool> interrupted{true};
  std::string input;
  EXPECT_EQ(LineReader(0, false, &interrupted).next(&input), LineReader::Event::kInterrupted);
}

std::string stream(const std::string& events) {
  return "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + events;
}

ChatTarget target_of(const FakeServer& server, std::vector<std::string>* notices) {
  ChatTarget target{.server = server.address(), .api_key = "key", .model = "m"};
  target.notice = [notices](const std::string& text) { notices->push_back(text); };
  return target;
}

TEST(AskServer, StreamsAnAnswer) {
  std::vector<std::string> notices, pieces;
  Result<Answer> answer = internal_error("not asked");
  std::string request;
  {
    FakeServer server({stream("data: {\"choices\":[{\"delta\":{\"content\":\"He\"}}]}\n\n"
                              "data: {\"choices\":[{\"delta\":{\"content\":\"y\"},\"finish_reason\":\"stop\"}]}\n\n"
                              "data: {\"choices\":[],\"usage\":{\"completion_tokens\":2}}\n\ndata: [DONE]\n\n")},
                      5);
    answer = ask_server(target_of(server, &notices), {{"user", "hi"}},
                        [&](std::string_view piece) { pieces.emplace_back(piece); });
    request = server.requests()[0];
  }
  ASSERT_TRUE(answer.ok()) << answer.status().message();
  EXPECT_THAT(pieces, ElementsAre("He", "y"));
  EXPECT_EQ(answer->text, "Hey");
  EXPECT_EQ(answer->finish_reason, "stop");
  EXPECT_EQ(answer->output_tokens, 2);
  EXPECT_THAT(request, HasSubstr("POST /v1/chat/completions HTTP/1.1\r\n"));
  EXPECT_THAT(request, HasSubstr("Authorization: Bearer key\r\n"));
}

TEST(AskServer, ABusyServerIsAskedOnceMore) {
  const std::string busy =
      "HTTP/1.1 429 X\r\nRetry-After: 0\r\nContent-Length: 29\r\n\r\n{\"error\":{\"message\":\"full\"}}\n";
  const auto ignore = [](std::string_view) {};
  std::vector<std::string> notices;
  {
    FakeServer server({busy, stream("data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}]}\n\n")}, 100);
    const Result<Answer> answer = ask_server(target_of(server, &notices), {{"user", "hi"}}, ignore);
    ASSERT_TRUE(answer.ok()) << answer.status().message();
    EXPECT_EQ(answer->finish_reason, "length");
    EXPECT_THAT(notices, ElementsAre("the server answered 429: full; trying once more in 1 s"));
  }
  FakeServer server({busy, busy}, 100);
  EXPECT_EQ(ask_server(target_of(server, &notices), {{"user", "hi"}}, ignore).status().message(),
            "the server answered 429: full");
  EXPECT_EQ(retry_pause_ms("7"), 7000);
  EXPECT_EQ(retry_pause_ms("9999"), 120'000);
  EXPECT_EQ(retry_pause_ms("Mon, 01 Jan"), 1000);
}

TEST(AskServer, StoppedKeepsWhatCameAndCutStreamsAreErrors) {
  std::vector<std::string> notices;
  const std::string half = stream("data: {\"choices\":[{\"delta\":{\"content\":\"He\"}}]}\n\n");
  std::atomic<bool> stop{false};
  {
    FakeServer server({half}, 100, true);
    ChatTarget target = target_of(server, &notices);
    target.stop = &stop;
    const Result<Answer> answer = ask_server(target, {{"user", "hi"}}, [&](std::string_view) { stop.store(true); });
    ASSERT_TRUE(answer.ok()) << answer.status().message();
    EXPECT_EQ(answer->text, "He");
    EXPECT_EQ(answer->finish_reason, "stopped");
  }
  FakeServer server({half, stream("data: {\"error\":{\"message\":\"lost\"}}\n\n")}, 100);
  const ChatTarget target = target_of(server, &notices);
  const auto ignore = [](std::string_view) {};
  EXPECT_THAT(ask_server(target, {{"user", "hi"}}, ignore).status().message(), HasSubstr("closed the stream"));
  EXPECT_EQ(ask_server(target, {{"user", "hi"}}, ignore).status().message(), "lost");
}

}  // namespace
}  // namespace weir
