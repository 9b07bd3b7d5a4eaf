// SPDX-License-Identifier: Apache-2.0
// What an instance's keeper is sent, what its state file holds, and the limits on slipway-scope's command
// line.
#include <cstdint>
#include <string_view>

#include "base/text/text.h"
#include "launcher/client/instance_folder.h"
#include "launcher/spec/limits.h"
#include "launcher/spec/task_protocol.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  (void)Decode<TaskHello>(bytes, "fuzz");
  (void)Decode<InstanceStop>(bytes, "fuzz");
  if (auto state = DecodeInstanceState(bytes)) {
    CHECK(Encode(*state) == bytes);
    CHECK(CheckInstanceName(state->name) && state->starter_pid > 0);
    CHECK(state->cgroup.find("..") == std::string::npos);
  }
  if (auto limits = ParseLimitWords(Split(bytes, ' '))) {
    CHECK(limits->cpus.size() <= kLimitCpusMax);
    auto again = ParseLimitWords(LimitWords(*limits));
    CHECK(again && LimitWords(*again) == LimitWords(*limits));
  }
  return 0;
}
