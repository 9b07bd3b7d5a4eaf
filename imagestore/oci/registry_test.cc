// SPDX-License-Identifier: Apache-2.0
// Registries that stall, break off, redirect, lie and ask for patience.
#include "imagestore/oci/registry.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>

#include "base/crypto/base64.h"
#include "base/crypto/crypto.h"
#include "imagestore/oci/bad_registry_test.h"
#include "imagestore/oci/pull.h"
#include "imagestore/oci/source.h"
#include "imagestore/sif/sif.h"

namespace slipway::oci {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST_F(BadRegistry, ABlobThatBreaksOffIsResumedWhereItWas) {
  std::string body = Body(100'000);
  FakeServer server([&](const std::string& head, int) -> FakeServer::Answer {
    std::size_t from = RangeIn(head);
    std::string rest = body.substr(from);
    std::string whole =
        Cat("HTTP/1.1 ", from > 0 ? 206 : 200, " X\r\nContent-Length: ", rest.size(), "\r\n\r\n", rest);
    return {whole.substr(0, whole.size() - rest.size() + std::min<std::size_t>(rest.size(), 30'000))};
  });
  EXPECT_EQ(Blob(server, body).value_or(""), body);
  EXPECT_EQ(server.heads().size(), 4U);
}

TEST_F(BadRegistry, AServerThatKnowsNoRangesGivesTheWholeAgain) {
  std::string body = Body(50'000);
  FakeServer server([&](const std::string&, int number) -> FakeServer::Answer {
    std::string whole = FakeServer::Ok(body);
    return {number == 0 ? whole.substr(0, 20'000) : whole};
  });
  EXPECT_EQ(Blob(server, body).value_or(""), body);
}

TEST_F(BadRegistry, AServerThatStallsIsGivenUpInTheEnd) {
  std::string body = Body(1000);
  options_.http.tries = 2;
  FakeServer server([&](const std::string&, int) -> FakeServer::Answer {
    return {FakeServer::Ok(body).substr(0, 20), true};
  });
  auto blob = Blob(server, body);
  ASSERT_FALSE(blob);
  EXPECT_EQ(blob.error().code, Code::kDeadlineExceeded);
}

TEST_F(BadRegistry, ABlobThatIsTooLongOrTooShortIsRefused) {
  FakeServer too_long(
      [](const std::string&, int) -> FakeServer::Answer { return {FakeServer::Ok(Body(2000))}; });
  EXPECT_THAT(Blob(too_long, Body(1000)).error().message, HasSubstr("more than the 1000 bytes"));
  FakeServer too_short([](const std::string& head, int) -> FakeServer::Answer {
    return {RangeIn(head) > 0 ? FakeServer::Status(416) : FakeServer::Ok(Body(500))};
  });
  EXPECT_FALSE(Blob(too_short, Body(1000)));
}

TEST_F(BadRegistry, PatienceIsShownWhenAskedFor) {
  FakeServer server([](const std::string&, int number) -> FakeServer::Answer {
    if (number < 2) return {FakeServer::Status(429, "Retry-After: 7\r\n")};
    return {FakeServer::Ok("x")};
  });
  EXPECT_EQ(Blob(server, "x").value_or(""), "x");
  ASSERT_EQ(waits_.size(), 2U);
  EXPECT_EQ(waits_[0], std::chrono::seconds(7));
  FakeServer never([](const std::string&, int) -> FakeServer::Answer {
    return {FakeServer::Status(429, "Retry-After: 86000\r\n")};
  });
  auto refused = Blob(never, "x");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kResourceExhausted);
  EXPECT_THAT(refused.error().message, HasSubstr("86000 s"));
  EXPECT_EQ(never.heads().size(), 1U);
}

TEST_F(BadRegistry, ServersThatStumbleAreAskedAgainAndNotForEver) {
  FakeServer server([](const std::string&, int number) -> FakeServer::Answer {
    return {number < 2 ? FakeServer::Status(503) : FakeServer::Ok("x")};
  });
  EXPECT_EQ(Blob(server, "x").value_or(""), "x");
  FakeServer broken([](const std::string&, int) -> FakeServer::Answer { return {FakeServer::Status(500)}; });
  EXPECT_FALSE(Blob(broken, "x"));
  EXPECT_EQ(broken.heads().size(), 4U);
}

TEST_F(BadRegistry, RedirectsInCirclesEnd) {
  FakeServer server([](const std::string&, int) -> FakeServer::Answer {
    return {FakeServer::Status(307, "Location: /v2/again\r\n")};
  });
  auto blob = Blob(server, "x");
  ASSERT_FALSE(blob);
  EXPECT_THAT(blob.error().message, HasSubstr("redirects"));
  EXPECT_LE(server.heads().size(), 12U);
  FakeServer elsewhere([](const std::string&, int) -> FakeServer::Answer {
    return {FakeServer::Status(307, "Location: file:///etc/passwd\r\n")};
  });
  EXPECT_FALSE(Blob(elsewhere, "x"));
}

TEST_F(BadRegistry, APasswordNeverReachesAnotherHost) {
  FakeServer other([](const std::string&, int) -> FakeServer::Answer { return {FakeServer::Ok("x")}; });
  FakeServer server([&](const std::string& head, int) -> FakeServer::Answer {
    if (head.find("Authorization:") == std::string::npos)
      return {FakeServer::Status(401, "WWW-Authenticate: Basic realm=\"r\"\r\n")};
    return {FakeServer::Status(307, Cat("Location: ", other.url("/blob"), "\r\n"))};
  });
  ASSERT_TRUE(WriteFileAtomically(
      top_ + "/config.json",
      Cat(R"({"auths":{")", server.host(), R"(":{"auth":")", Base64("user:geheim"), R"("}}})")));
  EXPECT_EQ(Blob(server, "x").value_or(""), "x");
  EXPECT_THAT(server.heads()[1], HasSubstr("Authorization: Basic " + Base64("user:geheim")));
  ASSERT_EQ(other.heads().size(), 1U);
  EXPECT_THAT(other.heads()[0], Not(HasSubstr("Authorization")));
}

TEST_F(BadRegistry, ATokenIsAskedForWithThePasswordAndUsed) {
  std::string realm;
  FakeServer tokens([](const std::string& head, int) -> FakeServer::Answer {
    bool known = head.find("Authorization: Basic " + Base64("user:geheim")) != std::string::npos;
    return {known ? FakeServer::Ok(R"({"token":"t0ken"})") : FakeServer::Status(401)};
  });
  FakeServer server([&](const std::string& head, int) -> FakeServer::Answer {
    if (head.find("Authorization: Bearer t0ken") != std::string::npos) return {FakeServer::Ok("x")};
    return {FakeServer::Status(
        401, Cat("WWW-Authenticate: Bearer realm=\"", tokens.url("/t"), "\",service=\"s\"\r\n"))};
  });
  ASSERT_TRUE(WriteFileAtomically(
      top_ + "/config.json",
      Cat(R"({"auths":{")", server.host(), R"(":{"auth":")", Base64("user:geheim"), R"("}}})")));
  EXPECT_EQ(Blob(server, "x").value_or(""), "x");
  EXPECT_THAT(tokens.heads()[0], HasSubstr("scope=repository%3Aa%2Fb%3Apull"));
}

TEST_F(BadRegistry, WhoIsRedirectedToDoesNotSayWhereAPasswordGoes) {
  FakeServer thief(
      [](const std::string&, int) -> FakeServer::Answer { return {FakeServer::Ok(R"({"token":"x"})")}; });
  FakeServer other([&](const std::string&, int) -> FakeServer::Answer {
    return {FakeServer::Status(
        401, Cat("WWW-Authenticate: Bearer realm=\"", thief.url("/t"), "\",service=\"s\"\r\n"))};
  });
  FakeServer server([&](const std::string&, int) -> FakeServer::Answer {
    return {FakeServer::Status(307, Cat("Location: ", other.url("/blob"), "\r\n"))};
  });
  ASSERT_TRUE(WriteFileAtomically(
      top_ + "/config.json",
      Cat(R"({"auths":{")", server.host(), R"(":{"auth":")", Base64("user:geheim"), R"("}}})")));
  EXPECT_EQ(Blob(server, "x").error().code, Code::kUnauthenticated);
  EXPECT_TRUE(thief.heads().empty());
}

TEST_F(BadRegistry, ARefreshTokenIsNotCarriedToAnotherHost) {
  FakeServer thief(
      [](const std::string&, int) -> FakeServer::Answer { return {FakeServer::Ok(R"({"token":"x"})")}; });
  FakeServer server([&](const std::string& head, int) -> FakeServer::Answer {
    if (head.starts_with("POST"))
      return {FakeServer::Status(307, Cat("Location: ", thief.url("/t"), "\r\n"))};
    return {
        FakeServer::Status(401, Cat("WWW-Authenticate: Bearer realm=\"http://127.0.0.1:",
                                    head.substr(head.find("127.0.0.1:") + 10, 5), "/t\",service=\"s\"\r\n"))};
  });
  ASSERT_TRUE(WriteFileAtomically(top_ + "/config.json",
                                  Cat(R"({"auths":{")", server.host(), R"(":{"auth":")", Base64("<token>:"),
                                      R"(","identitytoken":"geheim"}}})")));
  auto refused = Blob(server, "x");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("redirects what only it may read"));
  EXPECT_TRUE(thief.heads().empty());
}

TEST_F(BadRegistry, AFileOfTheWebIsResumedOnlyWhileItIsTheSame) {
  auto fetch = [&](const FakeServer& server) -> Result<std::string> {
    BlobCache cache = TRY(BlobCache::Open(top_ + "/cache"));
    SourceOptions source{.registry = options_};
    UniqueFd file = TRY(FetchSif(*ParseReference(server.url("/x.sif")), cache, source));
    ::lseek(file.get(), 0, SEEK_SET);
    return ReadAll(file.get(), 1 << 20);
  };
  std::string sif = top_ + "/x.sif";
  sif::Writer writer = *sif::Writer::Create(sif, {});
  ASSERT_TRUE(writer.AddObject(sif::DataType::kGeneric, "x", Body(30'000)));
  ASSERT_TRUE(writer.Commit());
  std::string body = *ReadFile(sif, 1 << 20);
  for (bool same : {true, false}) {
    FakeServer server([&](const std::string& head, int number) -> FakeServer::Answer {
      std::string tag = same || number == 0 ? "ETag: \"1\"\r\n" : "ETag: \"2\"\r\n";
      std::string old(body.size(), 'x');
      if (number == 0) return {FakeServer::Ok(same ? body : old, tag).substr(0, 20'000)};
      bool asked = head.find("If-Range: \"1\"") != std::string::npos;
      EXPECT_TRUE(asked) << head;
      if (!same) return {FakeServer::Ok(body, tag)};
      std::size_t from = RangeIn(head);
      return {Cat("HTTP/1.1 206 X\r\nContent-Range: bytes ", from, "-", body.size() - 1, "/", body.size(),
                  "\r\nContent-Length: ", body.size() - from, "\r\n\r\n", body.substr(from))};
    });
    auto got = fetch(server);
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_TRUE(*got == body) << same;
  }
  FakeServer unversioned([&](const std::string& head, int number) -> FakeServer::Answer {
    EXPECT_EQ(head.find("Range:"), std::string::npos);
    return {FakeServer::Ok(body).substr(0, number == 0 ? 20'000 : std::string::npos)};
  });
  EXPECT_TRUE(fetch(unversioned).value_or("") == body);
  FakeServer another([&](const std::string&, int number) -> FakeServer::Answer {
    if (number == 0) return {FakeServer::Ok(body, "ETag: \"1\"\r\n").substr(0, 20'000)};
    return {Cat("HTTP/1.1 206 X\r\nContent-Range: bytes 5-9/", body.size(),
                "\r\nContent-Length: 5\r\n\r\nhello")};
  });
  EXPECT_THAT(fetch(another).error().message, HasSubstr("another part than was asked for"));
}

TEST_F(BadRegistry, AFileOfTheWebThatDoesNotEndIsCutOff) {
  FakeServer server([](const std::string&, int) -> FakeServer::Answer {
    return {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + Body(200'000)};
  });
  BlobCache cache = *BlobCache::Open(top_ + "/cache");
  SourceOptions source{.registry = options_, .archive_bytes_max = 100'000};
  auto file = FetchSif(*ParseReference(server.url("/x.sif")), cache, source);
  EXPECT_THAT(file.error().message, HasSubstr("sends more than"));
  EXPECT_THAT(file.error().message, HasSubstr("--max-bytes"));
}

TEST_F(BadRegistry, AnImageOfAnotherArchitectureThanWasAskedForIsRefused) {
  std::string config = R"({"architecture":"amd64","os":"linux"})";
  std::string manifest = Cat(R"({"schemaVersion":2,"config":{"digest":")", DigestOf(config), R"(","size":)",
                             config.size(), R"(},"layers":[]})");
  FakeServer server([&](const std::string& head, int) -> FakeServer::Answer {
    return {FakeServer::Ok(head.find("/blobs/") != std::string::npos ? config : manifest)};
  });
  BlobCache cache = *BlobCache::Open(top_ + "/cache");
  Reference reference = *ParseReference(Cat("docker://", server.host(), "/a/b:1"));
  auto other = OpenImage(reference, cache, {.arch = "arm64", .registry = options_});
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().message, HasSubstr("not there for linux/arm64; there is linux/amd64"));
  EXPECT_TRUE(OpenImage(reference, cache, {.arch = "amd64", .registry = options_}));
  EXPECT_TRUE(OpenImage(reference, cache, {.registry = options_})) << "who asks for none takes what there is";
}

TEST_F(BadRegistry, WhatIsFetchedGoesOntoAnotherFileSystem) {
  std::string sif = top_ + "/x.sif", elsewhere = *MakeTempDirectory("/dev/shm", "oci-");
  sif::Writer writer = *sif::Writer::Create(sif, {});
  ASSERT_TRUE(writer.AddObject(sif::DataType::kGeneric, "x", Body(30'000)));
  ASSERT_TRUE(writer.Commit());
  std::string body = *ReadFile(sif, 1 << 20);
  FakeServer server([&](const std::string&, int) -> FakeServer::Answer { return {FakeServer::Ok(body)}; });
  PullOptions pull{.source = {.registry = options_}, .cache_folder = top_ + "/cache"};
  auto pulled = Pull(*ParseReference(server.url("/x.sif")), elsewhere + "/y.sif", pull);
  EXPECT_TRUE(pulled) << pulled.error().message;
  EXPECT_TRUE(ReadFile(elsewhere + "/y.sif", 1 << 20).value_or("") == body);
  EXPECT_EQ(NamesIn(elsewhere)->size(), 1U);
  EXPECT_TRUE(RemoveTree(elsewhere));
}

TEST_F(BadRegistry, AManifestWhoseDigestLiesIsRefused) {
  std::string manifest =
      R"({"schemaVersion":2,"config":{"digest":")" + DigestOf("c") + R"(","size":1},"layers":[]})";
  FakeServer server(
      [&](const std::string&, int) -> FakeServer::Answer { return {FakeServer::Ok(manifest)}; });
  Registry registry = Of(server);
  EXPECT_TRUE(registry.GetManifest("1"));
  EXPECT_TRUE(registry.GetManifest(DigestOf(manifest)));
  EXPECT_EQ(registry.GetManifest(DigestOf("other")).error().code, Code::kDataLoss);
  EXPECT_EQ(registry.GetSmallBlob({.digest = DigestOf("c"), .size = 1}).error().code, Code::kDataLoss);
}

TEST_F(BadRegistry, AHugeAnswerIsCutOff) {
  FakeServer server(
      [](const std::string&, int) -> FakeServer::Answer { return {FakeServer::Ok(Body(5 << 20))}; });
  EXPECT_EQ(Of(server).GetManifest("1").error().code, Code::kOutOfRange);
}

TEST(RetryAfterHeader, IsSecondsOrADate) {
  auto now = std::chrono::system_clock::from_time_t(1'700'000'000);
  EXPECT_EQ(RetryAfter("30", now), std::chrono::seconds(30));
  EXPECT_EQ(RetryAfter("Tue, 14 Nov 2023 22:14:20 GMT", now), std::chrono::seconds(60));
  EXPECT_EQ(RetryAfter("soon", now).count(), 0);
  EXPECT_EQ(RetryAfter("Tue, 14 Nov 2000 22:14:20 GMT", now).count(), 0);
}

TEST(Origin, IsSchemeHostAndPort) {
  EXPECT_EQ(OriginOf("https://Host/x"), OriginOf("https://host:443/y"));
  EXPECT_NE(OriginOf("https://host/x"), OriginOf("http://host/x"));
  EXPECT_NE(OriginOf("https://host/x"), OriginOf("https://host:444/x"));
  EXPECT_NE(OriginOf("https://host/x"), OriginOf("https://host.evil/x"));
}

}  // namespace
}  // namespace slipway::oci
