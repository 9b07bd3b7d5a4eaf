// SPDX-License-Identifier: Apache-2.0
// gRPC does not tell who is at the other end of a Unix socket, so a user proves his uid on a socket of our
// own (api/token_socket.h) and gets a token, which he shows on every call ("authorization: Bearer TOKEN").
//
// Text: "v1.<base64url body>.<base64url signature>". Body: UserToken in wire.h's encoding. Signed, by the
// controller's Ed25519 key: "slipway user token 1\0" + body.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/crypto/crypto.h"
#include "base/wire/wire.h"

namespace slipway {

inline constexpr const char* kAuthorizationKey =
    "authorization";  // gRPC metadata; the value is "Bearer " + token

inline constexpr std::string_view kControllerIssuer = "controller";

struct UserToken {
  std::string cluster;  // id
  std::uint32_t uid = 0;
  std::int64_t issued_ms = 0, expires_ms = 0;  // since 1970 UTC
  std::string nonce;                           // 16 random bytes
  std::string issuer;                          // "controller", or the node that vouched
};
void Fields(auto& archive, IsA<UserToken> auto& v) {
  archive(v.cluster, v.uid, v.issued_ms, v.expires_ms, v.nonce, v.issuer);
}

// Fills in the nonce.
std::string SignToken(UserToken token, const SigningKey& key);
// Reads what a token says without believing it: for a client that wants to know when to fetch a new one.
Result<UserToken> PeekToken(std::string_view text);

// Any thread. A signature costs 0.1 ms to verify, so verified tokens are remembered until they expire.
class TokenVerifier {
 public:
  TokenVerifier(std::string cluster, std::vector<VerifyingKey> keys, std::size_t remembered_max = 4096);
  struct Proven {
    std::uint32_t uid = 0;
    std::string issuer;
  };
  // kUnauthenticated, with one line that says what is wrong with it: expired, altered, of another cluster.
  Result<Proven> Verify(std::string_view text, std::int64_t now_ms);

 private:
  struct Verified {
    Proven proven;
    std::int64_t expires_ms;
    std::uint64_t last_used;
  };
  const std::string cluster_;
  const std::vector<VerifyingKey> keys_;
  const std::size_t remembered_max_;
  std::mutex mutex_;  // guards what follows
  std::map<std::string, Verified, std::less<>> verified_;
  std::uint64_t uses_ = 0;
};

}  // namespace slipway
