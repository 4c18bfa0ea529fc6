#include "checkpoint/header_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "checkpoint/json_fields.h"

namespace weir {

bool HeaderReader::fail(std::string_view what, Error& error) {
  const bool inside = at_ == At::kTensor || at_ == At::kShape || at_ == At::kOffsets;
  problem_ = inside ? fmt::format("tensor '{}': {}", printable(entries_.back().name), what) : std::string(what);
  error = make_error_code(boost::system::errc::invalid_argument);
  return false;
}

bool HeaderReader::on_object_begin(Error& error) {
  if (at_ == At::kStart) {
    at_ = At::kRoot;
  } else if (at_ == At::kRoot) {
    at_ = metadata_next_ ? At::kMetadata : At::kTensor;
    seen_ = 0;
    field_ = kNoField;
    offsets_.clear();
  } else {
    return fail("an object where none belongs", error);
  }
  return true;
}

bool HeaderReader::on_object_end(size_t, Error& error) {
  if (at_ == At::kTensor) {
    if (seen_ != kAllFields) return fail("needs dtype, shape and data_offsets", error);
    if (offsets_.size() != 2) return fail("data_offsets must be two numbers", error);
    entries_.back().begin = offsets_[0];
    entries_.back().end = offsets_[1];
  }
  if (at_ == At::kMetadata) {
    std::sort(metadata_keys_.begin(), metadata_keys_.end());
    if (std::adjacent_find(metadata_keys_.begin(), metadata_keys_.end()) != metadata_keys_.end()) {
      return fail("__metadata__ has a key twice", error);
    }
  }
  at_ = at_ == At::kRoot ? At::kDone : At::kRoot;
  return true;
}

bool HeaderReader::on_array_begin(Error& error) {
  if (at_ != At::kTensor || (field_ != kShapeField && field_ != kOffsetsField)) {
    return fail("a list where none belongs", error);
  }
  at_ = field_ == kShapeField ? At::kShape : At::kOffsets;
  return true;
}

bool HeaderReader::on_array_end(size_t, Error&) {
  at_ = At::kTensor;
  field_ = kNoField;
  return true;
}

bool HeaderReader::on_key_part(Text part, size_t, Error&) {
  key_.append(part.data(), part.size());
  return true;
}

bool HeaderReader::on_key(Text part, size_t, Error& error) {
  key_.append(part.data(), part.size());
  std::string key = std::move(key_);
  key_.clear();
  if (at_ == At::kTensor) return tensor_key(key, error);
  if (at_ == At::kMetadata) {
    metadata_keys_.push_back(std::move(key));
    return true;
  }
  metadata_next_ = key == "__metadata__";
  if (metadata_next_ && metadata_seen_) return fail("__metadata__ is there twice", error);
  metadata_seen_ |= metadata_next_;
  if (!metadata_next_) entries_.emplace_back().name = std::move(key);
  return true;
}

bool HeaderReader::tensor_key(std::string_view key, Error& error) {
  field_ = key == "dtype"          ? kDtype
           : key == "shape"        ? kShapeField
           : key == "data_offsets" ? kOffsetsField
                                   : kNoField;
  if (field_ == kNoField) return fail(fmt::format("unknown key '{}'", printable(key)), error);
  if ((seen_ & field_) != 0) return fail(fmt::format("the key '{}' is there twice", key), error);
  seen_ |= field_;
  return true;
}

bool HeaderReader::on_string_part(Text part, size_t, Error&) {
  if (at_ == At::kTensor && text_.size() < 64) text_.append(part.data(), part.size());
  return true;
}

bool HeaderReader::on_string(Text part, size_t, Error& error) {
  if (at_ == At::kMetadata) return true;
  if (at_ != At::kTensor || field_ != kDtype) return fail("a string where none belongs", error);
  text_.append(part.data(), part.size());
  const std::optional<StoredDType> dtype = parse_stored_dtype(text_);
  if (!dtype) return fail(fmt::format("unknown dtype '{}'", printable(text_, 40)), error);
  text_.clear();
  entries_.back().dtype = *dtype;
  field_ = kNoField;
  return true;
}

// Some writers (MLX) put "__metadata__": null, which the reference reader takes as absent.
bool HeaderReader::on_null(Error& error) {
  return (at_ == At::kRoot && metadata_next_) || fail("null where none belongs", error);
}

bool HeaderReader::on_int64(int64_t number, Text, Error& error) {
  if (at_ != At::kShape && at_ != At::kOffsets) return fail("a number where none belongs", error);
  if (number < 0) return fail("a negative number", error);
  if (at_ == At::kShape) {
    if (entries_.back().shape.size() == kRankMax)
      return fail(fmt::format("more than {} dimensions", kRankMax), error);
    entries_.back().shape.push_back(number);
  } else {
    if (offsets_.size() == 2) return fail("data_offsets must be two numbers", error);
    offsets_.push_back(static_cast<uint64_t>(number));
  }
  return true;
}

}  // namespace weir
