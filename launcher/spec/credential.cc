// SPDX-License-Identifier: Apache-2.0
#include "launcher/spec/credential.h"

#include <algorithm>

namespace slipway {
namespace {
// The prefix keeps a signature made for one purpose (a user's token) from serving another.
std::string SignedBytes(std::string_view body) {
  std::string bytes("slipway launch credential 1");
  bytes.push_back('\0');
  bytes.append(body);
  return bytes;
}
}  // namespace

SignedCredential SignCredential(const LaunchCredential& credential, const SigningKey& key) {
  std::string body = Encode(credential);
  std::string signature = key.Sign(SignedBytes(body));
  return {std::move(body), std::move(signature)};
}

Result<LaunchCredential> VerifyCredential(const SignedCredential& credential,
                                          std::span<const VerifyingKey> keys) {
  std::string bytes = SignedBytes(credential.body);
  bool signed_by_us = std::any_of(keys.begin(), keys.end(),
                                  [&](auto& key) { return key.Verify(bytes, credential.signature); });
  if (!signed_by_us)
    return Fail(Code::kPermissionDenied, "the launch credential is not signed by this cluster's controller");
  LaunchCredential decoded = TRY(Decode<LaunchCredential>(credential.body, "launch credential"));
  if (decoded.version != kCredentialVersion)
    return Fail(Code::kInvalidArgument, "launch credential of version ", decoded.version,
                ", this node reads ", kCredentialVersion);
  return decoded;
}

}  // namespace slipway
