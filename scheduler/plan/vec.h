// SPDX-License-Identifier: Apache-2.0
// What a node has, what a job wants of it: one small vector of integers for both, so that every comparison in
// the planner is one branch-free operation on a cache line.
#pragma once

#include <array>
#include <compare>
#include <cstdint>

namespace slipway::plan {

// Points in time and durations in microseconds. kNever: not within any horizon.
using Instant = std::int64_t;
inline constexpr Instant kNever = INT64_MAX / 4;
inline Instant After(Instant from, Instant length) { return from + length < kNever ? from + length : kNever; }

inline constexpr std::size_t kDims = 8;
enum Dim : std::size_t {
  kCores = 0,
  kMemory = 1,  // bytes
  kToken = 2,   // a shared job takes one, an exclusive one all of the node's (kTokens)
  kGpus = 3,    // of any type
  kGpuType = 4  // … kGpuType + 3: of one type
};
inline constexpr std::size_t kGpuTypes = kDims - kGpuType;
inline constexpr std::int64_t kTokens = 1 << 20;

struct alignas(16) Vec {
  std::array<std::int64_t, kDims> at{};

  std::int64_t operator[](std::size_t dim) const { return at[dim]; }
  std::int64_t& operator[](std::size_t dim) { return at[dim]; }
  Vec& operator+=(const Vec& other) {
    for (std::size_t i = 0; i < kDims; ++i) at[i] += other.at[i];
    return *this;
  }
  Vec& operator-=(const Vec& other) {
    for (std::size_t i = 0; i < kDims; ++i) at[i] -= other.at[i];
    return *this;
  }
  friend Vec operator+(Vec a, const Vec& b) { return a += b; }
  friend Vec operator-(Vec a, const Vec& b) { return a -= b; }
  friend Vec operator*(Vec a, std::int64_t n) {
    for (std::int64_t& value : a.at) value *= n;
    return a;
  }
  auto operator<=>(const Vec&) const = default;

  // Whether `need` fits into this: no component of the difference is negative where something is needed. A
  // dimension of which nothing is needed may be short (a reservation may overdraw it).
  bool Holds(const Vec& need) const {
    std::int64_t short_of = 0;
    for (std::size_t i = 0; i < kDims; ++i) short_of |= (at[i] - need.at[i]) & -need.at[i];
    return short_of >= 0;
  }
  bool empty() const { return *this == Vec{}; }
};

// How often `unit` fits into `room`; `most` when nothing limits it.
inline std::int64_t TimesIn(const Vec& unit, const Vec& room, std::int64_t most) {
  for (std::size_t i = 0; i < kDims; ++i) {
    if (unit[i] > 0) most = room[i] <= 0 ? 0 : (room[i] / unit[i] < most ? room[i] / unit[i] : most);
  }
  return most;
}

inline Vec Least(const Vec& a, const Vec& b) {
  Vec least;
  for (std::size_t i = 0; i < kDims; ++i) least[i] = a[i] < b[i] ? a[i] : b[i];
  return least;
}

}  // namespace slipway::plan
