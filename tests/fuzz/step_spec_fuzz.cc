// SPDX-License-Identifier: Apache-2.0
// The broker passes a StepSpec on unread; stepd is the first to look, and computes ranks with it.
#include <cstdint>
#include <string_view>

#include "launcher/spec/step_spec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  auto spec = DecodeStepSpec(bytes);
  if (!spec) {
    CHECK(!spec.error().message.empty());
    return 0;
  }
  CHECK(Encode(*spec) == bytes);
  CHECK(spec->node_index < spec->nodes.size() && spec->ranks.size() == spec->nodes.size());
  std::size_t ranks = 0;
  for (const auto& of_node : spec->ranks) ranks += of_node.size();
  for (const auto& of_node : spec->ranks) {
    for (std::uint32_t rank : of_node) CHECK(rank < ranks);
  }
  return 0;
}
