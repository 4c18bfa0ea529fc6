// The flags about browsers: names that the server answers to, and CORS. LMDeploy's names where it has them.
#include <algorithm>
#include <cctype>

#include "config/setters.h"

namespace weir {
namespace {

constexpr char kBrowsers[] = "browsers";
constexpr size_t kWordsMax = 64;
constexpr size_t kWordBytesMax = 256;

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

// The brackets of a JSON list go, those of an IPv6 address stay.
std::string_view list_of(std::string_view value) {
  const bool list = value.size() >= 2 && value.front() == '[' && value.back() == ']';
  return list ? value.substr(1, value.size() - 2) : value;
}

// Words as several values, with commas, or as JSON would write the list. ERRORS: kInvalidArgument.
Result<std::vector<std::string>> read_words(const Values& values) {
  std::vector<std::string> words;
  for (const std::string& value : values) {
    for (std::string& word : split_words(list_of(value), ", \"'")) {
      const bool plain = std::all_of(word.begin(), word.end(), [](char c) { return c > ' ' && c <= '~'; });
      if (!plain || word.size() > kWordBytesMax)
        return invalid_argument("write up to 256 printable ASCII characters a word");
      words.push_back(std::move(word));
    }
  }
  if (words.size() > kWordsMax) return invalid_argument("more than 64 words");
  return words;
}

Setter words(std::vector<std::string> Settings::*member) {
  return [member](const Values& values, Settings* settings, Warnings*) -> Status {
    WEIR_ASSIGN_OR_RETURN(settings->*member, read_words(values));
    return ok_status();
  };
}

bool is_origin(const std::string& word) {
  if (word == "*" || word == "null") return true;
  const size_t scheme = word.find("://");
  return scheme != std::string::npos && scheme > 0 && scheme + 3 < word.size() &&
         word.find_first_of("/?#*", scheme + 3) == std::string::npos;
}

Status set_origins(const Values& values, Settings* settings, Warnings*) {
  WEIR_ASSIGN_OR_RETURN(std::vector<std::string> origins, read_words(values));
  for (std::string& origin : origins) {
    if (!is_origin(origin)) {
      return invalid_argument("'" + origin +
                              "' is no origin; write scheme, name and port as browsers do, without a path: "
                              "https://app.example.com, or * for any page");
    }
    origin = lower(origin);
  }
  settings->allow_origins = std::move(origins);
  return ok_status();
}

Status set_hosts(const Values& values, Settings* settings, Warnings*) {
  WEIR_ASSIGN_OR_RETURN(std::vector<std::string> hosts, read_words(values));
  for (std::string& host : hosts) {
    if (host.find_first_of("/:") != std::string::npos) {
      return invalid_argument("'" + host +
                              "' is no host name; write it without scheme and port, such as weir.example.com");
    }
    host = lower(host);
  }
  settings->allowed_hosts = std::move(hosts);
  return ok_status();
}

}  // namespace

std::vector<SettingOption> browser_options() {
  using S = Settings;
  return {
      {{"allowed-hosts", "NAME...", kBrowsers, "without keys: names it answers to besides its own; *: any", "",
        true},
       set_hosts},
      {{"allow-origins", "ORIGIN...", kBrowsers, "pages that may use it, such as https://app.example.com; *: any",
        "", true},
       set_origins},
      {{"allow-credentials", "", kBrowsers, "those pages may send cookies and such; not with *", ""},
       switched_on(&S::allow_credentials)},
      {{"allow-methods", "METHOD...", kBrowsers, "that those pages may use", "*", true}, words(&S::allow_methods)},
      {{"allow-headers", "NAME...", kBrowsers, "that those pages may send", "*", true}, words(&S::allow_headers)},
  };
}

}  // namespace weir
