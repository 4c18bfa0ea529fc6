#include "text/tokenizer_json.h"

#include <algorithm>
#include <boost/json.hpp>
#include <unordered_map>

namespace weir {
namespace json = boost::json;
namespace {

std::string_view view(const json::string& text) { return {text.data(), text.size()}; }

Status read_merge(const json::value& merge, const std::string& where, BpeSpec* spec) {
  if (const json::array* pair = merge.if_array()) {
    if (pair->size() != 2 || !(*pair)[0].is_string() || !(*pair)[1].is_string()) {
      return json_error(where, "expected [\"left\", \"right\"]");
    }
    spec->merges.emplace_back(view((*pair)[0].get_string()), view((*pair)[1].get_string()));
    return ok_status();
  }
  if (!merge.is_string()) return json_error(where, "expected \"left right\" or [\"left\", \"right\"]");
  const std::string_view line = view(merge.get_string());
  if (line.starts_with("#version")) return ok_status();
  const size_t space = line.find(' ');
  if (space == line.npos || line.find(' ', space + 1) != line.npos) {
    return json_error(where, "expected two tokens with one space between them");
  }
  spec->merges.emplace_back(line.substr(0, space), line.substr(space + 1));
  return ok_status();
}

Status read_merges(const json::object& model, BpeSpec* spec) {
  const json::value* merges = json_member(model, "merges");
  if (merges == nullptr || !merges->is_array()) return json_error("model", "merges must be an array");
  spec->merges.reserve(merges->get_array().size());
  for (size_t i = 0; i < merges->get_array().size(); ++i) {
    WEIR_RETURN_IF_ERROR(read_merge(merges->get_array()[i], "model.merges[" + std::to_string(i) + "]", spec));
  }
  return ok_status();
}

// Options of the model that would change every id, and that no causal language model uses.
Status refuse_options(const json::object& model) {
  const json::value* dropout = json_member(model, "dropout");
  if (dropout != nullptr && !(dropout->is_double() && dropout->get_double() == 0.0)) {
    return Status(Code::kUnimplemented, "model.dropout: random merges are not supported; set it to null");
  }
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const json::value* value = json_member(model, key);
    if (value != nullptr && !(value->is_string() && value->get_string().empty())) {
      return Status(Code::kUnimplemented, std::string("model.") + key + " is not supported; only null and \"\" are");
    }
  }
  return ok_status();
}

Status read_model(const json::value& value, BpeSpec* spec) {
  WEIR_ASSIGN_OR_RETURN(const json::object* model, json_object(value, "model"));
  if (json_member(*model, "type") != nullptr) {
    WEIR_ASSIGN_OR_RETURN(const std::string type, json_string(*model, "type", "model"));
    if (type != "BPE") {
      return Status(Code::kUnimplemented, "model.type " + type.substr(0, 64) + " is not supported; supported: BPE");
    }
  }
  WEIR_RETURN_IF_ERROR(refuse_options(*model));
  if (json_member(*model, "unk_token") != nullptr) {
    WEIR_ASSIGN_OR_RETURN(spec->unk_token, json_string(*model, "unk_token", "model"));
  }
  WEIR_ASSIGN_OR_RETURN(spec->fuse_unk, json_bool(*model, "fuse_unk", false, "model"));
  WEIR_ASSIGN_OR_RETURN(spec->byte_fallback, json_bool(*model, "byte_fallback", false, "model"));
  WEIR_ASSIGN_OR_RETURN(spec->ignore_merges, json_bool(*model, "ignore_merges", false, "model"));
  const json::value* vocab = json_member(*model, "vocab");
  if (vocab == nullptr) return json_error("model", "vocab is missing");
  WEIR_RETURN_IF_ERROR(read_vocab(*vocab, "model.vocab", spec));
  return read_merges(*model, spec);
}

Status read_added_tokens(const json::value& value, TokenizerSpec* spec) {
  if (!value.is_array()) return json_error("added_tokens", "expected an array");
  for (size_t i = 0; i < value.get_array().size(); ++i) {
    const std::string where = "added_tokens[" + std::to_string(i) + "]";
    WEIR_ASSIGN_OR_RETURN(const json::object* token, json_object(value.get_array()[i], where));
    const json::value* id = json_member(*token, "id");
    if (id == nullptr) return json_error(where, "id is missing");
    WEIR_ASSIGN_OR_RETURN(const int64_t number, json_int(*id, kTokenIdMax, where + ".id"));
    WEIR_RETURN_IF_ERROR(read_added_token(*token, number, where, spec));
  }
  return ok_status();
}

}  // namespace

Status read_vocab(const json::value& value, std::string_view where, BpeSpec* spec) {
  WEIR_ASSIGN_OR_RETURN(const json::object* vocab, json_object(value, where));
  spec->vocab.reserve(vocab->size());
  for (const auto& [token, id] : *vocab) {
    WEIR_ASSIGN_OR_RETURN(const int64_t number, json_int(id, kTokenIdMax, where));
    spec->vocab.emplace_back(std::string_view(token.data(), token.size()), static_cast<int32_t>(number));
  }
  return ok_status();
}

Status read_added_token(const json::object& object, int64_t id, std::string_view where, TokenizerSpec* spec) {
  AddedTokenSpec token;
  token.id = static_cast<int32_t>(id);
  WEIR_ASSIGN_OR_RETURN(token.content, json_string(object, "content", where));
  if (token.content.empty()) return ok_status();  // matches nothing; other readers skip it too
  if (token.content.size() > kAddedTokenBytesMax) {
    return json_error(where, "content is longer than " + std::to_string(kAddedTokenBytesMax) + " bytes");
  }
  WEIR_ASSIGN_OR_RETURN(token.special, json_bool(object, "special", false, where));
  WEIR_ASSIGN_OR_RETURN(token.single_word, json_bool(object, "single_word", false, where));
  WEIR_ASSIGN_OR_RETURN(token.lstrip, json_bool(object, "lstrip", false, where));
  WEIR_ASSIGN_OR_RETURN(token.rstrip, json_bool(object, "rstrip", false, where));
  WEIR_ASSIGN_OR_RETURN(token.normalized, json_bool(object, "normalized", !token.special, where));
  spec->added.push_back(std::move(token));
  return ok_status();
}

// An added token may repeat a token of the vocabulary under the same id; any other double claim would make ids
// mean different things to the model and to us.
Status check_ids(TokenizerSpec* spec) {
  std::unordered_map<int32_t, std::string_view> by_id;
  std::unordered_map<std::string_view, int32_t> by_text;
  auto claim = [&](std::string_view text, int32_t id) {
    const bool same_id = by_id.emplace(id, text).first->second == text;
    const bool same_text = by_text.emplace(text, id).first->second == id;
    if (same_id && same_text) return ok_status();
    return data_loss("token id " + std::to_string(id) + " (" + std::string(text.substr(0, 64)) +
                     ") is claimed twice; the tokenizer file is damaged");
  };
  by_id.reserve(spec->model.vocab.size());
  by_text.reserve(spec->model.vocab.size());
  for (const auto& [text, id] : spec->model.vocab) WEIR_RETURN_IF_ERROR(claim(text, id));
  for (const auto& token : spec->added) WEIR_RETURN_IF_ERROR(claim(token.content, token.id));
  std::unordered_map<int32_t, size_t> last;  // a token listed twice: the later entry says how it matches
  std::vector<AddedTokenSpec> unique;
  for (auto& token : spec->added) {
    const auto [it, fresh] = last.emplace(token.id, unique.size());
    if (fresh) {
      unique.push_back(std::move(token));
    } else {
      unique[it->second] = std::move(token);
    }
  }
  spec->added = std::move(unique);
  return ok_status();
}

Result<TokenizerSpec> parse_tokenizer_json(std::string_view text) {
  WEIR_ASSIGN_OR_RETURN(const JsonDocument document, JsonDocument::parse(text, "tokenizer.json"));
  WEIR_ASSIGN_OR_RETURN(const json::object* root, json_object(document.root(), "tokenizer.json"));
  TokenizerSpec spec;
  const json::value* model = json_member(*root, "model");
  if (model == nullptr) return json_error("tokenizer.json", "model is missing");
  WEIR_RETURN_IF_ERROR(read_model(*model, &spec.model));
  if (const auto* part = json_member(*root, "added_tokens")) WEIR_RETURN_IF_ERROR(read_added_tokens(*part, &spec));
  WEIR_RETURN_IF_ERROR(check_ids(&spec));
  if (const auto* part = json_member(*root, "normalizer")) {
    WEIR_RETURN_IF_ERROR(read_normalizer(*part, "normalizer", &spec.normalizers));
  }
  if (const auto* part = json_member(*root, "pre_tokenizer")) {
    WEIR_RETURN_IF_ERROR(read_pretokenizer(*part, "pre_tokenizer", &spec.pretokenizers));
  }
  if (const auto* part = json_member(*root, "decoder")) {
    WEIR_RETURN_IF_ERROR(read_decoder(*part, "decoder", &spec.decoders));
  } else {
    spec.decoders.push_back({DecoderSpec::Kind::kJoinWithSpaces});
  }
  if (const auto* part = json_member(*root, "post_processor")) {
    WEIR_RETURN_IF_ERROR(read_post_processor(*part, "post_processor", &spec.templates));
  }
  return spec;
}

}  // namespace weir
