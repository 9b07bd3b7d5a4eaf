// SPDX-License-Identifier: Apache-2.0
#include "api/token.h"

#include <algorithm>

namespace slipway {
namespace {

constexpr std::string_view kSignedPrefix("slipway user token 1\0", 21);
constexpr std::size_t kTokenBytesMax = 2048;
constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string ToBase64Url(std::string_view bytes) {
  std::string text;
  std::uint32_t bits = 0;
  int held = 0;
  for (unsigned char byte : bytes) {
    bits = bits << 8 | byte;
    held += 8;
    while (held >= 6) text.push_back(kAlphabet[bits >> (held -= 6) & 63]);
  }
  if (held > 0) text.push_back(kAlphabet[bits << (6 - held) & 63]);
  return text;
}

// One spelling for each value: left-over bits must be zero, so that no two texts are the same token.
Result<std::string> FromBase64Url(std::string_view text) {
  std::string bytes;
  std::uint32_t bits = 0;
  int held = 0;
  for (char c : text) {
    auto digit = kAlphabet.find(c);
    if (digit == std::string_view::npos) return Fail(Code::kUnauthenticated, "the token is malformed");
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    held += 6;
    if (held >= 8) bytes.push_back(static_cast<char>(bits >> (held -= 8) & 0xff));
  }
  if (held >= 6 || (bits & ((1u << held) - 1)) != 0)
    return Fail(Code::kUnauthenticated, "the token is malformed");
  return bytes;
}

struct TokenParts {
  std::string body, signature;
};
Result<TokenParts> SplitToken(std::string_view text) {
  auto dot = text.rfind('.');
  if (text.size() > kTokenBytesMax || !text.starts_with("v1.") || dot < 3)
    return Fail(Code::kUnauthenticated, "the token is malformed");
  TokenParts parts;
  parts.body = TRY(FromBase64Url(text.substr(3, dot - 3)));
  parts.signature = TRY(FromBase64Url(text.substr(dot + 1)));
  return parts;
}

Result<UserToken> DecodeBody(const std::string& body) {
  auto token = Decode<UserToken>(body, "token");
  if (!token) return Fail(Code::kUnauthenticated, "the token is malformed");
  return token;
}

Failure Expired(std::int64_t expires_ms, std::int64_t now_ms) {
  return Fail(Code::kUnauthenticated, "the token expired ", (now_ms - expires_ms) / 1000,
              " s ago; fetch a new one");
}

}  // namespace

std::string SignToken(UserToken token, const SigningKey& key) {
  token.nonce = RandomBytes(16);
  std::string body = Encode(token);
  return Cat("v1.", ToBase64Url(body), ".", ToBase64Url(key.Sign(Cat(kSignedPrefix, body))));
}

Result<UserToken> PeekToken(std::string_view text) {
  TokenParts parts = TRY(SplitToken(text));
  return DecodeBody(parts.body);
}

TokenVerifier::TokenVerifier(std::string cluster, std::vector<VerifyingKey> keys, std::size_t remembered_max)
    : cluster_(std::move(cluster)), keys_(std::move(keys)), remembered_max_(remembered_max) {}

Result<TokenVerifier::Proven> TokenVerifier::Verify(std::string_view text, std::int64_t now_ms) {
  {
    std::lock_guard lock(mutex_);
    if (auto at = verified_.find(text); at != verified_.end()) {
      if (at->second.expires_ms > now_ms) {
        at->second.last_used = ++uses_;
        return at->second.proven;
      }
      std::int64_t expires_ms = at->second.expires_ms;
      verified_.erase(at);
      return Expired(expires_ms, now_ms);
    }
  }
  TokenParts parts = TRY(SplitToken(text));
  UserToken token = TRY(DecodeBody(parts.body));
  if (token.cluster != cluster_)
    return Fail(Code::kUnauthenticated, "the token is of another cluster (", token.cluster.substr(0, 32),
                ")");
  std::string message = Cat(kSignedPrefix, parts.body);
  bool ours = std::any_of(keys_.begin(), keys_.end(),
                          [&](const VerifyingKey& key) { return key.Verify(message, parts.signature); });
  if (!ours) return Fail(Code::kUnauthenticated, "the token was not signed by this controller");
  if (token.expires_ms <= now_ms) return Expired(token.expires_ms, now_ms);
  std::lock_guard lock(mutex_);
  if (verified_.size() >= remembered_max_) {
    verified_.erase(std::min_element(verified_.begin(), verified_.end(), [](auto& a, auto& b) {
      return a.second.last_used < b.second.last_used;
    }));
  }
  Proven proven{token.uid, token.issuer};
  verified_.emplace(text, Verified{proven, token.expires_ms, ++uses_});
  return proven;
}

}  // namespace slipway
