// turn_end_token: the token by which a chat template ends an assistant's turn, found by rendering one.
//
// A chat must end there whatever the model's files say of end tokens: many name another one, or none. At load, any
// thread; it renders the template twice at most, within ChatTemplate's limits.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/status.h"

namespace weir {

class ChatTemplate;
class Tokenizer;

// bos, eos: the special tokens as text, as chats are rendered with them. RETURNS: the special token that follows an
// assistant's words; where nothing follows the last turn, the one that follows them before the next user's. Nothing
// where the template fails on two plain messages, or marks no end.
std::optional<int32_t> turn_end_token(const ChatTemplate& chat_template, const Tokenizer& tokenizer,
                                      std::string_view bos, std::string_view eos);

}  // namespace weir
