#include "server/end_tokens.h"

#include <fmt/format.h>

#include <algorithm>

#include "checkpoint/printable.h"

namespace weir {
namespace {

using Ids = std::vector<int32_t>;

// What one file says; no ids: nothing.
struct Source {
  std::string_view name;
  Ids ids;
};

Ids sorted(const std::vector<int64_t>& ids) {
  Ids out(ids.begin(), ids.end());
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

bool holds(const Ids& ids, int32_t id) { return std::binary_search(ids.begin(), ids.end(), id); }

Ids union_of(const std::vector<Source>& sources) {
  std::vector<int64_t> all;
  for (const Source& source : sources) all.insert(all.end(), source.ids.begin(), source.ids.end());
  return sorted(all);
}

// Every file that says something says the same.
bool agree(const std::vector<Source>& sources, const Ids& all) {
  return std::all_of(sources.begin(), sources.end(),
                     [&](const Source& source) { return source.ids.empty() || source.ids == all; });
}

std::string token_text(const Tokenizer& tokenizer, int32_t id) {
  return fmt::format("{} '{}'", id, printable(tokenizer.id_to_token(id), 40));
}

// "2 '<|im_end|>' (config.json, tokenizer_config.json), 7 '<eos>' (generation_config.json)"
std::string named(const Ids& all, const std::vector<Source>& sources, const Tokenizer& tokenizer) {
  std::string out;
  for (const int32_t id : all) {
    std::string files;
    for (const Source& source : sources) {
      if (holds(source.ids, id)) files += (files.empty() ? "" : ", ") + std::string(source.name);
    }
    out += fmt::format("{}{} ({})", out.empty() ? "" : ", ", token_text(tokenizer, id), files);
  }
  return out;
}

}  // namespace

EndTokens end_tokens_of(const ModelSpec& spec, const Tokenizer& tokenizer, std::string_view eos,
                        std::optional<int32_t> turn_end) {
  std::vector<Source> sources = {{"generation_config.json", sorted(spec.eos_of_generation)},
                                 {"config.json", sorted(spec.eos_of_config)},
                                 {"tokenizer_config.json", {}}};
  const std::optional<int32_t> own = eos.empty() ? std::nullopt : tokenizer.token_to_id(eos);
  if (own && *own < spec.vocab) sources.back().ids = {*own};
  EndTokens out{.everything = union_of(sources), .chats = {}, .line = {}};
  const bool turn = turn_end && *turn_end < spec.vocab && !holds(out.everything, *turn_end);
  if (turn) out.chats = {*turn_end};
  out.unknown = out.everything.empty() && !turn;
  if (out.unknown) {
    out.line =
        "no end token is known: neither the model's files nor its chat template name one, so answers end at "
        "max_tokens";
  } else if (turn || !agree(sources, out.everything)) {
    out.line = "end tokens: " + named(out.everything, sources, tokenizer);
    if (turn) {
      out.line += fmt::format("{}chats end with {} (the chat template's)", out.everything.empty() ? "" : "; ",
                              token_text(tokenizer, *turn_end));
    }
  }
  return out;
}

}  // namespace weir
