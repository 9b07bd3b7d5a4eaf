// SPDX-License-Identifier: Apache-2.0
// What the broker reads of a caller in /proc has words in it that the caller chose (his program's name, his
// cgroup's): whatever they are, nobody passes as another or out of a sandbox, and no cgroup leads upward.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstdint>
#include <string>

#include "launcher/broker/caller.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  FuzzedDataProvider input(data, size);
  UserIds who{input.ConsumeIntegral<std::uint32_t>(), 100, {}};
  bool sandboxed = input.ConsumeBool();
  std::string name = input.ConsumeRandomLengthString(64);
  // The kernel escapes line ends in a name; the rest of the file is its own.
  for (char& c : name) {
    if (c == '\n') c = ' ';
  }
  auto status = [&](std::uint32_t uid) {
    std::string id = std::to_string(uid);
    return Cat("Name:\t", name, "\nUid:\t", id, "\t", id, "\t", id, "\t", id, "\nNoNewPrivs:\t",
               sandboxed ? "1" : "0", "\nSeccomp:\t0\n");
  };
  CHECK(JudgeStatus(status(who.uid), who).has_value() == !sandboxed);
  CHECK(!JudgeStatus(status(who.uid + 1), who));

  std::string his = input.ConsumeRandomLengthString(256), ours = input.ConsumeRemainingBytesAsString();
  (void)JudgeStatus(his, who);
  if (auto path = FollowableCgroup(his, ours)) CHECK(Cat(*path, "/").find("/../") == std::string::npos);
  return 0;
}
