// SPDX-License-Identifier: Apache-2.0
#include "imagestore/trust/trust.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/os/fd.h"
#include "base/os/process.h"
#include "imagestore/sif/layout.h"
#include "imagestore/trust/dsse.h"
#include "imagestore/trust/integrity.h"
#include "imagestore/trust/pgp.h"
#include "imagestore/trust/site_keys.h"

namespace slipway::trust {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Trust : public ::testing::Test {
 protected:
  void SetUp() override {
    top_ = *MakeTempDirectory("/tmp", "trust-");
    path_ = top_ + "/a.sif";
    auto writer = sif::Writer::Create(path_);
    ASSERT_TRUE(writer);
    ASSERT_TRUE(writer->AddObject(sif::DataType::kDeffile, "a.def", "Bootstrap: scratch\n"));
    ASSERT_TRUE(writer->AddObject(
        {.type = sif::DataType::kPartition,
         .name = "fs",
         .extra = sif::PartitionExtra(sif::FsType::kSquashfs, sif::PartType::kPrimarySystem, "amd64")},
        "hsqs-the-bytes"));
    ASSERT_TRUE(
        writer->AddObject({.type = sif::DataType::kGeneric, .name = "other", .group = 2}, "second group"));
    ASSERT_TRUE(writer->Commit());
  }
  void TearDown() override {
    if (::access((top_ + "/keys").c_str(), F_OK) == 0)
      (void)RunAndCapture({.argv = {"gpgconf", "--homedir", top_ + "/keys", "--kill", "all"}});
    EXPECT_TRUE(RemoveTree(top_));
  }

  // A new key pair in two PEM files.
  std::string MakePem(const std::string& name, EVP_PKEY* key) {
    for (bool secret : {true, false}) {
      BIO* bio = BIO_new_file(Cat(top_, "/", name, secret ? ".pem" : ".pub").c_str(), "w");
      EXPECT_EQ(1, secret ? PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr)
                          : PEM_write_bio_PUBKEY(bio, key));
      BIO_free(bio);
    }
    EVP_PKEY_free(key);
    return Cat(top_, "/", name);
  }
  std::string Ed25519(const std::string& name) {
    return MakePem(name, EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  }

  Result<std::vector<std::uint32_t>> SignWith(Signer& signer, std::vector<std::uint32_t> groups = {}) {
    auto editor = sif::Editor::Open(path_);
    EXPECT_TRUE(editor);
    return Sign(*editor, signer, std::move(groups));
  }
  void SignWithPem(const std::string& name, std::vector<std::uint32_t> groups = {}) {
    auto signer = PemSigner(name + ".pem");
    ASSERT_TRUE(signer) << signer.error().message;
    auto ids = SignWith(**signer, std::move(groups));
    ASSERT_TRUE(ids) << ids.error().message;
  }
  VerifyReport VerifyWithPem(const std::string& name, const VerifyOptions& options = {}) {
    std::vector<std::unique_ptr<Checker>> checkers;
    auto checker = PemChecker(name + ".pub");
    EXPECT_TRUE(checker) << checker.error().message;
    checkers.push_back(std::move(*checker));
    return VerifyBy(checkers, options);
  }
  VerifyReport VerifyBy(const std::vector<std::unique_ptr<Checker>>& checkers,
                        const VerifyOptions& options = {}) {
    auto fd = Open(path_, O_RDONLY);
    auto report = Verify(fd->get(), checkers, options);
    EXPECT_TRUE(report) << report.error().message;
    return std::move(*report);
  }
  void Change(std::size_t at, char to) {
    auto fd = Open(path_, O_RDWR);
    ASSERT_EQ(::pwrite(fd->get(), &to, 1, static_cast<off_t>(at)), 1);
  }
  sif::Descriptor Object(std::uint32_t id) {
    auto fd = Open(path_, O_RDONLY);
    return *sif::FindObject(*sif::Read(fd->get()), id);
  }
  std::string top_, path_;
};

TEST_F(Trust, AnUnsignedImageIsNeverVerified) {
  VerifyReport report = VerifyWithPem(Ed25519("a"));
  EXPECT_FALSE(report.verified);
  EXPECT_THAT(report.why, HasSubstr("not signed"));
  EXPECT_FALSE(VerifyBy({}).verified);
}

TEST_F(Trust, EachKindOfPemKeySignsAndVerifies) {
  std::string names[] = {Ed25519("ed"),
                         MakePem("rsa", EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{2048})),
                         MakePem("ec", EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"))};
  for (const std::string& name : names) SignWithPem(name, {1});
  for (const std::string& name : names) {
    VerifyReport report = VerifyWithPem(name);
    EXPECT_TRUE(report.verified) << name << ": " << report.why;
    EXPECT_THAT(report.verified_objects, ElementsAre(1, 2));
  }
  EXPECT_FALSE(VerifyWithPem(Ed25519("stranger")).verified);
}

TEST_F(Trust, AllMeansEveryObject) {
  std::string key = Ed25519("a");
  SignWithPem(key, {1});
  EXPECT_TRUE(VerifyWithPem(key).verified);
  VerifyReport report = VerifyWithPem(key, {.all = true});
  EXPECT_FALSE(report.verified);
  EXPECT_THAT(report.unverified_objects, ElementsAre(3));
  SignWithPem(key, {2});
  EXPECT_TRUE(VerifyWithPem(key, {.all = true}).verified);
  // An object that is in no group cannot be signed, and --all says so.
  {
    auto editor = sif::Editor::Open(path_);
    ASSERT_TRUE(editor->Add({.type = sif::DataType::kGeneric, .group = 0}, "stray"));
  }
  EXPECT_FALSE(VerifyWithPem(key, {.all = true}).verified);
  EXPECT_TRUE(VerifyWithPem(key).verified);
  EXPECT_FALSE(VerifyWithPem(key, {.group = 9}).verified);
}

TEST_F(Trust, EveryChangeOfWhatWasSignedIsSeen) {
  std::string key = Ed25519("a");
  SignWithPem(key);
  std::string whole = *ReadFile(path_);
  sif::Descriptor partition = Object(2);
  std::size_t descriptor = partition.slot * sif::kDescriptorSize + sif::kNewTableOffset;
  struct Case {
    std::size_t at;
    const char* named;
  };
  for (Case one :
       {Case{0, "header"}, Case{sif::kUuidAt, "header"}, Case{partition.offset, "bytes"},
        Case{descriptor + sif::kNameIn, "descriptor"}, Case{descriptor + sif::kCreatedIn, "descriptor"},
        Case{descriptor + sif::kExtraIn + 9, "descriptor"}}) {
    Change(one.at, static_cast<char>(whole[one.at] ^ 1));
    VerifyReport report = VerifyWithPem(key);
    EXPECT_FALSE(report.verified) << one.at;
    EXPECT_THAT(report.why, HasSubstr(one.named));
    Change(one.at, whole[one.at]);
  }
  EXPECT_TRUE(VerifyWithPem(key).verified);
  sif::Descriptor signature = Object(4);
  Change(signature.offset + signature.size / 2, '!');
  EXPECT_FALSE(VerifyWithPem(key).verified);
}

TEST_F(Trust, AnObjectAddedToASignedGroupIsSeen) {
  std::string key = Ed25519("a");
  SignWithPem(key);
  {
    auto editor = sif::Editor::Open(path_);
    ASSERT_TRUE(
        editor->Add({.type = sif::DataType::kPartition,
                     .extra = sif::PartitionExtra(sif::FsType::kExt3, sif::PartType::kOverlay, "amd64")},
                    "evil overlay"));
  }
  VerifyReport report = VerifyWithPem(key);
  EXPECT_FALSE(report.verified);
  EXPECT_THAT(report.unverified_objects, ElementsAre(6));
}

// What somebody puts beside signed objects must not run under their signature.
TEST_F(Trust, ASystemPartitionInNoGroupIsNotVerifiedByTheSignatureOfAnotherGroup) {
  std::string key = Ed25519("a");
  {
    auto editor = sif::Editor::Open(path_);
    ASSERT_TRUE(editor->Delete(2, sif::OldBytes::kLeave, false));
  }
  SignWithPem(key);
  EXPECT_TRUE(VerifyWithPem(key).verified);
  std::uint32_t added = 0;
  {
    auto editor = sif::Editor::Open(path_);
    auto id = editor->Add(
        {.type = sif::DataType::kPartition,
         .group = 0,
         .extra = sif::PartitionExtra(sif::FsType::kSquashfs, sif::PartType::kPrimarySystem, "amd64")},
        "hsqs-evil-bytes");
    ASSERT_TRUE(id);
    added = *id;
  }
  VerifyReport report = VerifyWithPem(key);
  EXPECT_FALSE(report.verified);
  EXPECT_THAT(report.unverified_objects, ElementsAre(added));
  EXPECT_TRUE(VerifyWithPem(key, {.group = 1}).verified);  // that group alone was asked for
}

TEST_F(Trust, AnObjectTakenFromASignedGroupIsSeen) {
  std::string key = Ed25519("a");
  SignWithPem(key);
  {
    auto editor = sif::Editor::Open(path_);
    ASSERT_TRUE(editor->Delete(2, sif::OldBytes::kLeave, false));
  }
  VerifyReport report = VerifyWithPem(key, {.group = 1});
  EXPECT_FALSE(report.verified);
  EXPECT_THAT(report.why, HasSubstr("not there any more"));
}

TEST_F(Trust, AWeakHashCountsAsNothing) {
  std::string key = Ed25519("a");
  SignWithPem(key, {1});
  sif::Descriptor signature = Object(4);
  Change(signature.slot * sif::kDescriptorSize + sif::kNewTableOffset + sif::kExtraIn,
         static_cast<char>(sif::HashType::kBlake2s));
  VerifyReport report = VerifyWithPem(key);
  EXPECT_FALSE(report.verified);
  EXPECT_EQ(report.signatures[0].checked.state, Checked::kWeak);
  std::string md5(32, '0'), sha(64, '0');
  auto text = [](const std::string& digest) {
    return Cat(R"({"version":1,"header":{"digest":")", digest,
               R"("},"objects":[{"relativeId":0,"descriptorDigest":")", digest, R"(","objectDigest":")",
               digest, R"("}]})");
  };
  EXPECT_TRUE(ParseMetadata(text("sha256:" + sha)));
  for (const std::string& weak : {"md5:" + md5, "sha1:" + md5 + "00000000", "sha256:" + md5,
                                  std::string("sha256:"), "SHA256:" + sha, std::string()})
    EXPECT_FALSE(ParseMetadata(text(weak))) << weak;
}

TEST_F(Trust, TheSignedTextIsDecodedWithBounds) {
  for (const char* text : {"", "[]", "{}", R"({"version":2})", R"({"version":1,"header":{},"objects":[]})",
                           R"({"version":1,"header":{"digest":5},"objects":[{}]})", "SIFHASH:\n00"})
    EXPECT_FALSE(ParseMetadata(text)) << text;
  for (const char* envelope :
       {"", "{}", R"({"payloadType":"x","payload":"","signatures":[{"sig":"AAAA"}]})",
        R"({"payloadType":"application/vnd.sylabs.sif-metadata+json","payload":"?","signatures":[]})"})
    EXPECT_FALSE(ParseDsse(envelope)) << envelope;
}

TEST_F(Trust, APgpKeySignsAndVerifies) {
  auto ring = KeyRing::Open(top_ + "/keys");
  if (!ring) GTEST_SKIP() << ring.error().message;
  auto key = ring->Generate({.name = "Tester", .email = "tester@example.org", .ask_passphrase = false});
  ASSERT_TRUE(key) << key.error().message;
  EXPECT_EQ(ring->Find("tester@example.org", true)->fingerprint, key->fingerprint);
  std::string exported = *ring->Export(key->fingerprint, false);
  {
    auto signer = PgpSigner(std::move(*ring), key->fingerprint);
    auto ids = SignWith(*signer);
    ASSERT_TRUE(ids) << ids.error().message;
  }
  ASSERT_TRUE(WriteFileAtomically(top_ + "/public.asc", exported));
  auto verify = [&] {
    std::vector<std::unique_ptr<Checker>> checkers;
    checkers.push_back(PgpChecker(std::move(*KeyRing::OfFile(top_ + "/public.asc"))));
    return VerifyBy(checkers, {.all = true});
  };
  VerifyReport report = verify();
  EXPECT_TRUE(report.verified) << report.why;
  EXPECT_EQ(report.signatures[0].checked.signer, "Tester <tester@example.org>");
  EXPECT_EQ(report.signatures[0].checked.key, key->fingerprint);
  EXPECT_EQ(Object(4).fingerprint(), key->fingerprint);
  // One letter of the signed text.
  sif::Descriptor signature = Object(4);
  std::size_t at = signature.offset + ReadFile(path_)->substr(signature.offset).find("relativeId");
  Change(at, 'R');
  report = verify();
  EXPECT_FALSE(report.verified);
  EXPECT_EQ(report.signatures[0].checked.state, Checked::kBad);
  Change(at, 'r');
  // A descriptor that names somebody else.
  Change(signature.slot * sif::kDescriptorSize + sif::kNewTableOffset + sif::kExtraIn + 4, '\x01');
  report = verify();
  EXPECT_FALSE(report.verified);
  // Without the key it is nobody's.
  std::vector<std::unique_ptr<Checker>> strangers;
  strangers.push_back(PgpChecker(std::move(*KeyRing::Open(top_ + "/empty"))));
  EXPECT_EQ(VerifyBy(strangers).signatures[0].checked.state, Checked::kUnknownKey);
}

TEST_F(Trust, TheSitesKeysVerifyWithoutGnuPg) {
  auto ring = KeyRing::Open(top_ + "/keys");
  if (!ring) GTEST_SKIP() << ring.error().message;
  auto key = ring->Generate({.name = "Site", .email = "site@example.org", .ask_passphrase = false});
  auto other = ring->Generate({.name = "Other", .email = "other@example.org", .ask_passphrase = false});
  ASSERT_TRUE(key && other);
  std::string pem = Ed25519("ed"), pem_text = *ReadFile(pem + ".pub");
  std::string ours = *ring->Export(key->fingerprint, false),
              others = *ring->Export(other->fingerprint, false);
  auto signer = PgpSigner(std::move(*ring), key->fingerprint);
  ASSERT_TRUE(SignWith(*signer, {1}));
  SignWithPem(pem, {1});
  auto verify = [&](std::string_view keys) {
    auto site = SiteKeys(keys);
    EXPECT_TRUE(site) << site.error().message;
    return VerifyBy(*site);
  };
  VerifyReport report = verify(Cat("both kinds\n", others, "and\n", ours, pem_text));
  EXPECT_TRUE(report.verified) << report.why;
  ASSERT_EQ(report.signatures.size(), 2U);
  EXPECT_EQ(report.signatures[0].checked.state, Checked::kGood) << report.signatures[0].checked.why;
  EXPECT_EQ(report.signatures[0].checked.key, key->fingerprint);
  EXPECT_EQ(report.signatures[0].checked.signer, "Site <site@example.org>");
  EXPECT_EQ(report.signatures[1].checked.state, Checked::kGood);
  EXPECT_FALSE(verify(others).verified);
  EXPECT_EQ(verify(others).signatures[0].checked.state, Checked::kUnknownKey);
  // One letter of the signed text.
  sif::Descriptor signature = Object(4);
  Change(signature.offset + ReadFile(path_)->substr(signature.offset).find("relativeId"), 'R');
  report = verify(Cat(ours, pem_text));
  EXPECT_FALSE(report.verified) << "one key's good signature does not outweigh another's wrong one";
  EXPECT_EQ(report.signatures[0].checked.state, Checked::kBad);
}

TEST_F(Trust, AnExpiredPgpKeyDoesNotCount) {
  auto ring = KeyRing::Open(top_ + "/keys");
  if (!ring) GTEST_SKIP() << ring.error().message;
  auto key = ring->Generate(
      {.name = "Short", .email = "short@example.org", .expires_s = 1, .ask_passphrase = false});
  ASSERT_TRUE(key) << key.error().message;
  std::string exported = *ring->Export(key->fingerprint, false);
  auto signer = PgpSigner(std::move(*ring), key->fingerprint);
  auto signed_now = SignWith(*signer, {1});
  if (!signed_now) GTEST_SKIP() << "the machine was too slow to sign within a second";
  while (std::time(nullptr) <= key->created + 1) ::usleep(50'000);
  auto site = SiteKeys(exported);
  ASSERT_TRUE(site) << site.error().message;
  VerifyReport report = VerifyBy(*site);
  EXPECT_FALSE(report.verified);
  EXPECT_EQ(report.signatures[0].checked.state, Checked::kUnusable) << report.signatures[0].checked.why;
}

TEST(SiteKeys, WhatIsNoKeyIsNamed) {
  struct Case {
    const char *text, *named;
  };
  for (Case one : {Case{"", "no key"}, Case{"nothing here", "no key"},
                   Case{"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "CERTIFICATE"},
                   Case{"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "block 1"},
                   Case{"-----BEGIN PUBLIC KEY-----\nAAAA\n", "block 1"}, Case{"-----BEGIN ", "block 1"},
                   Case{"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----\n",
                        "no usable PGP"}}) {
    auto keys = SiteKeys(one.text);
    ASSERT_FALSE(keys) << one.text;
    EXPECT_THAT(keys.error().message, HasSubstr(one.named));
  }
}

// What another implementation signed, where a folder of it is at hand.
TEST_F(Trust, ForeignSignaturesAreVerified) {
  const char* folder = std::getenv("SLIPWAY_TEST_SIF_DIR");
  if (folder == nullptr) GTEST_SKIP() << "SLIPWAY_TEST_SIF_DIR names no folder of SIF files and keys";
  path_ = Cat(folder, "/one-group-signed-dsse.sif");
  std::vector<std::unique_ptr<Checker>> checkers;
  checkers.push_back(std::move(*PemChecker(Cat(folder, "/keys/ed25519-public.pem"))));
  EXPECT_TRUE(VerifyBy(checkers, {.all = true}).verified);
  path_ = Cat(folder, "/two-groups-signed-pgp.sif");
  checkers.push_back(PgpChecker(std::move(*KeyRing::OfFile(Cat(folder, "/keys/pgp-public.asc")))));
  EXPECT_TRUE(VerifyBy(checkers, {.all = true}).verified);
  auto site = SiteKeys(Cat(*ReadFile(Cat(folder, "/keys/pgp-public.asc")), "\n",
                           *ReadFile(Cat(folder, "/keys/ed25519-public.pem"))));
  ASSERT_TRUE(site) << site.error().message;
  for (const char* name : {"/two-groups-signed-pgp.sif", "/one-group-signed-dsse.sif"}) {
    path_ = Cat(folder, name);
    EXPECT_TRUE(VerifyBy(*site).verified) << name << ": " << VerifyBy(*site).why;
  }
  path_ = Cat(folder, "/two-groups.sif");
  EXPECT_FALSE(VerifyBy(checkers).verified);
}

}  // namespace
}  // namespace slipway::trust
