// Loading from files: tokenizer.json, or vocab.json + merges.txt as older repositories have them.
#include <sys/stat.h>

#include <boost/json.hpp>
#include <memory>

#include "base/files.h"
#include "text/tokenizer.h"
#include "text/tokenizer_json.h"
#include "text/unicode.h"

namespace weir {
namespace json = boost::json;
namespace {

bool is_file(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

Result<std::string> read_file(const std::string& path) { return read_small_file(path, kTokenizerFileBytesMax); }

// One "left right" a line; a "#version" line and empty lines mean nothing.
Status read_merges_txt(std::string_view text, BpeSpec* spec) {
  if (!utf8_valid(text)) return data_loss("merges.txt is not valid UTF-8");
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t newline = text.find('\n');
    std::string_view line = text.substr(0, newline);
    text.remove_prefix(newline == text.npos ? text.size() : newline + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with("#version")) continue;
    const size_t space = line.find(' ');
    if (space == line.npos || line.find(' ', space + 1) != line.npos) {
      return data_loss("merges.txt line " + std::to_string(number) + ": expected two tokens with one space");
    }
    spec->merges.emplace_back(line.substr(0, space), line.substr(space + 1));
  }
  return ok_status();
}

// tokenizer_config.json's added_tokens_decoder: {"151643": {"content": .., "special": ..}, ..}
Status read_added_decoder(const json::object& config, TokenizerSpec* spec) {
  const json::value* tokens = json_member(config, "added_tokens_decoder");
  if (tokens == nullptr) return ok_status();
  WEIR_ASSIGN_OR_RETURN(const json::object* entries, json_object(*tokens, "added_tokens_decoder"));
  for (const auto& [key, value] : *entries) {
    const std::string where = "added_tokens_decoder." + std::string(key.data(), key.size()).substr(0, 32);
    int64_t id = 0;
    for (const char c : key) {
      if (c < '0' || c > '9' || id > kTokenIdMax) return json_error(where, "the key must be a token id");
      id = id * 10 + (c - '0');
    }
    if (key.empty() || id > kTokenIdMax) return json_error(where, "the key must be a token id");
    WEIR_ASSIGN_OR_RETURN(const json::object* token, json_object(value, where));
    WEIR_RETURN_IF_ERROR(read_added_token(*token, id, where, spec));
  }
  return ok_status();
}

// A token written as "text" or as {"content": "text"}.
std::string token_text(const json::object& config, std::string_view key) {
  const json::value* value = json_member(config, key);
  if (value != nullptr && value->is_object()) value = json_member(value->get_object(), "content");
  if (value == nullptr || !value->is_string()) return {};
  return {value->get_string().data(), value->get_string().size()};
}

Status add_bos_template(const json::object& config, TokenizerSpec* spec) {
  WEIR_ASSIGN_OR_RETURN(const bool wanted, json_bool(config, "add_bos_token", false, "tokenizer_config.json"));
  if (!wanted) return ok_status();
  const std::string bos = token_text(config, "bos_token");
  for (const auto& [text, id] : spec->model.vocab) {
    if (text == bos) spec->templates = {TemplateSpec{{{false, {id}}, {true, {}}}}};
  }
  for (const auto& token : spec->added) {
    if (token.content == bos) spec->templates = {TemplateSpec{{{false, {token.id}}, {true, {}}}}};
  }
  if (!spec->templates.empty()) return ok_status();
  return data_loss("tokenizer_config.json: add_bos_token is set, and bos_token is not in the vocabulary");
}

// What the two classes that still come without tokenizer.json do to text.
Status apply_class(const json::object& config, TokenizerSpec* spec) {
  WEIR_ASSIGN_OR_RETURN(std::string name, json_string(config, "tokenizer_class", "tokenizer_config.json"));
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  PretokenizerSpec bytes{PretokenizerSpec::Kind::kByteLevel};
  WEIR_ASSIGN_OR_RETURN(bytes.add_prefix_space,
                        json_bool(config, "add_prefix_space", false, "tokenizer_config.json"));
  spec->decoders.push_back({DecoderSpec::Kind::kByteLevel});
  if (name == "Qwen2Tokenizer") {
    PretokenizerSpec scan{PretokenizerSpec::Kind::kScan};
    scan.scan = ScanPattern::kQwen2;
    bytes.use_regex = false;
    spec->normalizers = {NormalizerSpec{NormalizerSpec::Kind::kNfc}};
    spec->pretokenizers = {scan, bytes};
    return ok_status();
  }
  if (name == "GPT2Tokenizer") {
    spec->pretokenizers = {bytes};
    return ok_status();
  }
  return Status(Code::kUnimplemented, "tokenizer_class " + name.substr(0, 64) +
                                          " without a tokenizer.json is not supported; supported: Qwen2Tokenizer, "
                                          "GPT2Tokenizer. Save the repository with a tokenizer.json");
}

Result<TokenizerSpec> read_vocab_and_merges(const std::string& dir) {
  TokenizerSpec spec;
  WEIR_ASSIGN_OR_RETURN(const std::string vocab_text, read_file(dir + "/vocab.json"));
  WEIR_ASSIGN_OR_RETURN(const JsonDocument vocab, JsonDocument::parse(vocab_text, "vocab.json"));
  WEIR_RETURN_IF_ERROR(read_vocab(vocab.root(), "vocab.json", &spec.model));
  WEIR_ASSIGN_OR_RETURN(const std::string merges, read_file(dir + "/merges.txt"));
  WEIR_RETURN_IF_ERROR(read_merges_txt(merges, &spec.model));
  WEIR_ASSIGN_OR_RETURN(const std::string config_text, read_file(dir + "/tokenizer_config.json"));
  WEIR_ASSIGN_OR_RETURN(const JsonDocument config, JsonDocument::parse(config_text, "tokenizer_config.json"));
  WEIR_ASSIGN_OR_RETURN(const json::object* object, json_object(config.root(), "tokenizer_config.json"));
  WEIR_RETURN_IF_ERROR(read_added_decoder(*object, &spec));
  WEIR_RETURN_IF_ERROR(check_ids(&spec));
  WEIR_RETURN_IF_ERROR(apply_class(*object, &spec));
  WEIR_RETURN_IF_ERROR(add_bos_template(*object, &spec));
  return spec;
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> Tokenizer::load(const std::string& path) {
  WEIR_ASSIGN_OR_RETURN(const std::string text, read_file(path));
  auto tokenizer = parse(text);
  if (!tokenizer.ok()) return tokenizer.status().with_prefix(path);
  return tokenizer;
}

Result<std::unique_ptr<Tokenizer>> Tokenizer::load_dir(const std::string& dir) {
  if (is_file(dir + "/tokenizer.json")) return load(dir + "/tokenizer.json");
  if (!is_file(dir + "/vocab.json")) {
    return not_found(dir + ": has neither tokenizer.json nor vocab.json with merges.txt; point at a model repository");
  }
  auto spec = read_vocab_and_merges(dir);
  if (!spec.ok()) return spec.status().with_prefix(dir);
  return build(std::move(spec).value());
}

}  // namespace weir
