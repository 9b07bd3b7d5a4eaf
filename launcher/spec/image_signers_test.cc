// SPDX-License-Identifier: Apache-2.0
#include "launcher/spec/image_signers.h"

#include <gtest/gtest.h>

#include "base/crypto/crypto.h"
#include "base/os/fd.h"

namespace slipway {
namespace {

const std::string kPgp(40, 'A');

TEST(ImageSigners, AreReadAsTheyWereWritten) {
  std::vector<ImageSigner> signers = {{kPgp, "Alice <a@example.org>"}, {DigestOf("key"), ""}};
  auto read = ParseSigners(SignersText(signers), "");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, signers);
  EXPECT_TRUE(ParseSigners(SignersText({}), "")->empty());
  EXPECT_EQ(ParseSigners(SignersText({{kPgp, "two\nlines\x1b[2J"}}), "")->at(0).name, "two?lines?[2J");
}

TEST(ImageSigners, ADamagedRecordMakesNobodyASigner) {
  for (const std::string& text :
       {std::string(), std::string("slipway-signers 1"), std::string("slipway-signers 2\n"),
        Cat("slipway-signers 1\n", kPgp), Cat("slipway-signers 1\n", kPgp, "\n"),
        std::string("slipway-signers 1\nABCD x\n"), Cat("slipway-signers 1\n", std::string(40, 'a'), " x\n"),
        std::string("slipway-signers 1\n\n"), Cat("slipway-signers 1\n", kPgp, " a\tb\n"),
        Cat("slipway-signers 1\n", kPgp, " ", std::string(201, 'x'), "\n")})
    EXPECT_EQ(ParseSigners(text, "").error().code, Code::kDataLoss) << text;
}

TEST(ImageSigners, OfAnImageThatIsKeptAsItIsSignedNothingElse) {
  std::string digest = DigestOf("image"), told = SignersText({{kPgp, "x"}}, digest);
  EXPECT_EQ(ParseSigners(told, digest)->size(), 1U);
  auto other = ParseSigners(told, DigestOf("another"));
  EXPECT_EQ(other.error().code, Code::kPermissionDenied);
  EXPECT_EQ(other.error().message,
            Cat("what was signed is ", digest, ", and the image's bytes are ", DigestOf("another")));
  EXPECT_FALSE(ParseSigners(told, "")) << "it has to be compared";
  EXPECT_EQ(ParseSigners(Cat("slipway-signers 1 ", digest, "x\n"), digest).error().code, Code::kDataLoss);
  EXPECT_EQ(ParseSigners(Cat("slipway-signers 1", digest, "\n"), digest).error().code, Code::kDataLoss);
}

TEST(ImageSigners, AreOfOneBlobAndNobodyWithoutARecord) {
  std::string top = *MakeTempDirectory(::testing::TempDir(), "slipway-signers-");
  std::string digest = DigestOf("blob");
  EXPECT_TRUE(SignedBy(top, digest)->empty());
  ASSERT_TRUE(WriteFileAtomically(Cat(top, "/", SignersFile(digest)), SignersText({{kPgp, "x"}})));
  EXPECT_EQ(*SignedBy(top, digest), std::vector<std::string>{kPgp});
  EXPECT_TRUE(SignedBy(top, DigestOf("another"))->empty());
  EXPECT_EQ(SignedBy(top, "sha256:../x").error().code, Code::kInvalidArgument);
  EXPECT_TRUE(RemoveTree(top));
}

TEST(ImageSigners, AreMergedByKey) {
  std::vector<ImageSigner> merged = MergeSigners({{kPgp, "x"}}, {{kPgp, "y"}, {DigestOf("k"), "z"}});
  EXPECT_EQ(merged, (std::vector<ImageSigner>{{kPgp, "x"}, {DigestOf("k"), "z"}}));
}

}  // namespace
}  // namespace slipway
