// HeaderReader: the events of boost::json's parser turned into tensor entries, without a DOM, so that a 100 MB
// header costs its entries and no more. Private to safetensors_header.cc. One thread; used once.
#pragma once

#include <boost/json/basic_parser_impl.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/safetensors_header.h"

namespace weir {

class HeaderReader {
 public:
  static constexpr size_t max_object_size = static_cast<size_t>(-1);
  static constexpr size_t max_array_size = static_cast<size_t>(-1);
  static constexpr size_t max_key_size = kTensorNameBytesMax;
  static constexpr size_t max_string_size = static_cast<size_t>(-1);
  using Error = boost::system::error_code;
  using Text = boost::json::string_view;

  bool on_document_begin(Error&) { return true; }
  bool on_document_end(Error&) { return true; }
  bool on_object_begin(Error& error);
  bool on_object_end(size_t, Error& error);
  bool on_array_begin(Error& error);
  bool on_array_end(size_t, Error&);
  bool on_key_part(Text part, size_t, Error&);
  bool on_key(Text part, size_t, Error& error);
  bool on_string_part(Text part, size_t, Error&);
  bool on_string(Text part, size_t, Error& error);
  bool on_number_part(Text, Error&) { return true; }
  bool on_int64(int64_t number, Text, Error& error);
  bool on_uint64(uint64_t, Text, Error& error) { return fail("a number is too large", error); }
  bool on_double(double, Text, Error& error) { return fail("a number is not whole", error); }
  bool on_bool(bool, Error& error) { return fail("true or false where none belongs", error); }
  bool on_null(Error& error);
  bool on_comment_part(Text, Error&) { return true; }
  bool on_comment(Text, Error&) { return true; }

  const std::string& problem() const { return problem_; }  // empty unless fail() ended the parse
  std::vector<TensorEntry>& entries() { return entries_; }

 private:
  enum class At { kStart, kRoot, kTensor, kShape, kOffsets, kMetadata, kDone };
  enum Field : unsigned { kNoField = 0, kDtype = 1, kShapeField = 2, kOffsetsField = 4, kAllFields = 7 };

  bool fail(std::string_view what, Error& error);
  bool tensor_key(std::string_view key, Error& error);

  At at_ = At::kStart;
  bool metadata_next_ = false;
  bool metadata_seen_ = false;
  unsigned seen_ = 0;       // fields of the entry being read
  Field field_ = kNoField;  // the field whose value comes next
  std::vector<uint64_t> offsets_;
  std::string key_, text_;  // pieces of the key and string being read
  std::vector<std::string> metadata_keys_;
  std::vector<TensorEntry> entries_;
  std::string problem_;
};

}  // namespace weir
