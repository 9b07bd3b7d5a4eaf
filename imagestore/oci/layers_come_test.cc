// SPDX-License-Identifier: Apache-2.0
// Layers are unpacked while they come: what becomes of an image whose layer lies, stumbles or never comes.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <thread>

#include "base/os/link.h"
#include "imagestore/build/image_window.h"
#include "imagestore/oci/bad_registry_test.h"
#include "imagestore/oci/growing.h"
#include "imagestore/oci/pull.h"
#include "imagestore/oci/source.h"
#include "imagestore/squashfs/reader.h"

namespace slipway::oci {
namespace {

using testing::HasSubstr;

// One file /f of 400,000 bytes.
std::string MakeTar(char fill = 't') {
  std::string head(512, '\0');
  auto put = [&head](std::size_t at, const std::string& text) { head.replace(at, text.size(), text); };
  put(0, "f");
  put(100, "0000644");
  put(124, "00001415200");  // 400,000
  put(148, "        ");
  put(156, "0");
  put(257, std::string("ustar\00000", 8));
  unsigned sum = 0;
  for (char c : head) sum += static_cast<unsigned char>(c);
  char text[8];
  std::snprintf(text, sizeof text, "%06o", sum);
  put(148, text);
  return head + std::string(400'000, fill) + std::string(384 + 1024, '\0');
}

// A registry with an image of one layer that is there so many times.
class ImageServer {
 public:
  ImageServer(const std::string& tar, int times,
              std::function<FakeServer::Answer(const std::string& head)> layer)
      : digest_(DigestOf(tar)) {
    std::string one = Cat(R"({"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":")", digest_,
                          R"(","size":)", tar.size(), "}");
    std::string layers = one;
    for (int i = 1; i < times; ++i) layers += "," + one;
    config_ = R"({"architecture":"","os":"linux"})";
    manifest_ = Cat(R"({"schemaVersion":2,"config":{"digest":")", DigestOf(config_), R"(","size":)",
                    config_.size(), R"(},"layers":[)", layers, "]}");
    server_ = std::make_unique<FakeServer>([this, layer](const std::string& head, int) -> FakeServer::Answer {
      if (head.find(digest_) != std::string::npos) return layer(head);
      return {FakeServer::Ok(head.find("/blobs/") != std::string::npos ? config_ : manifest_)};
    });
  }
  Reference reference() const { return *ParseReference(Cat("docker://", server_->host(), "/a/b:1")); }
  const std::string& digest() const { return digest_; }

 private:
  std::string digest_, config_, manifest_;
  std::unique_ptr<FakeServer> server_;
};

// It is unpacked while it comes and is checked. Whatever comes of that, what it is not is the error, and
// nothing is left.
TEST_F(BadRegistry, ALayerWhoseDigestLiesLeavesNoImage) {
  std::string tar(10'240, '\0'), garbage = Body(10'240), another = tar, given;
  another[9000] = 'x';  // a tar all the same
  // Twice: many images have an empty layer more than once.
  for (int times : {1, 2}) {
    ImageServer server(tar, times,
                       [&](const std::string&) { return FakeServer::Answer{FakeServer::Ok(given)}; });
    PullOptions pull{.source = {.registry = options_}, .cache_folder = Cat(top_, "/cache", times)};
    std::string blobs = pull.cache_folder + "/blobs/sha256";
    for (const std::string& lie : {garbage, another}) {
      given = lie;
      auto pulled = Pull(server.reference(), top_ + "/x.sif", pull);
      ASSERT_FALSE(pulled);
      EXPECT_THAT(pulled.error().message, HasSubstr("what came is not " + server.digest()));
      EXPECT_NE(::access((top_ + "/x.sif").c_str(), F_OK), 0);
      EXPECT_TRUE(NamesIn(blobs)->empty());
    }
    given = tar;
    auto pulled = Pull(server.reference(), top_ + "/x.sif", pull);
    EXPECT_TRUE(pulled) << pulled.error().message;
    EXPECT_THAT(*NamesIn(blobs), testing::ElementsAre(server.digest().substr(7)));
    EXPECT_EQ(::unlink((top_ + "/x.sif").c_str()), 0);
  }
}

// What was unpacked of the first answer is not in the image, wherever it broke off and whatever it was.
TEST_F(BadRegistry, ALayerThatComesAnewFromItsStartIsUnpackedAnew) {
  ::setenv("SOURCE_DATE_EPOCH", "1700000000", 1);
  std::string tar = MakeTar(), lies = MakeTar('l'), expected;
  ASSERT_EQ(tar.size(), lies.size());
  for (std::size_t breaks_at :
       {tar.size(), std::size_t{1}, std::size_t{600}, tar.size() / 2, tar.size() - 1}) {
    int asked = 0;
    ImageServer server(tar, 1, [&](const std::string&) -> FakeServer::Answer {
      if (asked++ > 0 || breaks_at == tar.size()) return {FakeServer::Ok(tar)};
      std::string whole = FakeServer::Ok(lies);  // it knows no ranges, and lied at first
      return {whole.substr(0, whole.size() - lies.size() + breaks_at)};
    });
    PullOptions pull{.source = {.registry = options_}, .cache_folder = Cat(top_, "/cache", breaks_at)};
    auto pulled = Pull(server.reference(), top_ + "/x.sif", pull);
    ASSERT_TRUE(pulled) << pulled.error().message;
    EXPECT_EQ(asked, breaks_at == tar.size() ? 1 : 2);
    EXPECT_TRUE(NamesIn(pull.cache_folder + "/blobs/sha256")->size() == 1);
    UniqueFd sif = *Open(top_ + "/x.sif", O_RDONLY);
    auto image = build::FindImage(sif.get());
    ASSERT_TRUE(image);
    auto reader = squashfs::Reader::Open(image->squashfs);
    ASSERT_TRUE(reader);
    EXPECT_TRUE(reader->ReadFile("/f", 1 << 20).value_or("") == std::string(400'000, 't')) << breaks_at;
  }
  ::unsetenv("SOURCE_DATE_EPOCH");
}

// The disk gives no more, the user has had enough, the registry is gone: at any point, and who reads is not
// left waiting.
TEST_F(BadRegistry, ALayerThatNeverComesWholeEndsThePulling) {
  std::string tar = MakeTar();
  options_.http.tries = 2;
  for (std::size_t breaks_at : {std::size_t{0}, std::size_t{1}, tar.size() / 2, tar.size() - 1}) {
    ImageServer server(tar, 1, [&](const std::string& head) -> FakeServer::Answer {
      std::size_t from = RangeIn(head);
      if (from >= breaks_at && from > 0) return {FakeServer::Status(500)};
      std::string whole = FakeServer::Ok(tar);
      return {whole.substr(0, whole.size() - tar.size() + breaks_at)};
    });
    PullOptions pull{.source = {.registry = options_}, .cache_folder = Cat(top_, "/cache", breaks_at)};
    auto pulled = Pull(server.reference(), top_ + "/x.sif", pull);
    ASSERT_FALSE(pulled);
    EXPECT_THAT(pulled.error().message, HasSubstr("127.0.0.1")) << "the registry's error, not the reader's";
    EXPECT_NE(::access((top_ + "/x.sif").c_str(), F_OK), 0);
  }
}

TEST(AGrowingFile, EndsItsWaitWhenItIsStoppedAndGivesAgainWhatHadCome) {
  auto growth = *Growth::Make();
  growth->Tell(5);
  EXPECT_EQ(growth->Await(0).value_or(0), 5U);
  std::thread stopper([&] {
    for (int i = 0; i < 8; ++i) growth->Stop();
  });
  EXPECT_EQ(growth->Await(5).error().code, Code::kUnavailable);
  stopper.join();
  auto again = *Growth::Make();
  again->Tell(5);
  EXPECT_EQ(again->Await(4).value_or(0), 5U);
  again->Stop();
  EXPECT_EQ(again->Await(0).value_or(0), 5U);
}

// Who reads it while it comes has only the descriptor's number, which the next file that is opened would get.
TEST_F(BadRegistry, ALayerThatDoesNotComeStaysOpenForWhoReadsIt) {
  std::string tar = MakeTar();
  options_.http.tries = 1;
  ImageServer server(tar, 1,
                     [](const std::string&) -> FakeServer::Answer { return {FakeServer::Status(404)}; });
  BlobCache cache = *BlobCache::Open(top_ + "/cache");
  auto image = OpenImage(server.reference(), cache, {.registry = options_});
  ASSERT_TRUE(image) << image.error().message;
  auto open_there = [] {
    int count = 0;
    auto names = NamesIn("/proc/self/fd");
    for (const std::string& name : *names)
      count += ReadLink("/proc/self/fd/" + name).value_or("").find(".part") != std::string::npos;
    return count;
  };
  int before = open_there();
  EXPECT_GT(before, 0);
  EXPECT_FALSE(image->check());
  EXPECT_EQ(open_there(), before);
}

// The registry keeps the last byte back: who waited for it would ask for it again.
TEST_F(BadRegistry, AnErrorThatTheRestCouldNotChangeEndsTheDownloadAtOnce) {
  std::string tar = MakeTar();
  std::atomic<int> asked = 0;
  ImageServer server(tar, 1, [&](const std::string&) -> FakeServer::Answer {
    ++asked;
    std::string whole = FakeServer::Ok(tar);
    return {whole.substr(0, whole.size() - 1), true};
  });
  PullOptions pull{.source = {.registry = options_}, .cache_folder = top_ + "/cache"};
  pull.limits.bytes_max = 100'000;
  auto pulled = Pull(server.reference(), top_ + "/x.sif", pull);
  ASSERT_FALSE(pulled);
  EXPECT_EQ(pulled.error().code, Code::kOutOfRange) << pulled.error().message;
  EXPECT_EQ(asked, 1);
  EXPECT_NE(::access((top_ + "/x.sif").c_str(), F_OK), 0);
}

}  // namespace
}  // namespace slipway::oci
