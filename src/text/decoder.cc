#include "text/decoder.h"

#include <algorithm>
#include <utility>

#include "text/byte_level.h"
#include "text/normalizer.h"
#include "text/unicode.h"

namespace weir {
namespace {

using Kind = DecoderSpec::Kind;

// Longer than any token text that a replacement could honestly make.
constexpr size_t kReplacedBytesMax = size_t{64} << 20;

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// <0xE2> as 0xE2, or -1. A plus sign may stand for the first digit, as number parsers have it.
int fallback_byte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return -1;
  const int high = token[3] == '+' ? 0 : hex_value(token[3]);
  const int low = hex_value(token[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

std::string byte_level_bytes(std::string_view token) {
  std::string bytes;
  // A token outside the alphabet (an added token with a space, say) stands for its own text.
  if (!byte_level_decode(token, &bytes)) bytes = token;
  return bytes;
}

std::string replaced(const DecoderSpec& spec, std::string_view token) {
  std::string text(token);
  const Status status = replace_all(*spec.regex, spec.text, kReplacedBytesMax, &text);
  return status.ok() ? text : std::string(token);  // a pattern that gives up leaves the token as it is
}

std::string with_replaced(std::string_view what, std::string_view with, std::string_view token) {
  std::string out;
  while (!what.empty()) {
    const size_t at = token.find(what);
    if (at == token.npos) break;
    out.append(token.substr(0, at)).append(with);
    token.remove_prefix(at + what.size());
  }
  return out.append(token);
}

// Stages that must see a token whole before they can do anything with it.
bool needs_whole(const DecoderSpec& spec) {
  const Kind kind = spec.kind;
  return kind == Kind::kByteLevel || kind == Kind::kByteFallback || kind == Kind::kBpe ||
         (kind == Kind::kReplace && spec.literal.empty());
}

// How many bytes at the end of `text` may be the beginning of `literal`.
size_t beginning_at_end(std::string_view text, std::string_view literal) {
  size_t bytes = std::min(text.size(), literal.size() - 1);
  while (bytes > 0 && text.substr(text.size() - bytes) != literal.substr(0, bytes)) --bytes;
  return bytes;
}

// RETURNS: what Strip leaves of a token of which nothing went before; `stop` is how many characters its end may lose.
std::string_view stripped(const DecoderSpec& spec, uint32_t stop, std::string_view token) {
  for (uint32_t i = 0; i < spec.start && token.starts_with(spec.text); ++i) token.remove_prefix(spec.text.size());
  for (uint32_t i = 0; i < stop && token.ends_with(spec.text); ++i) token.remove_suffix(spec.text.size());
  return token;
}

}  // namespace

DecoderState::DecoderState(const DecoderChain* chain) : chain_(chain), stages_(chain->stages().size()) {}

size_t DecoderState::held_bytes() const {
  size_t bytes = 0;
  for (const Stage& stage : stages_) bytes += stage.held.size() + stage.run.size();
  return bytes;
}

std::string_view DecoderState::unfinished() const {
  for (size_t i = 0; i < stages_.size(); ++i) {
    const Kind kind = chain_->stages()[i].kind;
    if (kind == Kind::kByteLevel || kind == Kind::kByteFallback) return stages_[i].run;
  }
  return {};
}

void DecoderState::add(std::string_view token, std::string* out) {
  at_start_ = false;
  push(0, token, true, out);
}

void DecoderState::finish(std::string* out) {
  for (size_t i = 0; i < stages_.size(); ++i) flush(i, out);
}

// A token may arrive in chunks, the last of which says so; chunks never cut a character.
void DecoderState::push(size_t stage, std::string_view chunk, bool last, std::string* out) {
  if (stage == stages_.size()) {
    out->append(chunk);
    return;
  }
  const DecoderSpec& spec = chain_->stages()[stage];
  Stage& state = stages_[stage];
  if (needs_whole(spec)) {
    if (last && state.held.empty()) return push_whole(stage, chunk, out);
    state.held.append(chunk);
    if (!last) return;
    const std::string token = std::exchange(state.held, {});
    return push_whole(stage, token, out);
  }
  switch (spec.kind) {
    case Kind::kStrip: return push_strip(stage, chunk, last, out);
    case Kind::kMetaspace: return push_metaspace(stage, chunk, last, out);
    case Kind::kReplace:
      return push_literal(stage, chunk, last, out);
    case Kind::kFuse: return push(stage + 1, chunk, false, out);
    default: break;  // kJoinWithSpaces
  }
  if (!state.past_start && state.tokens > 0) push(stage + 1, " ", true, out);
  state.past_start = !last;
  state.tokens += last;
  push(stage + 1, chunk, last, out);
}

void DecoderState::push_whole(size_t stage, std::string_view token, std::string* out) {
  const DecoderSpec& spec = chain_->stages()[stage];
  switch (spec.kind) {
    case Kind::kByteLevel: return push_byte_level(stage, token, out);
    case Kind::kByteFallback: return push_byte_fallback(stage, token, out);
    case Kind::kReplace: return push(stage + 1, replaced(spec, token), true, out);
    default:
      return push_bpe(stage, token, out);
  }
}

// Everything becomes one token of bytes, read as UTF-8 with replacement characters.
void DecoderState::push_byte_level(size_t stage, std::string_view token, std::string* out) {
  std::string text;
  utf8_lossy_append(byte_level_bytes(token), &stages_[stage].run, &text);
  push(stage + 1, text, false, out);
}

// A run of byte tokens is one token of text, whose characters go on as they complete.
void DecoderState::push_byte_fallback(size_t stage, std::string_view token, std::string* out) {
  Stage& state = stages_[stage];
  const int byte = fallback_byte(token);
  if (byte < 0) {
    end_run(stage, out);
    return push(stage + 1, token, true, out);
  }
  state.past_start = true;
  const char bytes[] = {static_cast<char>(byte)};
  std::string text;
  utf8_lossy_append({bytes, 1}, &state.run, &text);
  if (!text.empty()) push(stage + 1, text, false, out);
}

void DecoderState::end_run(size_t stage, std::string* out) {
  if (!std::exchange(stages_[stage].past_start, false)) return;
  std::string text;
  utf8_lossy_finish(&stages_[stage].run, &text);
  push(stage + 1, text, true, out);
}

// Replaces the literal wherever it stands in the token; its beginning at the end of a chunk waits for the next one.
void DecoderState::push_literal(size_t stage, std::string_view chunk, bool last, std::string* out) {
  const DecoderSpec& spec = chain_->stages()[stage];
  std::string text = std::exchange(stages_[stage].held, {});
  text.append(chunk);
  std::string_view rest = text;
  std::string done;
  for (size_t at; (at = rest.find(spec.literal)) != rest.npos; rest.remove_prefix(at + spec.literal.size())) {
    done.append(rest.substr(0, at)).append(spec.text);
  }
  const size_t hold = last ? 0 : beginning_at_end(rest, spec.literal);
  stages_[stage].held = rest.substr(rest.size() - hold);
  done.append(rest.substr(0, rest.size() - hold));
  push(stage + 1, done, last, out);
}

// Drops up to `start` of the character from the front of each token and up to `stop` from its end; the latter
// are held back until the token goes on or ends.
void DecoderState::push_strip(size_t stage, std::string_view chunk, bool last, std::string* out) {
  const DecoderSpec& spec = chain_->stages()[stage];
  Stage& state = stages_[stage];
  while (!state.past_start && !chunk.empty()) {
    if (state.count < spec.start && chunk.starts_with(spec.text)) {
      chunk.remove_prefix(spec.text.size());
      ++state.count;
    } else {
      state.past_start = true;
    }
  }
  std::string text = std::exchange(state.held, {});
  text.append(chunk);
  size_t keep = text.size();
  for (uint32_t i = 0; i < spec.stop && std::string_view(text).substr(0, keep).ends_with(spec.text); ++i) {
    keep -= spec.text.size();
  }
  if (!last) {
    state.held = text.substr(keep);
  } else {
    state.count = 0;
    state.past_start = false;
  }
  push(stage + 1, std::string_view(text).substr(0, keep), last, out);
}

void DecoderState::push_metaspace(size_t stage, std::string_view chunk, bool last, std::string* out) {
  const DecoderSpec& spec = chain_->stages()[stage];
  const bool drop = stages_[stage].tokens == 0 && spec.prepend != PrependScheme::kNever;
  stages_[stage].tokens += last;
  push(stage + 1, with_replaced(spec.text, drop ? "" : " ", chunk), last, out);
}

// Every token but the final one has its word-end suffix turned into a space, so a token is held back from its
// suffix on.
void DecoderState::push_bpe(size_t stage, std::string_view token, std::string* out) {
  const std::string& suffix = chain_->stages()[stage].text;
  end_bpe_token(stage, false, out);
  stages_[stage].past_start = true;
  const size_t sure = suffix.empty() ? token.size() : std::min(token.find(suffix), token.size());
  stages_[stage].run = token.substr(sure);
  push(stage + 1, token.substr(0, sure), false, out);
}

void DecoderState::end_bpe_token(size_t stage, bool final, std::string* out) {
  Stage& state = stages_[stage];
  if (!std::exchange(state.past_start, false)) return;
  push(stage + 1, with_replaced(chain_->stages()[stage].text, final ? "" : " ", state.run), true, out);
  state.run.clear();
}

void DecoderState::flush(size_t stage, std::string* out) {
  Stage& state = stages_[stage];
  switch (chain_->stages()[stage].kind) {
    case Kind::kByteLevel: {
      std::string text;
      utf8_lossy_finish(&state.run, &text);
      return push(stage + 1, text, true, out);
    }
    case Kind::kByteFallback:
      return end_run(stage, out);
    case Kind::kFuse: return push(stage + 1, {}, true, out);
    case Kind::kBpe:
      return end_bpe_token(stage, true, out);
    default: return;  // the others hold nothing once a token has ended
  }
}

std::string DecoderChain::bytes_of(std::string_view token, bool at_start) const {
  std::string text(token);
  bool fused = false;
  for (const DecoderSpec& spec : stages_) {
    switch (spec.kind) {
      case Kind::kByteLevel: return byte_level_bytes(text);
      case Kind::kByteFallback:
        if (const int byte = fallback_byte(text); byte >= 0) text.assign(1, static_cast<char>(byte));
        if (!utf8_valid(text)) return text;  // a piece of a character: no later stage looks at those
        break;
      case Kind::kReplace: text = replaced(spec, text); break;
      case Kind::kMetaspace:
        text = with_replaced(spec.text, at_start && spec.prepend != PrependScheme::kNever ? "" : " ", text);
        break;
      case Kind::kBpe: text = with_replaced(spec.text, " ", text); break;
      case Kind::kJoinWithSpaces:
        if (!at_start) text.insert(0, " ");
        break;
      case Kind::kFuse:
        fused = true;
        break;
      case Kind::kStrip:  // of a fused text, its beginning alone: where it ends is not known yet
        if (!fused || at_start) text = std::string(stripped(spec, fused ? 0 : spec.stop, text));
        break;
    }
  }
  return text;
}

}  // namespace weir
