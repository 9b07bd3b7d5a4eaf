// SPDX-License-Identifier: Apache-2.0
#include "base/crypto/crypto.h"

#include "base/crypto/base64.h"

#include <gtest/gtest.h>

namespace slipway {
namespace {

TEST(Crypto, TheDigestOfNothingIsTheStandardOne) {
  EXPECT_EQ(DigestOf(""), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Crypto, OnlyTheCanonicalSpellingIsADigest) {
  std::string good = DigestOf("x");
  EXPECT_TRUE(IsDigest(good));
  EXPECT_FALSE(IsDigest(good.substr(1)));
  EXPECT_FALSE(IsDigest("SHA256" + good.substr(6)));
  EXPECT_FALSE(IsDigest(good + "0"));
  std::string upper = good;
  upper[10] = 'A';
  EXPECT_FALSE(IsDigest(upper));
  EXPECT_FALSE(IsDigest("sha256:../../../../../../../../../../../../../../../../../../etc/passwd"));
}

TEST(Crypto, ASignatureHoldsForItsMessageAndKeyOnly) {
  KeyPairPem pair = *MakeEd25519KeyPair();
  KeyPairPem other = *MakeEd25519KeyPair();
  SigningKey key = *SigningKey::FromPem(pair.private_key);
  std::string signature = key.Sign("message");
  EXPECT_TRUE(VerifyingKey::FromPem(pair.public_key)->Verify("message", signature));
  EXPECT_FALSE(VerifyingKey::FromPem(pair.public_key)->Verify("massage", signature));
  EXPECT_FALSE(VerifyingKey::FromPem(other.public_key)->Verify("message", signature));
  EXPECT_FALSE(VerifyingKey::FromPem(pair.public_key)->Verify("message", ""));
  EXPECT_EQ(*key.PublicPem(), pair.public_key);
}

TEST(Crypto, WhatIsNoKeyIsRefused) {
  EXPECT_FALSE(SigningKey::FromPem(""));
  EXPECT_FALSE(VerifyingKey::FromPem("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"));
}

TEST(Base64, IsTheStandardsAndRefusesWhatIsNot) {
  const std::pair<const char*, const char*> vectors[] = {// RFC 4648, section 10
                                                         {"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foobar", "Zm9vYmFy"}};
  for (auto& [plain, encoded] : vectors) {
    EXPECT_EQ(Base64(plain), encoded);
    EXPECT_EQ(*Unbase64(encoded), plain);
  }
  for (const char* text : {"Zg", "Zg=", "Z g=", "Zm9v\n", "Zm8*"}) EXPECT_FALSE(Unbase64(text)) << text;
}

}  // namespace
}  // namespace slipway
