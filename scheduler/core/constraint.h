// SPDX-License-Identifier: Apache-2.0
// --constraint: what features the nodes of a job must have.
//   a&b   both (a,b too)      a|b   one of them      !a   not      (…)   as usual, & before |
//   [a|b|c]      all nodes have the same one of them, whichever (of one rack, say)
//   a*2&b*1      two nodes with a, another one with b; a*2&c: and all nodes with c
// The bracketed form stands by itself or is joined to others by &.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"

namespace slipway::scheduler {

// An expression over features, true or false of each node.
struct FeatureTest {
  enum class Kind : std::uint8_t { kFeature, kNot, kAnd, kOr };
  Kind kind = Kind::kAnd;
  std::string feature;             // kFeature
  std::vector<FeatureTest> parts;  // kAnd of nothing: true
  bool Holds(const std::set<std::string>& features) const;
};

struct Constraint {
  FeatureTest every;  // of every node
  struct Count {
    FeatureTest test;
    std::uint32_t nodes = 0;
  };
  std::vector<Count> counts;        // so many nodes, each counted once
  std::vector<FeatureTest> one_of;  // one of them holds for all nodes
  std::set<std::string> features;   // all that are named
};

// kInvalidArgument with the place in the text. "" is no constraint.
Result<Constraint> ParseConstraint(std::string_view text);

}  // namespace slipway::scheduler
