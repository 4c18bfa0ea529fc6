// Reads tokenizer files into a TokenizerSpec. Everything in them is taken to be hostile: types, ranges, sizes and
// nesting are checked here, so that the machinery may trust a spec.
//
// Owner: text room, during load; one thread. Memory while reading: at most kJsonBytesMax for the parsed document.
#pragma once

#include <memory>
#include <string_view>

#include "base/status.h"
#include "text/tokenizer_spec.h"

namespace boost::json {
class value;
class object;
}  // namespace boost::json

namespace weir {

// A whole tokenizer.json. ERRORS: kDataLoss, kTooLarge, kUnimplemented.
Result<TokenizerSpec> parse_tokenizer_json(std::string_view json);

// A parsed document; views into it live as long as it does.
class JsonDocument {
 public:
  // what: the file's name, for messages. ERRORS: kDataLoss, kTooLarge.
  static Result<JsonDocument> parse(std::string_view json, std::string_view what);
  JsonDocument(JsonDocument&&) noexcept;
  ~JsonDocument();

  const boost::json::value& root() const;

 private:
  struct Impl;
  explicit JsonDocument(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The readers of single parts. `where` is the path for messages, such as "pre_tokenizer".
// ERRORS: kDataLoss, kUnimplemented.
Status read_vocab(const boost::json::value& value, std::string_view where, BpeSpec* spec);
Status read_added_token(const boost::json::object& object, int64_t id, std::string_view where, TokenizerSpec* spec);
Status read_normalizer(const boost::json::value& value, std::string_view where, std::vector<NormalizerSpec>* out);
Status read_pretokenizer(const boost::json::value& value, std::string_view where,
                         std::vector<PretokenizerSpec>* out);
Status read_decoder(const boost::json::value& value, std::string_view where, std::vector<DecoderSpec>* out);
Status read_post_processor(const boost::json::value& value, std::string_view where, std::vector<TemplateSpec>* out);
// Ids that two tokens claim, in the vocabulary or between it and the added tokens.
Status check_ids(TokenizerSpec* spec);

// Members of an object; a missing one and null mean the same. ERRORS: kDataLoss, naming where and key.
const boost::json::value* json_member(const boost::json::object& object, std::string_view key);
Result<const boost::json::object*> json_object(const boost::json::value& value, std::string_view where);
Result<bool> json_bool(const boost::json::object& object, std::string_view key, bool fallback, std::string_view where);
Result<std::string> json_string(const boost::json::object& object, std::string_view key, std::string_view where);
Result<int64_t> json_int(const boost::json::value& value, int64_t max, std::string_view where);  // 0..max
Status json_error(std::string_view where, std::string_view what);

}  // namespace weir
