// SPDX-License-Identifier: Apache-2.0
// What few of very many have must cost the others next to nothing. A Rarely<T> is one pointer; it copies and
// compares as the value would, and one that is not there is a T{}.
#pragma once

#include <compare>
#include <memory>
#include <utility>

namespace slipway::scheduler {

template <class T>
class Rarely {
 public:
  Rarely() = default;
  Rarely(const Rarely& other) : value_(other.value_ == nullptr ? nullptr : std::make_unique<T>(*other)) {}
  Rarely(Rarely&&) noexcept = default;
  Rarely& operator=(const Rarely& other) { return *this = Rarely(other); }
  Rarely& operator=(Rarely&&) noexcept = default;
  ~Rarely() = default;

  // A T{} takes no room.
  void Set(T value) { value_ = value == T{} ? nullptr : std::make_unique<T>(std::move(value)); }
  bool there() const { return value_ != nullptr; }
  const T& operator*() const {
    static const T kNone{};
    return value_ == nullptr ? kNone : *value_;
  }
  const T* operator->() const { return &**this; }
  bool operator==(const Rarely& other) const { return **this == *other; }
  auto operator<=>(const Rarely& other) const { return **this <=> *other; }

 private:
  std::unique_ptr<T> value_;
};

}  // namespace slipway::scheduler
