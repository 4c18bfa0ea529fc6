// setters: how the text of one setting becomes a member of Settings, for the tables in options*.cc alone.
//
// Each gives a function that checks the text and writes the member, or says in one line what to write instead. Thread:
// main, before any other is started.
#pragma once

#include <algorithm>
#include <charconv>
#include <functional>
#include <string>
#include <vector>

#include "base/units.h"
#include "config/options.h"
#include "config/values.h"

namespace weir {

using Values = std::vector<std::string>;
using Warnings = std::vector<std::string>;
using Setter = std::function<Status(const Values&, Settings*, Warnings*)>;

inline Setter text(std::string Settings::*member) {
  return [member](const Values& values, Settings* settings, Warnings*) {
    settings->*member = values.back();
    return ok_status();
  };
}

inline Setter word(std::string Settings::*member, std::vector<std::string> allowed) {
  return [member, allowed](const Values& values, Settings* settings, Warnings*) -> Status {
    if (std::find(allowed.begin(), allowed.end(), values.back()) == allowed.end()) {
      std::string list;
      for (const std::string& one : allowed) list += (list.empty() ? "" : ", ") + one;
      return invalid_argument("'" + values.back() + "' is not supported; choose " + list);
    }
    settings->*member = values.back();
    return ok_status();
  };
}

template <class Number>
Setter integer(Number Settings::*member, int64_t min, int64_t max) {
  return [=](const Values& values, Settings* settings, Warnings*) -> Status {
    WEIR_ASSIGN_OR_RETURN(const int64_t number, parse_integer(values.back(), min, max));
    settings->*member = static_cast<Number>(number);
    return ok_status();
  };
}

inline Setter fraction(double Settings::*member) {
  return [member](const Values& values, Settings* settings, Warnings*) -> Status {
    const std::string& text = values.back();
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    if (error != std::errc() || end != text.data() + text.size() || !(number > 0 && number <= 1)) {
      return invalid_argument("'" + text + "' is no share; write a number above 0 and up to 1, such as 0.9");
    }
    settings->*member = number;
    return ok_status();
  };
}

inline Setter boolean(bool Settings::*member) {
  return [member](const Values& values, Settings* settings, Warnings*) -> Status {
    WEIR_ASSIGN_OR_RETURN(settings->*member, parse_bool(values.back()));
    return ok_status();
  };
}

// A flag without a value, which the environment and a file may still switch off.
inline Setter switched_on(bool Settings::*member) {
  return [member](const Values& values, Settings* settings, Warnings* warnings) -> Status {
    if (!values.empty()) return boolean(member)(values, settings, warnings);
    settings->*member = true;
    return ok_status();
  };
}

inline Setter duration(int64_t Settings::*member) {
  return [member](const Values& values, Settings* settings, Warnings*) -> Status {
    WEIR_ASSIGN_OR_RETURN(settings->*member, parse_duration_ms(values.back()));
    return ok_status();
  };
}

inline Setter bytes(uint64_t Settings::*member, uint64_t min, uint64_t max, bool zero_allowed) {
  return [=](const Values& values, Settings* settings, Warnings*) -> Status {
    WEIR_ASSIGN_OR_RETURN(const uint64_t number, parse_bytes(values.back()));
    if (!(zero_allowed && number == 0) && (number < min || number > max)) {
      return invalid_argument("'" + values.back() + "' is out of range; choose " + format_bytes(min) + " to " +
                              format_bytes(max));
    }
    settings->*member = number;
    return ok_status();
  };
}

// The flags of concurrency control, in options_concurrency.cc; a part of setting_options().
std::vector<SettingOption> concurrency_options();
// Those about browsers, in options_browser.cc.
std::vector<SettingOption> browser_options();

}  // namespace weir
