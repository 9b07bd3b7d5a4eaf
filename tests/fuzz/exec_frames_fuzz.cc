// SPDX-License-Identifier: Apache-2.0
// What a user can make the privileged half read of him: the exec frame, and the kernel's words about his
// process, whose names he chooses.
#include <cstdint>
#include <string>
#include <string_view>

#include "launcher/broker/caller.h"
#include "launcher/broker/image_mount.h"
#include "launcher/spec/broker_protocol.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  std::string_view message(reinterpret_cast<const char*>(data), size);
  if (auto request = Decode<ExecRequest>(message, "fuzz")) {
    CHECK(Encode(*request) == message);
    BrokerConf conf = ParseConf("").value();
    // Whatever a request names, a path is made of a digest only.
    if (CheckDigest(request->digest))
      CHECK(ImageMountPath(conf, request->digest).find("..") == std::string::npos);
  }
  std::string text(message);
  auto path = FollowableCgroup(text, "0::/ours\n4:memory:/a\n");
  if (path) CHECK(Cat(*path, "/").find("/../") == std::string::npos);
  UserIds who{1000, 1000, {}};
  if (JudgeStatus(text, who)) CHECK(text.find("\nSeccomp:\t0") != std::string::npos);
  return 0;
}
