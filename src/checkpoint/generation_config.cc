#include "checkpoint/generation_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "checkpoint/printable.h"

namespace weir {
namespace {

namespace json = boost::json;

// One special id, as transformers takes it: a negative one is none. An id that the model has no row for can never
// come, so it is none either, and a note says so.
std::optional<int64_t> read_id(const json::value& value, std::string_view key, std::string_view file,
                               FieldReader* in, ModelSpec* spec) {
  const std::optional<int64_t> id = whole_number(value);
  if (!id) {
    in->fail(fmt::format("'{}' must be a token id, a list of ids, or null", key));
    return {};
  }
  if (*id < 0) return {};
  if (*id < spec->vocab) return id;
  spec->notes.push_back(
      fmt::format("{}: '{}' {} is beyond the model's {} ids and is not used", file, key, *id, spec->vocab));
  return {};
}

std::optional<double> optional_number(FieldReader* in, std::string_view key, double min, double max) {
  if (in->find(key) == nullptr) return {};
  return in->number(key, min, max);
}

// A count for which -1 and, where `least` is 1, 0 mean that there is none.
std::optional<int64_t> optional_count(FieldReader* in, std::string_view key, int64_t least) {
  if (in->find(key) == nullptr) return {};
  const int64_t count = in->integer(key, -1, (int64_t{1} << 31) - 1);
  return count < least ? std::nullopt : std::optional(count);
}

void read_sampling(FieldReader* in, SamplingDefaults* out) {
  out->temperature = optional_number(in, "temperature", 0, 100);
  out->top_p = optional_number(in, "top_p", 0, 1);
  if (in->find("top_k") != nullptr) out->top_k = optional_count(in, "top_k", 0).value_or(0);
  out->min_p = optional_number(in, "min_p", 0, 1);
  out->repetition_penalty = optional_number(in, "repetition_penalty", 1e-3, 100);
  out->presence_penalty = optional_number(in, "presence_penalty", -2, 2);
  out->frequency_penalty = optional_number(in, "frequency_penalty", -2, 2);
  if (in->find("do_sample") != nullptr) out->do_sample = in->boolean("do_sample", false);
  out->max_new_tokens = optional_count(in, "max_new_tokens", 1);
}

// What read_generation() reads, and what says nothing about an answer's tokens.
constexpr std::array<std::string_view, 28> kNoAdvice = {"temperature",
                                                        "top_p",
                                                        "top_k",
                                                        "min_p",
                                                        "repetition_penalty",
                                                        "presence_penalty",
                                                        "frequency_penalty",
                                                        "do_sample",
                                                        "max_new_tokens",
                                                        "eos_token_id",
                                                        "bos_token_id",
                                                        "pad_token_id",
                                                        "decoder_start_token_id",
                                                        "transformers_version",
                                                        "_from_model_config",
                                                        "_name_or_path",
                                                        "use_cache",
                                                        "cache_implementation",
                                                        "cache_config",
                                                        "return_dict_in_generate",
                                                        "output_attentions",
                                                        "output_hidden_states",
                                                        "output_scores",
                                                        "output_logits",
                                                        "trust_remote_code",
                                                        "low_memory",
                                                        "max_matching_ngram_size",
                                                        "is_assistant"};

// The values by which such fields are off: null, false, 0, 1, "" and empty lists.
bool is_off(const json::value& value) {
  if (value.is_null() || (value.is_bool() && !value.get_bool())) return true;
  if (value.is_array()) return value.get_array().empty();
  if (value.is_object()) return value.get_object().empty();
  if (value.is_string()) return value.get_string().empty();
  const std::optional<double> number = finite_number(value);
  return number && (*number == 0 || *number == 1);
}

void note_what_is_not_read(const json::object& object, ModelSpec* spec) {
  std::string names;
  for (const auto& member : object) {
    const std::string_view key(member.key().data(), member.key().size());
    if (is_off(member.value()) || std::find(kNoAdvice.begin(), kNoAdvice.end(), key) != kNoAdvice.end()) continue;
    names += (names.empty() ? "" : ", ") + printable(key, 40);
  }
  if (!names.empty()) spec->notes.push_back("generation_config.json: not read: " + printable(names, 400));
}

}  // namespace

// eos_token_id: one id or a list of at most 64.
std::vector<int64_t> read_eos(std::string_view file, FieldReader* in, ModelSpec* spec) {
  constexpr std::string_view kKey = "eos_token_id";
  const json::value* value = in->find(kKey);
  if (value == nullptr) return {};
  const json::array list = value->is_array() ? value->get_array() : json::array{*value};
  if (list.size() > 64) in->fail("'eos_token_id' must list at most 64 ids");
  std::vector<int64_t> out;
  for (const json::value& one : list) {
    if (const auto id = read_id(one, kKey, file, in, spec); id && out.size() < 64) out.push_back(*id);
  }
  return out;
}

void read_bos(std::string_view file, FieldReader* in, ModelSpec* spec) {
  const json::value* value = in->find("bos_token_id");
  if (value == nullptr) return;
  if (const auto id = read_id(*value, "bos_token_id", file, in, spec)) spec->bos = id;
}

Status read_generation(std::string_view text, ModelSpec* spec) {
  constexpr std::string_view kFile = "generation_config.json";
  WEIR_ASSIGN_OR_RETURN(const JsonObject object, parse_json_object(text, kFile, kConfigTextBytesMax));
  FieldReader in(object, std::string(kFile));
  read_bos(kFile, &in, spec);
  spec->eos_of_generation = read_eos(kFile, &in, spec);
  read_sampling(&in, &spec->sampling);
  note_what_is_not_read(object.object, spec);
  return in.status();
}

}  // namespace weir
