// PromText: Prometheus text format 0.0.4, appended family by family. Private to the .cc files that write /metrics.
//
// A value, one thread. Names, help texts and label values need no escaping but the model's name, which its caller
// escapes. A sample allocates nothing but the text's own growth.
#pragma once

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include "api/json_out.h"
#include "api/metrics.h"

namespace weir::api {

class PromText {
 public:
  explicit PromText(size_t expected_bytes) { out_.reserve(expected_bytes); }

  void family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    out_.append("# HELP ").append(name).append(" ").append(help).append("\n# TYPE ");
    out_.append(name).append(" ").append(type).append("\n");
  }
  // labels: {a="b"} or empty. suffix: _bucket, _sum, _count or empty.
  template <class Number>
  void sample(Number value, std::string_view labels = {}, std::string_view suffix = {}) {
    out_.append(name_).append(suffix);
    finish(value, labels, {});
  }
  // The labels in two parts, so that a caller with many samples puts none together: {a="b" and ,c="d"}.
  template <class Number>
  void sample_in_parts(Number value, std::string_view labels, std::string_view more_labels) {
    out_.append(name_);
    finish(value, labels, more_labels);
  }
  void labelled(std::string_view label, std::string_view label_value, uint64_t value) {
    out_.append(name_).append("{").append(label).append("=\"").append(label_value);
    finish(value, "\"}", {});
  }
  void gauge(std::string_view name, std::string_view help, double value) {
    family(name, "gauge", help);
    sample(value);
  }
  void bytes_gauge(std::string_view name, std::string_view help, uint64_t value) {
    family(name, "gauge", help);
    sample(value);
  }
  void counter(std::string_view name, std::string_view help, uint64_t value) {
    family(name, "counter", help);
    sample(value);
  }
  void histogram(std::string_view name, std::string_view help, const Histogram& h) {
    family(name, "histogram", help);
    uint64_t total = 0;
    for (size_t i = 0; i < h.bounds().size(); ++i) {
      total += h.bucket(i);
      std::string labels = "{le=\"";
      append_number(h.bounds()[i], &labels);
      sample(total, labels.append("\"}"), "_bucket");
    }
    total += h.bucket(h.bounds().size());
    sample(total, "{le=\"+Inf\"}", "_bucket");
    sample(h.sum_seconds(), {}, "_sum");
    sample(total, {}, "_count");
  }
  std::string take() { return std::move(out_); }

 private:
  template <class Number>
  void finish(Number value, std::string_view labels, std::string_view more_labels) {
    out_.append(labels).append(more_labels).push_back(' ');
    if constexpr (std::is_floating_point_v<Number>) {
      append_number(value, &out_);
    } else {
      append_whole(value);
    }
    out_.push_back('\n');
  }
  template <class Whole>
  void append_whole(Whole value) {
    char digits[24];
    const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    out_.append(digits, end);
  }

  std::string out_;
  std::string_view name_;
};

template <class T>
inline T read(const std::atomic<T>& value) {
  return value.load(std::memory_order_relaxed);
}

inline uint64_t not_negative(int64_t value) { return static_cast<uint64_t>(std::max<int64_t>(value, 0)); }

}  // namespace weir::api
