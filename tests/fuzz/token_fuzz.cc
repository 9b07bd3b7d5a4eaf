// SPDX-License-Identifier: Apache-2.0
// Every call to the controller carries a token; nothing that was not signed may prove anybody.
#include <cstdint>
#include <string>
#include <string_view>

#include "api/token.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  static const auto pair = *MakeEd25519KeyPair();
  static const SigningKey signing = *SigningKey::FromPem(pair.private_key);
  static TokenVerifier verifier("c", {*VerifyingKey::FromPem(pair.public_key)}, 16);
  static const std::string good = SignToken(
      {.cluster = "c", .uid = 7, .issued_ms = 1, .expires_ms = 1000, .issuer = "controller"}, signing);
  std::string_view text(reinterpret_cast<const char*>(data), size);
  CHECK(!verifier.Verify(text, 10));
  (void)PeekToken(text);
  CHECK(verifier.Verify(good, 10).has_value());
  CHECK(!verifier.Verify(good, 1001));
  // One byte of a good one altered: still nobody's.
  if (size >= 2 && data[0] < good.size()) {
    std::string altered = good;
    altered[data[0]] = static_cast<char>(data[1]);
    if (altered != good) CHECK(!verifier.Verify(altered, 10));
  }
  return 0;
}
