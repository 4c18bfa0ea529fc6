#include "config/command_line.h"

#include <algorithm>

#include <CLI/CLI.hpp>

#include "config/foreign.h"
#include "config/nearest.h"
#include "config/values.h"

namespace weir {
namespace {

// "--max_batch_size=4" -> "--max-batch-size=4"; the value keeps its underscores.
std::string with_dashes(std::string word) {
  if (word.rfind("--", 0) != 0) return word;
  for (size_t at = 2; at < word.size() && word[at] != '='; ++at) {
    if (word[at] == '_') word[at] = '-';
  }
  return word;
}

Status unknown_word(const CommandSpec& spec, const std::string& word) {
  if (word.empty() || word[0] != '-') {
    return invalid_argument("unexpected argument '" + word + "'" +
                            (spec.positional.empty() ? "" : "; one " + spec.positional + " is taken"));
  }
  const std::string flag = word.substr(0, word.find('='));
  const size_t dashes = std::min(flag.find_first_not_of('-'), flag.size());
  const std::string hint = foreign_flag_hint(flag.substr(dashes));
  if (!hint.empty()) return invalid_argument(flag + ": " + hint);
  std::vector<std::string> known = {"--help"};
  for (const OptionSpec& option : spec.options) known.push_back("--" + option.name);
  const std::string meant = did_you_mean(flag, known);
  return invalid_argument("unknown option " + flag +
                          (meant.empty() ? "; see weir " + spec.name + " --help" : meant));
}

// CLI11 begins such a message with the option's name; its own wording after it speaks of types.
Status missing_value(const CommandSpec& spec, const std::string& message) {
  const std::string flag = message.substr(0, message.find_first_of(": "));
  for (const OptionSpec& option : spec.options) {
    if ("--" + option.name == flag) return invalid_argument(flag + " needs a value: " + flag + " " + option.value);
  }
  return invalid_argument(message);
}

bool is_bare_switch(const CommandSpec& spec, const std::vector<std::string>& words, size_t index) {
  const std::string word = with_dashes(words[index]);
  const bool on_off = std::any_of(spec.options.begin(), spec.options.end(), [&](const OptionSpec& option) {
    return option.on_off && word == "--" + option.name;
  });
  return on_off && (index + 1 == words.size() || !parse_bool(words[index + 1]).ok());
}

Status run_parser(const CommandSpec& spec, CLI::App* app, const std::vector<std::string>& words) {
  std::vector<std::string> reversed;
  for (size_t i = words.size(); i-- > 0;) {
    if (is_bare_switch(spec, words, i)) reversed.push_back("on");
    reversed.push_back(with_dashes(words[i]));
  }
  try {
    app->parse(std::move(reversed));  // CLI11 takes the words last first
  } catch (const CLI::ArgumentMismatch& error) {
    return missing_value(spec, error.what());
  } catch (const CLI::ParseError& error) {
    return invalid_argument(error.what());
  }
  const std::vector<std::string> left = app->remaining();
  return left.empty() ? ok_status() : unknown_word(spec, left[0]);
}

void add_option(CLI::App* app, const OptionSpec& option) {
  if (option.value.empty()) {
    app->add_flag("--" + option.name);
    return;
  }
  CLI::Option* added = app->add_option("--" + option.name);
  if (option.many) {
    added->expected(1, 1024);
  } else {
    added->expected(1)->take_last();
  }
}

std::string padded(std::string text, size_t columns) {
  text.resize(std::max(text.size() + 2, columns), ' ');
  return text;
}

std::string option_line(const OptionSpec& option) {
  const std::string left = "  --" + option.name + (option.value.empty() ? "" : " " + option.value);
  const std::string standard = option.standard.empty() ? "" : " [" + option.standard + "]";
  return padded(left, 34) + option.help + standard + "\n";
}

}  // namespace

std::string ParsedCommand::value_or(const std::string& name, const std::string& otherwise) const {
  const auto found = values.find(name);
  return found == values.end() || found->second.empty() ? otherwise : found->second.back();
}

Result<ParsedCommand> parse_command(const CommandSpec& spec, const std::vector<std::string>& words) {
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  app.add_flag("-h,--help");
  if (!spec.positional.empty()) app.add_option("positional")->expected(1);
  for (const OptionSpec& option : spec.options) add_option(&app, option);

  ParsedCommand parsed;
  for (const std::string& word : words) {
    if (word == "-h" || word == "--help") parsed.help = true;
  }
  if (parsed.help) return parsed;  // help is given even where the rest would be an error
  WEIR_RETURN_IF_ERROR(run_parser(spec, &app, words));
  if (!spec.positional.empty() && app.count("positional") > 0) {
    parsed.positional = app.get_option("positional")->results()[0];
  }
  for (const OptionSpec& option : spec.options) {
    if (app.count("--" + option.name) == 0) continue;
    std::vector<std::string>& values = parsed.values[option.name];
    if (!option.value.empty()) values = app.get_option("--" + option.name)->results();
    if (!option.many && values.size() > 1) values = {values.back()};
  }
  return parsed;
}

std::string command_help(const CommandSpec& spec) {
  std::string page = "usage: weir " + spec.name;
  if (!spec.positional.empty()) page += " " + spec.positional;
  page += " [options]\n\n" + spec.about + "\n";
  if (!spec.positional.empty()) page += "\n" + padded("  " + spec.positional, 34) + spec.positional_help + "\n";
  std::string group;
  for (const OptionSpec& option : spec.options) {
    if (option.group.empty()) continue;
    if (option.group != group) page += "\n" + option.group + ":\n";
    group = option.group;
    page += option_line(option);
  }
  if (!spec.examples.empty()) page += "\nexamples:\n";
  for (const std::string& example : spec.examples) page += "  " + example + "\n";
  return page;
}

}  // namespace weir
