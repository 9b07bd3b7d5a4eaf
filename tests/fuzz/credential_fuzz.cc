// SPDX-License-Identifier: Apache-2.0
// The broker's first decision. Bytes that no key has signed must never come out as a credential; bytes that
// are signed must not upset the decoder either (a controller of another release).
#include <cstdint>
#include <string_view>

#include "launcher/broker/marks.h"
#include "launcher/broker/policy.h"
#include "launcher/spec/credential.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  static const auto pair = *MakeEd25519KeyPair();
  static const std::vector<VerifyingKey> keys = {*VerifyingKey::FromPem(pair.public_key)};
  static BrokerConf conf;
  conf.node = "n1";
  conf.cluster = "c";
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  SignedCredential unsigned_one{std::string(bytes), std::string(bytes.substr(0, 64))};
  CHECK(!VerifyCredential(unsigned_one, keys));
  (void)Decode<SignedCredential>(bytes, "fuzz");
  auto decoded = Decode<LaunchCredential>(bytes, "fuzz");
  if (!decoded) return 0;
  CHECK(Encode(*decoded) == bytes);
  if (JudgeCredential(*decoded, conf, 0))
    CHECK(decoded->uid != 0 && decoded->gid != 0 && decoded->node == "n1" && decoded->cluster == "c");
  ReplayMarks marks;
  Mark mark{decoded->epoch, decoded->step, decoded->oldest_live_job};
  if (!marks.Check(mark) || decoded->step.job == 0) return 0;
  marks.Add(mark);
  CHECK(!marks.Check(mark));
  return 0;
}
