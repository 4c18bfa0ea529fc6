// UniqueFunction: a callable that can be moved but not copied, so that a callback may own a Request or a
// Reservation. A value; as thread-safe as what it holds. Closures of up to kInlineBytes live inside it, larger ones
// on the heap.
#pragma once

#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

#include "base/check.h"

namespace weir::http {

template <class Signature>
class UniqueFunction;

template <class R, class... Args>
class UniqueFunction<R(Args...)> {
 public:
  UniqueFunction() = default;
  UniqueFunction(std::nullptr_t) {}  // NOLINT(google-explicit-constructor): reads like std::function

  template <class F, class D = std::decay_t<F>,
            class = std::enable_if_t<!std::is_same_v<D, UniqueFunction> && std::is_invocable_r_v<R, D&, Args...>>>
  UniqueFunction(F&& f) {  // NOLINT(google-explicit-constructor): lambdas convert
    if constexpr (fits_inline<D>()) {
      ::new (static_cast<void*>(storage_)) D(std::forward<F>(f));
      table_ = &InlineTable<D>::table;
    } else {
      ::new (static_cast<void*>(storage_)) D*(new D(std::forward<F>(f)));
      table_ = &HeapTable<D>::table;
    }
  }

  UniqueFunction(UniqueFunction&& other) noexcept { take(other); }
  UniqueFunction& operator=(UniqueFunction&& other) noexcept {
    if (this != &other) {
      reset();
      take(other);
    }
    return *this;
  }
  ~UniqueFunction() { reset(); }

  explicit operator bool() const { return table_ != nullptr; }

  // REQUIRES: not empty.
  R operator()(Args... args) {
    WEIR_CHECK(table_ != nullptr);
    return table_->call(storage_, std::forward<Args>(args)...);
  }

 private:
  static constexpr size_t kInlineBytes = 40;  // a lambda with two shared_ptr and a word

  struct Table {
    R (*call)(void*, Args&&...);
    void (*move)(void* to, void* from) noexcept;  // leaves `from` destroyed
    void (*destroy)(void*) noexcept;
  };
  template <class D>
  static constexpr bool fits_inline() {
    return sizeof(D) <= kInlineBytes && alignof(D) <= alignof(std::max_align_t) &&
           std::is_nothrow_move_constructible_v<D>;
  }
  template <class D>
  struct InlineTable {
    static D& at(void* p) { return *std::launder(static_cast<D*>(p)); }
    static R call(void* p, Args&&... args) { return at(p)(std::forward<Args>(args)...); }
    static void move(void* to, void* from) noexcept {
      ::new (to) D(std::move(at(from)));
      at(from).~D();
    }
    static void destroy(void* p) noexcept { at(p).~D(); }
    static constexpr Table table{&call, &move, &destroy};
  };
  template <class D>
  struct HeapTable {
    static D*& at(void* p) { return *std::launder(static_cast<D**>(p)); }
    static R call(void* p, Args&&... args) { return (*at(p))(std::forward<Args>(args)...); }
    static void move(void* to, void* from) noexcept { ::new (to) D*(at(from)); }
    static void destroy(void* p) noexcept { delete at(p); }
    static constexpr Table table{&call, &move, &destroy};
  };

  void take(UniqueFunction& other) noexcept {
    if (other.table_ == nullptr) return;
    other.table_->move(storage_, other.storage_);
    table_ = std::exchange(other.table_, nullptr);
  }
  void reset() noexcept {
    if (table_ != nullptr) std::exchange(table_, nullptr)->destroy(storage_);
  }

  alignas(std::max_align_t) std::byte storage_[kInlineBytes];
  const Table* table_ = nullptr;
};

using Callback = UniqueFunction<void()>;

}  // namespace weir::http
