// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "base/crypto/base64.h"
#include "base/crypto/crypto.h"
#include "base/os/process.h"
#include "imagestore/oci/blob_cache.h"
#include "imagestore/oci/credentials.h"
#include "imagestore/oci/login.h"
#include "imagestore/oci/manifest.h"
#include "imagestore/oci/reference.h"
#include "imagestore/oci/scripts.h"
#include "imagestore/oci/unprivileged.h"

namespace slipway::oci {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::string kDigest = "sha256:" + std::string(64, 'a');

TEST(ReferenceText, IsReadAsOthersReadIt) {
  Reference r = *ParseReference("docker://debian");
  EXPECT_EQ(r.repository, "library/debian");
  EXPECT_EQ(r.tag, "latest");
  r = *ParseReference("docker://registry.example.org:5000/hpc/mpi:5.0@" + kDigest);
  EXPECT_EQ(r.registry, "registry.example.org:5000");
  EXPECT_EQ(r.repository, "hpc/mpi");
  EXPECT_EQ(r.Selected(), kDigest);
  EXPECT_EQ(ParseReference("docker://user/app")->repository, "user/app");
  EXPECT_EQ(ParseReference("docker://localhost/app")->registry, "localhost");
  EXPECT_EQ(ParseReference("oras://host.example/x:y")->scheme, Scheme::kOras);
  r = *ParseReference("oci-archive:/a/b.tar:v1");
  EXPECT_EQ(r.path, "/a/b.tar");
  EXPECT_EQ(r.selector, "v1");
  EXPECT_EQ(ParseReference("oci:dir")->selector, "");
  EXPECT_EQ(ParseReference("docker-archive:a.tar:localhost/x:1")->selector, "localhost/x:1");
  for (const char* bad :
       {"", "debian", "ftp://x/y", "docker://", "docker://Upper/x", "docker://a//b", "docker://a:b:c",
        "docker://x@sha256:12", "docker://x:-t", "docker://x y", "oci:", "docker://../x", "docker://-h/x"})
    EXPECT_FALSE(ParseReference(bad)) << bad;
  EXPECT_FALSE(LooksLikeReference("./docker"));
}

TEST(ReferenceText, NamesTheFile) {
  EXPECT_EQ(DefaultFileName(*ParseReference("docker://h.example/a/debian:12")), "debian_12.sif");
  EXPECT_EQ(DefaultFileName(*ParseReference("docker://x@" + kDigest)), "x_aaaaaaaaaaaa.sif");
  EXPECT_EQ(DefaultFileName(*ParseReference("https://h/p/q.sif?x=1")), "q.sif");
  EXPECT_EQ(DefaultFileName(*ParseReference("docker-archive:/d/app.tar.gz")), "app.sif");
}

std::string Layer(const std::string& media_type = "application/vnd.oci.image.layer.v1.tar") {
  return Cat(R"({"mediaType":")", media_type, R"(","digest":")", kDigest, R"(","size":5})");
}

TEST(ManifestText, IsDecodedWithBounds) {
  auto manifest = [](const std::string& layers) {
    return Cat(R"({"schemaVersion":2,"config":)", Layer(), R"(,"layers":[)", layers, "]}");
  };
  EXPECT_EQ(ParseManifest(manifest(Layer() + "," + Layer()))->layers.size(), 2U);
  std::string many;
  for (int i = 0; i < 5000; ++i) many += (i > 0 ? "," : "") + Layer();
  EXPECT_FALSE(ParseManifest(manifest(many)));
  for (std::string bad :
       {std::string("{}"), std::string("[]"), std::string(R"({"schemaVersion":1,"layers":[]})"),
        manifest(R"({"digest":"sha256:zz","size":1})"), manifest(R"({"digest":")" + kDigest + R"("})"),
        manifest(R"({"digest":")" + kDigest + R"(","size":-1})"), manifest("5"),
        std::string(R"({"schemaVersion":2,"manifests":[],"layers":[]})"),
        Cat(R"({"schemaVersion":2,"mediaType":")", kOciIndexType, R"(","config":)", Layer(),
            R"(,"layers":[]})")})
    EXPECT_FALSE(ParseManifest(bad)) << bad;
}

TEST(ManifestText, ChoosesTheArchitecture) {
  Manifest index;
  index.manifests = {{.digest = "a", .os = "linux", .arch = "amd64"},
                     {.digest = "b", .os = "linux", .arch = "arm", .variant = "v7"},
                     {.digest = "c", .os = "linux", .arch = "arm64", .variant = "v8"},
                     {.digest = "w", .os = "windows", .arch = "amd64"},
                     {.digest = "u", .os = "unknown", .arch = "unknown"}};
  EXPECT_EQ(SelectPlatform(index, "amd64")->digest, "a");
  EXPECT_EQ(SelectPlatform(index, "arm/v7")->digest, "b");
  EXPECT_EQ(SelectPlatform(index, "arm")->digest, "b");
  EXPECT_EQ(SelectPlatform(index, "arm64")->digest, "c");
  auto missing = SelectPlatform(index, "s390x");
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message, HasSubstr("linux/arm/v7"));
  EXPECT_FALSE(SelectPlatform(index, "arm/v6"));
}

TEST(ManifestText, KnowsBothSpellingsOfASif) {
  EXPECT_TRUE(IsSifLayer("application/vnd.sylabs.sif.layer.v1.sif"));
  EXPECT_TRUE(IsSifLayer("appliciation/vnd.sylabs.sif.layer.tar"));
  EXPECT_FALSE(IsSifLayer("application/vnd.oci.image.layer.v1.tar"));
  EXPECT_TRUE(IsTarLayer("application/vnd.docker.image.rootfs.diff.tar.gzip"));
  EXPECT_TRUE(IsTarLayer("application/vnd.oci.image.layer.v1.tar+zstd"));
  EXPECT_FALSE(IsTarLayer("application/vnd.oci.image.layer.v1.tar+encrypted"));
}

TEST(PasswordFiles, APartOfARegistryHasItsOwnPassword) {
  std::string helper;
  auto with = [](const char* user) { return Cat(R"({"auth":")", Base64(Cat(user, ":pw")), R"("})"); };
  std::string json =
      Cat(R"({"auths":{"q.example/a":)", with("a"), R"(,"q.example/b/deep":)", with("deep"),
          R"(,"q.example/b":)", with("b"), R"(,"https://old.example/v2/":)", with("old"), "}}");
  EXPECT_EQ(CredentialsIn(json, "q.example/a/app", helper)->user, "a");
  EXPECT_EQ(CredentialsIn(json, "q.example/b/app", helper)->user, "b");
  EXPECT_EQ(CredentialsIn(json, "q.example/b/deep/app", helper)->user, "deep");
  EXPECT_TRUE(CredentialsIn(json, "q.example/bb/app", helper)->empty());
  EXPECT_TRUE(CredentialsIn(json, "q.example/other/app", helper)->empty());
  EXPECT_EQ(CredentialsIn(json, "old.example/x", helper)->user, "old");
}

TEST(PasswordFiles, ALoginJoinsWhatIsThere) {
  std::string helper, text = R"({"auths":{"a.example":{"auth":"eDp5"}},"proxies":{"x":1}})";
  std::string made = *WithLogin(text, "b.example:5000", {"me", "p:w", {}});
  EXPECT_EQ(CredentialsIn(made, "b.example:5000", helper)->password, "p:w");
  EXPECT_EQ(CredentialsIn(made, "a.example", helper)->user, "x");
  EXPECT_THAT(made, testing::HasSubstr("proxies"));
  EXPECT_EQ(CredentialsIn(*WithLogin("", "docker.io", {"hub", "pw", {}}), "docker.io", helper)->user, "hub");
  EXPECT_FALSE(WithLogin("[]", "x", {"a", "b", {}}));
  EXPECT_FALSE(WithLogin(R"({"auths":[]})", "x", {"a", "b", {}}));
}

TEST(PasswordFiles, AreReadAsDockerWritesThem) {
  std::string helper;
  std::string json =
      Cat(R"({"auths":{"https://index.docker.io/v1/":{"auth":")", Base64("hub:pw"),
          R"("},"h.example:5000":{"auth":")", Base64("u:p:q"), R"("},"t.example":{"identitytoken":"tok"}},)",
          R"("credHelpers":{"helped.example":"pass"},"credsStore":"secretservice"})");
  EXPECT_EQ(CredentialsIn(json, "docker.io", helper)->user, "hub");
  EXPECT_EQ(CredentialsIn(json, "h.example:5000", helper)->password, "p:q");
  EXPECT_EQ(CredentialsIn(json, "t.example", helper)->identity_token, "tok");
  EXPECT_EQ(helper, "");
  EXPECT_TRUE(CredentialsIn(json, "helped.example", helper)->empty());
  EXPECT_EQ(helper, "pass");
  EXPECT_TRUE(CredentialsIn(json, "else.example", helper)->empty());
  EXPECT_EQ(helper, "secretservice");
  helper.clear();
  EXPECT_TRUE(CredentialsIn(R"({"credsStore":"../../evil"})", "x", helper)->empty());
  EXPECT_EQ(helper, "");
  EXPECT_TRUE(CredentialsIn(json, "h.example", helper)->empty()) << "another port is another registry";
  EXPECT_EQ(ParseHelperAnswer(R"({"Username":"<token>","Secret":"s"})")->identity_token, "s");
  EXPECT_FALSE(ParseHelperAnswer("no json"));
}

TEST(ChallengeHeader, IsTakenApart) {
  Challenge c =
      ParseChallenge(R"(Bearer realm="https://a.example/token",service="s, with comma",scope="x:y")");
  EXPECT_EQ(c.kind, Challenge::kBearer);
  EXPECT_EQ(c.realm, "https://a.example/token");
  EXPECT_EQ(c.service, "s, with comma");
  EXPECT_EQ(ParseChallenge("basic realm=r").kind, Challenge::kBasic);
  for (const char* odd : {"", "Bearer", "Bearer realm=\"open", "Bearer =,=,=", "\\\"", "Negotiate"})
    ParseChallenge(odd);
}

TEST(Scripts, SayWhatTheConfigSays) {
  ImageConfig config;
  config.entrypoint = {"/bin/echo", "it's"};
  config.command = {"a b", "$HOME"};
  std::string folder = *MakeTempDirectory("/tmp", "oci-scripts-");
  auto run = [&](const std::string& arguments) {
    EXPECT_TRUE(WriteFileAtomically(folder + "/run", Runscript(config), 0755));
    return RunAndCapture({.argv = {"/bin/sh", "-c", Cat(folder, "/run ", arguments)}})->out;
  };
  EXPECT_EQ(run(""), "it's a b $HOME\n");
  EXPECT_EQ(run("x 'y  z'"), "it's x y  z\n");
  config.entrypoint.clear();
  EXPECT_EQ(run("/bin/echo only"), "only\n");
  config.env = {"PATH=/image/bin", "A=x\"y$z`w\\", "NOVALUE", "bad-name=1", "1X=1", "B=default"};
  EXPECT_TRUE(
      WriteFileAtomically(folder + "/env", EnvironmentScript(config) + "echo \"$PATH|$A|$B\"\n", 0755));
  EXPECT_EQ(RunAndCapture({.argv = {"/bin/sh", "-c", Cat("B=mine . ", folder, "/env")}})->out,
            "/image/bin|x\"y$z`w\\|mine\n");
  EXPECT_TRUE(RemoveTree(folder));
}

class Cache : public ::testing::Test {
 protected:
  void SetUp() override { top_ = *MakeTempDirectory("/tmp", "oci-cache-"); }
  void TearDown() override { EXPECT_TRUE(RemoveTree(top_)); }
  std::string top_;
};

TEST_F(Cache, ABlobIsBroughtOnceByHoweverManyWantIt) {
  std::atomic<int> fetched = 0;
  std::string body(100'000, 'x'), digest = DigestOf(body);
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&] {
      auto cache = BlobCache::Open(top_);
      auto fd = cache->Get(digest, body.size(), [&](int out, std::uint64_t have) -> Result<> {
        EXPECT_EQ(have, 0U);
        ++fetched;
        return WriteAll(out, body);
      });
      EXPECT_TRUE(fd) << fd.error().message;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(fetched, 1);
}

TEST_F(Cache, WhatIsNotItsDigestIsRefusedAndGone) {
  auto cache = BlobCache::Open(top_);
  auto lie = cache->Get(DigestOf("truth"), 5, [](int out, std::uint64_t) { return WriteAll(out, "lying"); });
  ASSERT_FALSE(lie);
  EXPECT_EQ(lie.error().code, Code::kDataLoss);
  auto truth = cache->Get(DigestOf("truth"), 5, [](int out, std::uint64_t have) {
    EXPECT_EQ(have, 0U);
    return WriteAll(out, "truth");
  });
  EXPECT_TRUE(truth);
}

TEST_F(Cache, WhatBrokeOffGoesOnWhereItWas) {
  auto cache = BlobCache::Open(top_);
  std::string digest = DigestOf("0123456789");
  EXPECT_FALSE(cache->Get(digest, 10, [](int out, std::uint64_t) -> Result<> {
    TRY(WriteAll(out, "01234"));
    return Fail(Code::kUnavailable, "the line is dead");
  }));
  auto fd = cache->Get(digest, 10, [](int out, std::uint64_t have) -> Result<> {
    EXPECT_EQ(have, 5U);
    ::lseek(out, 0, SEEK_END);
    return WriteAll(out, "56789");
  });
  EXPECT_TRUE(fd) << fd.error().message;
}

TEST_F(Cache, IsBoundedAndLetsTheLongestUnusedGo) {
  auto cache = BlobCache::Open(top_, nullptr, 250);
  auto bring = [&](const std::string& body) {
    return cache->Get(DigestOf(body), body.size(),
                      [&](int out, std::uint64_t) { return WriteAll(out, body); });
  };
  auto used = [&](const std::string& path, std::int64_t seconds_ago) {
    timespec times[2] = {};
    times[0].tv_sec = times[1].tv_sec = std::time(nullptr) - seconds_ago;
    ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0) << path;
  };
  auto blob = [&](const std::string& body) { return Cat(top_, "/blobs/sha256/", DigestOf(body).substr(7)); };
  auto is_there = [](const std::string& path) { return ::access(path.c_str(), F_OK) == 0; };
  std::string old(100, 'o'), busy(100, 'b'), fresh(100, 'f'), last(100, 'l');
  auto held = bring(old);
  ASSERT_TRUE(held && bring(busy));
  used(blob(old), 5000);
  used(blob(busy), 9000);
  ASSERT_TRUE(bring(busy)) << "it counts as used now, also on a mount without access times";
  ASSERT_TRUE(bring(fresh));
  EXPECT_FALSE(is_there(blob(old)));
  EXPECT_TRUE(is_there(blob(busy)) && is_there(blob(fresh)));
  EXPECT_EQ(*ReadAll(held->get(), 200), old) << "who has it open goes on reading";
  auto image = cache->Made(
      "k.sif", [](const std::string& path) { return WriteFileAtomically(path, std::string(100, 'i')); });
  EXPECT_TRUE(is_there(blob(busy)) && is_there(blob(fresh))) << "what was used just now stays";
  used(*image, 7000);
  used(blob(busy), 6000);
  ASSERT_TRUE(bring(last));
  EXPECT_FALSE(is_there(*image) || is_there(blob(busy))) << "images and layers have one bound";
  EXPECT_TRUE(is_there(blob(fresh)) && is_there(blob(last)));
  EXPECT_TRUE(BlobCache::Open(top_)->Get(DigestOf("x"), 1,
                                         [](int out, std::uint64_t) { return WriteAll(out, "x"); }));
}

TEST_F(Cache, HasTheBoundThatTheEnvironmentSays) {
  ::unsetenv("SLIPWAY_CACHE_MAX");
  EXPECT_EQ(*BlobCache::DefaultBytes(), BlobCache::kBytes);
  ::setenv("SLIPWAY_CACHE_MAX", "3G", 1);
  EXPECT_EQ(*BlobCache::DefaultBytes(), 3ULL << 30);
  ::setenv("SLIPWAY_CACHE_MAX", "much", 1);
  EXPECT_EQ(BlobCache::DefaultBytes().error().code, Code::kInvalidArgument);
  ::unsetenv("SLIPWAY_CACHE_MAX");
}

TEST_F(Cache, WhatACrashDamagedIsBroughtAnew) {
  auto cache = BlobCache::Open(top_);
  std::string digest = DigestOf("0123456789");
  ASSERT_TRUE(
      WriteFileAtomically(Cat(top_, "/blobs/sha256/", digest.substr(7), ".part"), std::string(5, '\0')));
  std::vector<std::uint64_t> had;
  auto fd = cache->Get(digest, 10, [&](int out, std::uint64_t have) -> Result<> {
    had.push_back(have);
    ::lseek(out, static_cast<off_t>(have), SEEK_SET);
    return WriteAll(out, std::string("0123456789").substr(have));
  });
  EXPECT_TRUE(fd) << fd.error().message;
  EXPECT_EQ(had, (std::vector<std::uint64_t>{5, 0}));
}

TEST_F(Cache, WhatIsMadeIsThereWholeOrNotAtAll) {
  auto cache = BlobCache::Open(top_);
  EXPECT_FALSE(cache->Made("k.sif", [](const std::string& path) -> Result<> {
    TRY(WriteFileAtomically(path, "half"));
    return Fail(Code::kCancelled, "cancelled");
  }));
  auto path =
      cache->Made("k.sif", [](const std::string& path) { return WriteFileAtomically(path, "whole"); });
  EXPECT_EQ(*ReadFile(*path), "whole");
  EXPECT_EQ(
      *cache->Made("k.sif", [](const std::string&) -> Result<> { return Fail(Code::kInternal, "again?"); }),
      *path);
}

TEST(UnprivilegedWork, HasNoRightsOfRootAndComesBackWhole) {
  std::uint64_t seen = 0;
  auto answer = Unprivileged({[](const auto& report) -> Result<std::string> {
                                report(42);
                                return Cat(::geteuid(), " ", ::setuid(0), " ", std::string(100'000, 'x'));
                              },
                              [&](std::uint64_t number) { seen = number; }});
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(seen, 42U);
  EXPECT_EQ(answer->size() > 100'000, true);
  bool dropped = answer->starts_with("65534 -1 ");
  EXPECT_EQ(dropped, ::geteuid() == 0) << answer->substr(0, 20);
  auto failed =
      Unprivileged({[](const auto&) -> Result<std::string> { return Fail(Code::kOutOfRange, "a bomb"); }});
  EXPECT_EQ(failed.error().code, Code::kOutOfRange);
  EXPECT_EQ(failed.error().message, "a bomb");
}

TEST(UnprivilegedWork, ACrashIsAnErrorAndCancellingKillsIt) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root's work is done in a child";
  auto crashed = Unprivileged({[](const auto&) -> Result<std::string> { ::_exit(9); }});
  EXPECT_EQ(crashed.error().code, Code::kInvalidArgument);
  std::atomic<bool> cancelled = true;
  auto stopped = Unprivileged({[](const auto&) -> Result<std::string> {
                                 for (;;) ::pause();
                               },
                               {},
                               &cancelled});
  EXPECT_EQ(stopped.error().code, Code::kCancelled);
}

}  // namespace
}  // namespace slipway::oci
