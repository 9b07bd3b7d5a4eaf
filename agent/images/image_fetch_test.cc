// SPDX-License-Identifier: Apache-2.0
#include "agent/images/image_fetch.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "agent/images/fake_images.h"
#include "api/pki.h"
#include "api/tls.h"
#include "base/crypto/crypto.h"
#include "base/os/mount.h"

namespace slipway {
namespace {

// A gRPC server of that certificate on loopback; node n's, or the controller's.
struct Served {
  Served(const TlsFiles& files, grpc::Service& service) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", *MakeServerCredentials(files, ClientCertificate::kRequired),
                             &port);
    builder.RegisterService(&service);
    server = builder.BuildAndStart();
  }
  ~Served() { Stop(); }
  void Stop() {
    if (!server) return;
    server->Shutdown(std::chrono::system_clock::now());
    server->Wait();
    server.reset();
  }
  std::string target() const { return Cat("127.0.0.1:", port); }
  std::unique_ptr<grpc::Server> server;
  int port = 0;
};

class FetchTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    cluster_ = *MakeTempDirectory("/tmp", "slipway-fetch-pki-");
    ASSERT_TRUE(InitCluster(cluster_, "test"));
    for (const char* node : {"n1", "n2", "n3"}) ASSERT_TRUE(IssueNode(cluster_, node));
  }
  static void TearDownTestSuite() { ASSERT_TRUE(RemoveTree(cluster_)); }
  void SetUp() override {
    dir_ = *MakeTempDirectory("/tmp", "slipway-fetch-");
    images_.bytes = RandomBytes(20 * kChunk - 1000);
    TlsFiles files{cluster_ + "/ca.pem", cluster_ + "/controller.crt", cluster_ + "/controller.key"};
    controller_ = std::make_unique<Served>(files, images_);
    wanted_ = {.digest = DigestOf(images_.bytes), .bytes = images_.bytes.size(), .folder = dir_};
    sources_.controller = *DialTls(controller_->target(), FilesOf("n1"), kControllerTlsName);
  }
  void TearDown() override {
    sources_ = {};
    controller_.reset();
    ASSERT_TRUE(RemoveTree(dir_));
  }
  static TlsFiles FilesOf(const std::string& node) {
    return {cluster_ + "/ca.pem", Cat(cluster_, "/nodes/", node, ".crt"),
            Cat(cluster_, "/nodes/", node, ".key")};
  }
  // An agent of that name that has `bytes` as the whole image, and is known to the controller.
  struct Peer {
    std::shared_ptr<ImageOffers> offers;
    std::unique_ptr<grpc::Service> service;
    std::unique_ptr<Served> served;
  };
  Peer MakePeer(const std::string& node, const std::string& bytes, unsigned givings_max = 16) {
    Peer peer;
    peer.offers = std::make_shared<ImageOffers>(givings_max);
    if (!bytes.empty()) {
      std::string path = Cat(dir_, "/of-", node);
      EXPECT_TRUE(WriteFileAtomically(path, bytes));
      peer.offers->Put(wanted_.digest, {std::make_shared<UniqueFd>(*Open(path, O_RDONLY)), nullptr});
    }
    peer.service = MakeImagePeerService(peer.offers);
    peer.served = std::make_unique<Served>(FilesOf(node), *peer.service);
    images_.holders[node] = peer.served->target();
    sources_.dial = [](const std::string& name, const std::string& address) {
      return DialTls(address, FilesOf("n1"), NodeTlsName(name));
    };
    return peer;
  }
  Result<FetchedImage> Run() { return FetchImage(sources_, wanted_, cancel_); }
  void ExpectRight(const Result<FetchedImage>& image) {
    ASSERT_TRUE(image) << image.error().message;
    EXPECT_EQ(*DigestOfFile(image->file->get()), wanted_.digest);
    EXPECT_TRUE(ProveUnwritable(image->file->get()));
    EXPECT_EQ(image->counts.resumed + image->counts.from_controller + image->counts.from_peers,
              image->counts.chunks);
  }

  static constexpr std::size_t kChunk = 64 << 10;
  static inline std::string cluster_;
  std::string dir_;
  FakeImages images_;
  std::unique_ptr<Served> controller_;
  FetchSources sources_;
  FetchRequirements wanted_;
  FetchCancel cancel_;
};

TEST_F(FetchTest, BringsTheBytesInAFileThatNobodyCanWrite) {
  auto image = Run();
  ExpectRight(image);
  EXPECT_EQ(image->counts.from_controller, 20U);
  EXPECT_EQ(image->path, PartialPath(dir_, wanted_.digest));
}

TEST_F(FetchTest, WhicheverAnswerOfTheControllerIsFaultyTheBytesAreRight) {
  for (auto fault :
       {FakeImages::Fault::kUnavailable, FakeImages::Fault::kTruncated, FakeImages::Fault::kCorrupt,
        FakeImages::Fault::kOutOfOrder, FakeImages::Fault::kTooMuch}) {
    for (int nth : {1, 2, 11, 20}) {
      images_.faults = {{nth, fault}};
      images_.chunks = 0;
      ExpectRight(Run());
      EXPECT_EQ(images_.chunks, 21) << "fault " << static_cast<int>(fault) << " at call " << nth;
      ASSERT_EQ(::unlink(PartialPath(dir_, wanted_.digest).c_str()), 0);
    }
  }
}

TEST_F(FetchTest, AfterABreakAtAnyChunkOnlyTheRestIsFetched) {
  for (int n : {0, 1, 7, 19}) {
    ::unlink(PartialPath(dir_, wanted_.digest).c_str());
    images_.chunks = 0;
    images_.gives_only = n;
    wanted_.chunks_in_flight = 1;
    FetchCancel broken;
    std::thread fetch(
        [&] { EXPECT_EQ(FetchImage(sources_, wanted_, broken).error().code, Code::kCancelled); });
    for (bool stalled = false; !stalled;) {
      std::this_thread::yield();
      std::lock_guard lock(images_.mutex);
      stalled = images_.chunks > n;
    }
    broken.Cancel();
    fetch.join();
    images_.gives_only = 1 << 30;
    auto image = Run();
    ExpectRight(image);
    EXPECT_EQ(image->counts.resumed, static_cast<unsigned>(n));
    EXPECT_EQ(images_.chunks, 21);  // each once, and the one that was broken off
  }
}

TEST_F(FetchTest, ANodeThatHasTheImageGivesItAllAndTheControllerNothing) {
  Peer n2 = MakePeer("n2", images_.bytes);
  auto image = Run();
  ExpectRight(image);
  EXPECT_EQ(image->counts.from_peers, 20U);
  EXPECT_EQ(images_.chunks, 0);
}

TEST_F(FetchTest, TwoNodesThatFetchAtOnceGiveToOneAnother) {
  Peer n1 = MakePeer("n1", {}), n2 = MakePeer("n2", {});
  std::string other_folder = dir_ + "/n2";
  ASSERT_TRUE(MakeDirectories(other_folder));
  FetchSources of_n2 = sources_;
  of_n2.offers = n2.offers;
  of_n2.dial = [](const std::string& name, const std::string& address) {
    return DialTls(address, FilesOf("n2"), NodeTlsName(name));
  };
  sources_.offers = n1.offers;
  FetchRequirements wanted_by_n2 = wanted_;
  wanted_by_n2.folder = other_folder;
  // n2 is stopped by the controller half way; what it has by then goes to n1, and then the rest to n2.
  images_.gives_only = 10;
  FetchCancel unused;
  Result<FetchedImage> second = Fail(Code::kUnknown);
  std::thread fetch([&] { second = FetchImage(of_n2, wanted_by_n2, unused); });
  for (bool half = false; !half;) {
    std::this_thread::yield();
    std::lock_guard lock(images_.mutex);
    half = images_.chunks > 10;
  }
  {
    std::lock_guard lock(images_.mutex);
    images_.gives_only = 1 << 30;
  }
  auto image = Run();
  ExpectRight(image);
  EXPECT_GE(image->counts.from_peers, 1U);
  // The calls that stall are n2's only; it gets those chunks from n1 or by asking again.
  cancel_.Cancel();
  unused.Cancel();
  fetch.join();
}

TEST_F(FetchTest, APeerThatGivesSomethingElseIsNotAskedAgainAndDoesNoHarm) {
  Peer n2 = MakePeer("n2", RandomBytes(images_.bytes.size()));
  wanted_.chunks_in_flight = 1;
  auto image = Run();
  ExpectRight(image);
  EXPECT_EQ(image->counts.from_peers, 0U);
  EXPECT_EQ(image->counts.again, 1U);
}

TEST_F(FetchTest, PeersThatAreGoneBusyOrSomebodyElseAreDoneWithout) {
  Peer gone = MakePeer("n2", images_.bytes), busy = MakePeer("n3", images_.bytes, 0);
  gone.served->Stop();
  images_.holders["n9"] = busy.served->target();  // the certificate there is n3's
  auto image = Run();
  ExpectRight(image);
  EXPECT_EQ(image->counts.from_controller, 20U);
}

TEST_F(FetchTest, AControllerThatDiesInTheMiddleIsDoneWithoutWhereAPeerHasTheImage) {
  Peer n2 = MakePeer("n2", {});
  images_.gives_only = 5;
  Result<FetchedImage> image = Fail(Code::kUnknown);
  std::thread fetch([&] { image = Run(); });
  for (bool stalled = false; !stalled;) {
    std::this_thread::yield();
    std::lock_guard lock(images_.mutex);
    stalled = images_.chunks > 5;
  }
  controller_->Stop();
  ASSERT_TRUE(WriteFileAtomically(dir_ + "/late", images_.bytes));
  n2.offers->Put(wanted_.digest, {std::make_shared<UniqueFd>(*Open(dir_ + "/late", O_RDONLY)), nullptr});
  fetch.join();
  ExpectRight(image);
  EXPECT_LE(image->counts.from_controller, 5U) << "the last may have been cut off on its way";
  EXPECT_EQ(image->counts.from_controller + image->counts.from_peers, 20U);
}

TEST_F(FetchTest, WhatStaysCorruptIsAnErrorThatSaysSo) {
  images_.corrupt[3] = 1000;
  auto image = Run();
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code, Code::kDataLoss);
  EXPECT_NE(image.error().message.find("chunk 3"), std::string::npos) << image.error().message;
}

TEST_F(FetchTest, AFullDiskIsSaidPlainly) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to make a small file system";
  // Detached: nobody else ever sees it, and it goes with the descriptor.
  auto small = MountNew("tmpfs", {{"size", "64k"}}, 0);
  ASSERT_TRUE(small) << small.error().message;
  wanted_.folder = Cat("/proc/self/fd/", small->get());
  auto image = Run();
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code, Code::kResourceExhausted);
  EXPECT_NE(image.error().message.find(Cat("no room for ", images_.bytes.size(), " bytes")),
            std::string::npos)
      << image.error().message;
  EXPECT_TRUE(NamesIn(wanted_.folder)->empty());
}

TEST_F(FetchTest, RoomIsAskedForBeforeAnythingIsWritten) {
  std::uint64_t asked = 0;
  wanted_.bytes = 0;
  wanted_.make_room = [&](std::uint64_t bytes) -> Result<> {
    asked = bytes;
    return Fail(Code::kResourceExhausted, "none");
  };
  EXPECT_EQ(Run().error().code, Code::kResourceExhausted);
  EXPECT_EQ(asked, images_.bytes.size());
  EXPECT_EQ(images_.chunks, 0);
  EXPECT_NE(::access(PartialPath(dir_, wanted_.digest).c_str(), F_OK), 0);
}

TEST_F(FetchTest, ADigestThatNobodyServesIsAnErrorAtOnce) {
  wanted_.digest = DigestOf("something else");
  EXPECT_EQ(Run().error().code, Code::kNotFound);
}

TEST_F(FetchTest, ASizeOtherThanAnnouncedIsRefused) {
  wanted_.bytes -= 1;
  EXPECT_EQ(Run().error().code, Code::kDataLoss);
}

TEST_F(FetchTest, ACancelledFetchEndsWhileItsSourceIsAway) {
  controller_->Stop();
  std::thread fetch([&] { EXPECT_EQ(Run().error().code, Code::kCancelled); });
  cancel_.Cancel();
  fetch.join();
}

TEST_F(FetchTest, WhoIsNoNodeGetsNothingFromAPeer) {
  Peer n2 = MakePeer("n2", images_.bytes);
  TlsFiles nobody{.ca = cluster_ + "/ca.pem"};
  auto stub = v1::ImagePeer::NewStub(*DialTls(n2.served->target(), nobody, NodeTlsName("n2")));
  grpc::ClientContext call;
  call.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  v1::HaveRequest request;
  request.set_digest(wanted_.digest);
  request.set_chunk_bytes(kChunk);
  v1::HaveReply reply;
  EXPECT_FALSE(stub->Have(&call, request, &reply).ok());
  EXPECT_FALSE(reply.whole());
}

TEST_F(FetchTest, APeerRefusesChunksThatItHasNotAndSizesThatCannotBe) {
  Peer n2 = MakePeer("n2", images_.bytes);
  auto stub = v1::ImagePeer::NewStub(*DialTls(n2.served->target(), FilesOf("n1"), NodeTlsName("n2")));
  auto ask = [&](std::uint32_t chunk_bytes, std::uint32_t first, std::uint32_t count) {
    grpc::ClientContext call;
    v1::FetchRequest request;
    request.set_digest(wanted_.digest);
    request.set_chunk_bytes(chunk_bytes);
    request.set_first_chunk(first);
    request.set_chunk_count(count);
    auto reader = stub->Fetch(&call, request);
    v1::FetchChunk piece;
    std::size_t bytes = 0;
    while (reader->Read(&piece)) bytes += piece.data().size();
    return std::pair(reader->Finish().error_code(), bytes);
  };
  EXPECT_EQ(ask(kChunk, 0, 2), std::pair(grpc::StatusCode::OK, 2 * kChunk));
  EXPECT_EQ(ask(0, 0, 1).first, grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(ask(1U << 31, 0, 1).first, grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(ask(kChunk, UINT32_MAX, UINT32_MAX), std::pair(grpc::StatusCode::OK, std::size_t{0}));
  auto partial =
      *PartialImage::Open(dir_ + "/p", {images_.bytes.size(), kChunk, std::vector<std::string>(20)});
  n2.offers->Put(wanted_.digest, {partial->file(), partial});
  EXPECT_EQ(ask(kChunk, 0, 1).first, grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ask(kChunk, 0, 0).first, grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ask(kChunk, UINT32_MAX, UINT32_MAX).first, grpc::StatusCode::NOT_FOUND);
}

}  // namespace
}  // namespace slipway
