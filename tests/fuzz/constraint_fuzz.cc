// SPDX-License-Identifier: Apache-2.0
// --constraint comes from users and is read by the controller. Whatever it says: bounded, and every feature
// that it tests is one that it names.
#include <cstdint>
#include <string_view>

#include "scheduler/core/constraint.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway::scheduler;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto constraint = ParseConstraint(text);
  if (!constraint) return 0;
  CHECK(size <= 1024);
  CHECK(constraint->counts.empty() || constraint->one_of.empty());
  // Features that it does not name change nothing.
  for (std::set<std::string> features : {std::set<std::string>{}, constraint->features}) {
    bool holds = constraint->every.Holds(features);
    features.insert("(not a name)");
    CHECK(constraint->every.Holds(features) == holds);
  }
  for (const Constraint::Count& count : constraint->counts) CHECK(count.nodes > 0);
  return 0;
}
