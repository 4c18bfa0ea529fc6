#include "text/detokenizer.h"

#include "text/tokenizer.h"

namespace weir {

Detokenizer::Detokenizer(const Tokenizer* tokenizer, bool skip_special_tokens)
    : tokenizer_(tokenizer), skip_special_tokens_(skip_special_tokens), state_(&tokenizer->decoder_chain()) {}

void Detokenizer::add(int32_t id, std::string* out) {
  if (!tokenizer_->has_token(id)) return;
  if (skip_special_tokens_ && tokenizer_->is_special(id)) return;
  state_.add(tokenizer_->id_to_token(id), out);
}

void Detokenizer::finish(std::string* out) { state_.finish(out); }

}  // namespace weir
