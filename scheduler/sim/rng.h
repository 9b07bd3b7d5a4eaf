// SPDX-License-Identifier: Apache-2.0
// One generator per simulated life, the same on every machine (the standard's distributions are not).
#pragma once

#include <cstdint>

namespace slipway::scheduler {

class Rng {
 public:
  explicit Rng(std::uint64_t seed) : state_(seed) {}
  std::uint64_t Next() {  // splitmix64
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  std::uint64_t Below(std::uint64_t n) { return n == 0 ? 0 : Next() % n; }
  std::uint32_t Between(std::uint32_t low, std::uint32_t high) {
    return low + static_cast<std::uint32_t>(Below(std::uint64_t{high} - low + 1));
  }
  bool Chance(std::uint32_t per_mille) { return Below(1000) < per_mille; }

 private:
  std::uint64_t state_;
};

}  // namespace slipway::scheduler
