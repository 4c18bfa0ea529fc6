#include "text/bpe.h"

#include <algorithm>
#include <utility>

#include "text/byte_level.h"

namespace weir {
namespace {

constexpr size_t kCutBytesMin = 24;      // shorter pieces are not worth looking for cuts in
constexpr char32_t kCharIds = 0x3000;    // below: alphabets and the sentencepiece space; above, ideographs are many
constexpr size_t kLookupBytesMax = 256;  // no token that matters is longer; spares hashing a megabyte of one word

std::string fallback_name(int byte) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  return {'<', '0', 'x', kHex[byte >> 4], kHex[byte & 15], '>'};
}

}  // namespace

Result<std::unique_ptr<BpeModel>> BpeModel::build(const BpeSpec& spec, bool byte_level) {
  std::unique_ptr<BpeModel> model(new BpeModel());
  model->byte_level_ = byte_level;
  model->fuse_unk_ = spec.fuse_unk;
  model->byte_fallback_ = spec.byte_fallback;
  model->ignore_merges_ = spec.ignore_merges;
  std::vector<std::pair<std::string_view, int32_t>> entries(spec.vocab.begin(), spec.vocab.end());
  model->vocab_ = TokenTable(std::move(entries));
  model->has_unk_ = spec.unk_token.has_value();
  if (spec.unk_token) model->unk_id_ = model->vocab_.find(*spec.unk_token);
  for (int b = 0; b < 256; ++b) model->fallback_ids_[b] = model->vocab_.find(fallback_name(b));
  WEIR_RETURN_IF_ERROR(model->add_merges(spec));
  if (byte_level) {
    model->index_bytes();
  } else {
    model->index_characters(spec);
  }
  model->merges_to_itself_ = std::make_unique<std::atomic<uint8_t>[]>(static_cast<size_t>(model->vocab_.size()));
  return model;
}

Status BpeModel::add_merges(const BpeSpec& spec) {
  merges_.reserve(spec.merges.size());
  std::string joined;
  for (size_t rank = 0; rank < spec.merges.size(); ++rank) {
    const auto& [left, right] = spec.merges[rank];
    joined.assign(left).append(right);
    const int32_t ids[] = {vocab_.find(left), vocab_.find(right), vocab_.find(joined)};
    if (std::min({ids[0], ids[1], ids[2]}) < 0) {
      return data_loss("merge " + std::to_string(rank) +
                       " names a token that is not in the vocabulary; the tokenizer file is damaged");
    }
    merges_.insert(ids[0], ids[1], {static_cast<uint32_t>(rank), ids[2]});
  }
  return ok_status();
}

void BpeModel::index_bytes() {
  std::string raw_bytes;
  std::vector<std::pair<size_t, int32_t>> begins;
  for (int32_t id = 0; id < vocab_.size(); ++id) {
    begins.emplace_back(raw_bytes.size(), id);
    byte_level_decode(vocab_.text(id), &raw_bytes);  // a special token outside the alphabet leaves a hole
  }
  std::vector<std::pair<std::string_view, int32_t>> entries;
  for (size_t i = 0; i < begins.size(); ++i) {
    const size_t end = i + 1 < begins.size() ? begins[i + 1].first : raw_bytes.size();
    entries.emplace_back(std::string_view(raw_bytes).substr(begins[i].first, end - begins[i].first), begins[i].second);
  }
  raw_ = TokenTable(std::move(entries));
  for (int b = 0; b < 256; ++b) {
    const char byte = static_cast<char>(b);
    byte_ids_[b] = raw_.find({&byte, 1});
  }
}

void BpeModel::index_characters(const BpeSpec& spec) {
  char_ids_.resize(kCharIds);
  std::string character;
  for (char32_t cp = 0; cp < kCharIds; ++cp) {
    character.clear();
    utf8_append(cp, &character);
    char_ids_[cp] = vocab_.find(character);
  }
  std::vector<uint64_t> joins;
  joins.reserve(spec.merges.size());
  for (const auto& [left, right] : spec.merges) {
    joins.push_back(uint64_t{utf8_last(left).value} << 32 | utf8_decode(right.data()).value);
  }
  std::sort(joins.begin(), joins.end());
  joins.erase(std::unique(joins.begin(), joins.end()), joins.end());
  joins_.reserve(joins.size());
  for (const uint64_t join : joins) {
    const auto left = static_cast<int32_t>(join >> 32), right = static_cast<int32_t>(join);
    joins_.insert(left, right, {});
    if (left < 128 && right < 128) ascii_joins_[left * 2 + right / 64] |= uint64_t{1} << (right % 64);
  }
}

bool BpeModel::may_join(char32_t left, char32_t right) const {
  if (left < 128 && right < 128) return ascii_joins_[left * 2 + right / 64] >> (right % 64) & 1;
  return joins_.find(static_cast<int32_t>(left), static_cast<int32_t>(right)) != nullptr;
}

// The token that is this one character, or -1. at: where its bytes stand.
int32_t BpeModel::char_id(CodePoint cp, const char* at) const {
  return cp.value < kCharIds ? char_ids_[cp.value] : vocab_.find({at, cp.bytes});
}

uint64_t BpeModel::memory_bytes() const {
  return sizeof(*this) + vocab_.memory_bytes() + raw_.memory_bytes() + merges_.memory_bytes() +
         joins_.memory_bytes() + char_ids_.capacity() * sizeof(char_ids_[0]) + static_cast<uint64_t>(vocab_.size());
}

bool BpeModel::encode(std::string_view piece, BpeScratch* scratch, std::vector<int32_t>* out) const {
  if (ignore_merges_) {  // only a whole piece may skip the merges, never what encode_long cuts it into
    const int32_t id = (byte_level_ ? raw_ : vocab_).find(piece);
    if (id >= 0) {
      out->push_back(id);
      return true;
    }
  }
  if (byte_level_ || piece.size() < kCutBytesMin) return encode_segment(piece, scratch, out);
  return encode_long(piece, scratch, out);
}

// Cuts where both neighbours are characters of the vocabulary and no merge ends with the one and begins with the
// other: whatever either side grows into, it cannot cross. An unknown character is never cut from its neighbours,
// because it turns into tokens whose text is not its own.
bool BpeModel::encode_long(std::string_view piece, BpeScratch* scratch, std::vector<int32_t>* out) const {
  size_t begin = 0;
  CodePoint left = utf8_decode(piece.data());
  for (size_t at = left.bytes; at < piece.size();) {
    const CodePoint right = utf8_decode(piece.data() + at);
    const char* p = piece.data() + at;
    if (!may_join(left.value, right.value) && char_id(left, p - left.bytes) >= 0 && char_id(right, p) >= 0) {
      if (!encode_segment(piece.substr(begin, at - begin), scratch, out)) return false;
      begin = at;
    }
    left = right;
    at += right.bytes;
  }
  return encode_segment(piece.substr(begin), scratch, out);
}

bool BpeModel::encode_segment(std::string_view piece, BpeScratch* scratch, std::vector<int32_t>* out) const {
  const TokenTable& words = byte_level_ ? raw_ : vocab_;
  const bool look_up = piece.size() <= kLookupBytesMax;
  const uint64_t hash = look_up ? words.hash(piece) : 0;
  if (look_up) {
    const int32_t id = words.find(piece, hash);
    if (id >= 0 && merges_to_itself(id, scratch)) {
      out->push_back(id);
      return true;
    }
    if (scratch->cache.get(piece, hash, out)) return true;
  }
  scratch->symbols.clear();
  if (!add_symbols(piece, &scratch->symbols)) return false;
  merge_symbols(merges_, scratch);
  const auto& ids = scratch->symbols;
  out->insert(out->end(), ids.begin(), ids.end());
  if (look_up) scratch->cache.put(piece, hash, ids.data(), ids.size());
  return true;
}

// Most words are one token, yet the vocabulary also holds texts that merging never reaches. Asked once per id:
// racing threads compute the same answer.
bool BpeModel::merges_to_itself(int32_t id, BpeScratch* scratch) const {
  std::atomic<uint8_t>& memo = merges_to_itself_[static_cast<size_t>(id)];
  const uint8_t known = memo.load(std::memory_order_relaxed);
  if (known != 0) return known == 1;
  scratch->symbols.clear();
  bool itself = add_symbols(stored_text(id), &scratch->symbols);
  if (itself) {
    merge_symbols(merges_, scratch);
    itself = scratch->symbols.size() == 1 && scratch->symbols[0] == id;
  }
  memo.store(itself ? 1 : 2, std::memory_order_relaxed);
  return itself;
}

bool BpeModel::add_symbols(std::string_view piece, std::vector<int32_t>* symbols) const {
  int32_t unknown = -1;  // an unk token not yet added, because the next one may fuse with it
  for (size_t at = 0; at < piece.size();) {
    const char* p = piece.data() + at;
    const CodePoint cp = byte_level_ ? CodePoint{static_cast<uint8_t>(*p), 1} : utf8_decode(p);
    at += cp.bytes;
    const int32_t id = byte_level_ ? byte_ids_[cp.value] : char_id(cp, p);
    if (id < 0) {
      if (!add_unknown({p, cp.bytes}, &unknown, symbols)) return false;
      continue;
    }
    if (unknown >= 0) symbols->push_back(std::exchange(unknown, -1));
    symbols->push_back(id);
  }
  if (unknown >= 0) symbols->push_back(unknown);
  return true;
}

// The reference adds fallback bytes without first adding an unk that waits, so the unk lands after them.
bool BpeModel::add_unknown(std::string_view character, int32_t* unknown, std::vector<int32_t>* symbols) const {
  std::string mapped;
  if (byte_level_) {  // what the vocabulary lacks is the character of the byte-level alphabet
    byte_level_encode(character, &mapped);
    character = mapped;
  }
  if (byte_fallback_) {
    auto fallback = [&](char c) { return fallback_ids_[static_cast<uint8_t>(c)]; };
    if (std::all_of(character.begin(), character.end(), [&](char c) { return fallback(c) >= 0; })) {
      for (const char c : character) symbols->push_back(fallback(c));
      return true;
    }
  }
  if (!has_unk_) return true;  // without an unk token an unknown character gives nothing
  if (unk_id_ < 0) return false;
  if (*unknown >= 0 && !fuse_unk_) symbols->push_back(*unknown);
  *unknown = unk_id_;
  return true;
}

}  // namespace weir
