#include "text/detokenizer.h"

#include "text/tokenizer.h"

namespace weir {
namespace {

// So many tokens that give text decide what follows them: an unfinished character has at most three, and what else
// a decoder remembers of a text (that it has begun, the token before) is in the last one.
constexpr int kTokensThatMatter = 8;

}  // namespace

Detokenizer::Detokenizer(const Tokenizer* tokenizer, bool skip_special_tokens)
    : tokenizer_(tokenizer), skip_special_tokens_(skip_special_tokens), state_(&tokenizer->decoder_chain()) {}

bool Detokenizer::hides(int32_t id) const { return skip_special_tokens_ && tokenizer_->is_special(id); }

void Detokenizer::follow(std::span<const int32_t> ids) {
  size_t from = ids.size();
  for (int seen = 0; from > 0 && seen < kTokensThatMatter; --from) {
    seen += tokenizer_->has_token(ids[from - 1]) && !hides(ids[from - 1]);
  }
  std::string unused;
  for (const int32_t id : ids.subspan(from)) add(id, &unused);
}

void Detokenizer::add(int32_t id, std::string* out) {
  if (!tokenizer_->has_token(id) || hides(id)) return;
  state_.add(tokenizer_->id_to_token(id), out);
}

void Detokenizer::finish(std::string* out) { state_.finish(out); }

std::string Detokenizer::bytes_of(int32_t id) const {
  return tokenizer_->decoder_chain().bytes_of(tokenizer_->id_to_token(id), state_.at_start());
}

}  // namespace weir
