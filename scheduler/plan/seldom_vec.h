// SPDX-License-Identifier: Apache-2.0
// A Vec that most requests have none of: then it takes a pointer, of the eight numbers of a Vec. A value like
// Vec itself: copies are of their own, and one that is zero everywhere is the same as none.
#pragma once

#include <memory>

#include "scheduler/plan/vec.h"

namespace slipway::plan {

class SeldomVec {
 public:
  SeldomVec() = default;
  SeldomVec(const Vec& value) : some_(value.empty() ? nullptr : std::make_unique<Vec>(value)) {}
  SeldomVec(const SeldomVec& other) : SeldomVec(*other) {}
  SeldomVec(SeldomVec&&) noexcept = default;
  SeldomVec& operator=(const SeldomVec& other) {
    if (this != &other) *this = SeldomVec(other);
    return *this;
  }
  SeldomVec& operator=(SeldomVec&&) noexcept = default;

  const Vec& operator*() const { return some_ ? *some_ : kNone; }
  operator const Vec&() const { return **this; }
  std::int64_t operator[](std::size_t dim) const { return (**this)[dim]; }
  bool empty() const { return some_ == nullptr; }

  friend bool operator==(const SeldomVec& a, const SeldomVec& b) { return *a == *b; }
  friend auto operator<=>(const SeldomVec& a, const SeldomVec& b) { return *a <=> *b; }

 private:
  static constexpr Vec kNone{};
  std::unique_ptr<Vec> some_;  // not zero
};

}  // namespace slipway::plan
