// SPDX-License-Identifier: Apache-2.0
#include "imagestore/oci/mirrors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include "base/crypto/crypto.h"
#include "base/os/fd.h"
#include "imagestore/oci/fake_server_test.h"

namespace slipway::oci {
namespace {

using testing::HasSubstr;

constexpr char kConf[] = R"(
unqualified-search-registries = ["docker.io"]
[[registry]]
prefix = "docker.io"
location = "docker.io"
[[registry.mirror]]
location = "mirror.site:5000/hub"
insecure = true
[[registry.mirror]]
location = "second.site"
pull-from-mirror = "digest-only"
[[registry]]
location = "docker.io/private"
blocked = true
[[registry]]
prefix = "old.site/apps"
location = "new.site/moved"
)";

std::string Places(const std::string& text) {
  auto endpoints = EndpointsOf(*ParseReference(text), false, *ParseMirrors(kConf, "r.conf"));
  if (!endpoints) return endpoints.error().message;
  std::string places;
  for (const Endpoint& one : *endpoints)
    places += Cat(one.plain_http ? "http " : "", one.reference.Name(), ";");
  return places;
}

TEST(Mirrors, AreAskedInTheOrderOfTheFileAndTheRegistryLast) {
  EXPECT_EQ(Places("docker://debian:12"),
            "http mirror.site:5000/hub/library/debian;docker.io/library/debian;");
  EXPECT_EQ(Places("docker://debian@sha256:" + std::string(64, 'a')),
            "http mirror.site:5000/hub/library/debian;second.site/library/debian;docker.io/library/debian;");
  EXPECT_EQ(Places("docker://ghcr.io/a/b"), "ghcr.io/a/b;");
  EXPECT_EQ(Places("docker://docker.io.evil.org/a"), "docker.io.evil.org/a;");
  EXPECT_EQ(Places("oras://old.site/apps/x:1"), "new.site/moved/x;");
  EXPECT_THAT(Places("docker://docker.io/private/x"), HasSubstr("registries.conf blocks docker.io/private"));
}

TEST(Mirrors, AFileThatIsWrongIsNamedWithTheLine) {
  EXPECT_THAT(ParseMirrors("[[registry]]\nx = \n", "r.conf").error().message, HasSubstr("r.conf:2"));
  EXPECT_THAT(ParseMirrors("[[registry]]\nblocked = true\n", "r.conf").error().message,
              HasSubstr("r.conf:1: a [[registry]] needs a location"));
  EXPECT_FALSE(ParseMirrors("[[registry]]\nlocation=\"a\"\n[[registry.mirror]]\ninsecure=true\n", "r.conf"));
  EXPECT_TRUE(ParseMirrors("", "r.conf")->empty());
  EXPECT_TRUE(ParseMirrors("registry = 5\n", "r.conf")->empty());
}

class MirrorServers : public ::testing::Test {
 protected:
  void SetUp() override {
    top_ = *MakeTempDirectory("/tmp", "oci-mirrors-");
    ::setenv("DOCKER_CONFIG", top_.c_str(), 1);
    ::setenv("HOME", top_.c_str(), 1);
    ::setenv("CONTAINERS_REGISTRIES_CONF", (top_ + "/r.conf").c_str(), 1);
    options_.plain_http = true;
    options_.http.stall_timeout = std::chrono::seconds(1);
    options_.http.sleep = [](std::chrono::milliseconds) {};
  }
  void TearDown() override {
    ::unsetenv("CONTAINERS_REGISTRIES_CONF");
    EXPECT_TRUE(RemoveTree(top_));
  }
  Repository Of(const FakeServer& mirror, const FakeServer& registry) {
    EXPECT_TRUE(WriteFileAtomically(
        top_ + "/r.conf", Cat("[[registry]]\nlocation = \"", registry.host(),
                              "\"\n[[registry.mirror]]\nlocation = \"", mirror.host(), "/copy\"\n")));
    return *Repository::Of(*ParseReference(Cat("docker://", registry.host(), "/a/b:1")), options_);
  }
  Result<std::string> Blob(Repository& repository, const std::string& expected) {
    UniqueFd fd(::memfd_create("blob", MFD_CLOEXEC));
    TRY(repository.GetBlob({.digest = DigestOf(expected), .size = expected.size()}, fd.get(), 0, {}));
    std::string bytes(expected.size(), '\0');
    TRY(ReadExactlyAt(fd.get(), std::as_writable_bytes(std::span(bytes)), 0));
    return bytes;
  }
  std::string top_;
  RegistryOptions options_;
};

TEST_F(MirrorServers, WhatTheMirrorHasTheRegistryIsNotAskedFor) {
  FakeServer mirror([](const std::string&, int) -> FakeServer::Answer { return {FakeServer::Ok("x")}; });
  FakeServer registry(
      [](const std::string&, int) -> FakeServer::Answer { return {FakeServer::Status(500)}; });
  Repository repository = Of(mirror, registry);
  EXPECT_EQ(Blob(repository, "x").value_or(""), "x");
  EXPECT_TRUE(registry.heads().empty());
  EXPECT_THAT(mirror.heads()[0], HasSubstr("/v2/copy/a/b/blobs/"));
}

TEST_F(MirrorServers, AMirrorThatHasNothingStumblesOrLiesIsDoneWithout) {
  FakeServer registry([](const std::string&, int) -> FakeServer::Answer { return {FakeServer::Ok("x")}; });
  for (int status : {404, 401, 403, 429, 500, 503}) {
    FakeServer mirror(
        [&](const std::string&, int) -> FakeServer::Answer { return {FakeServer::Status(status)}; });
    Repository repository = Of(mirror, registry);
    EXPECT_EQ(Blob(repository, "x").value_or(""), "x") << status;
    EXPECT_EQ(mirror.heads().size(), 1U) << status;
    Result<std::string> small = repository.GetSmallBlob({.digest = DigestOf("x"), .size = 1});
    EXPECT_EQ(small.value_or(""), "x") << status;
  }
  FakeServer liar([](const std::string&, int) -> FakeServer::Answer { return {FakeServer::Ok("y")}; });
  Repository repository = Of(liar, registry);
  EXPECT_EQ(repository.GetSmallBlob({.digest = DigestOf("x"), .size = 1}).value_or(""), "x");
  EXPECT_EQ(Blob(repository, "x").value_or(""), "x") << "the registry is asked for it from the start";
}

TEST_F(MirrorServers, ABlobThatTheMirrorBreaksOffTheRegistryGoesOnWith) {
  std::string body(100'000, 'b');
  FakeServer mirror([&](const std::string&, int) -> FakeServer::Answer {
    return {FakeServer::Ok(body).substr(0, 40'000)};
  });
  FakeServer registry([&](const std::string& head, int) -> FakeServer::Answer {
    std::size_t at = head.find("Range: bytes=");
    std::size_t from =
        at == std::string::npos ? 0 : static_cast<std::size_t>(std::atol(head.c_str() + at + 13));
    return {Cat("HTTP/1.1 206 X\r\nConnection: close\r\nContent-Length: ", body.size() - from, "\r\n\r\n",
                body.substr(from))};
  });
  Repository repository = Of(mirror, registry);
  EXPECT_EQ(Blob(repository, body).value_or(""), body);
  EXPECT_THAT(registry.heads()[0], HasSubstr("Range: bytes="));
}

}  // namespace
}  // namespace slipway::oci
