// SPDX-License-Identifier: Apache-2.0
// What the broker lets into its store, keeps mounted, and lets go.
#include <gtest/gtest.h>

#include "base/loop/epoll_loop.h"
#include "launcher/broker/images.h"
#include "launcher/broker/testdata/real_broker.h"

namespace slipway {
namespace {

TEST_F(RealBroker, KeepsABoundedNumberOfMountsAndNeverLetsOneInUseGo) {
  std::vector<std::string> digests{digest};
  for (const char* text : {"second", "third"}) {
    image_text = text;
    ASSERT_EQ(::unlink(image_file.c_str()), 0);
    MakeImage();
    ASSERT_EQ(AdmitFile(image_file, digest).code(), Code::kOk);
    digests.push_back(digest);
  }
  Process alone = ForkInto([&]() -> Result<> {
    if (::unshare(CLONE_NEWNS) < 0 || ::mount(nullptr, "/", nullptr, MS_PRIVATE | MS_REC, nullptr) < 0)
      return ErrnoFail("unshare");
    auto loop = TRY(EpollLoop::Make());
    ImageKeeper images(conf, *loop, 2);
    TRY(images.Open());
    TRY(images.Use(digests[0], {1, 1, 0}));
    TRY(images.Use(digests[1], {1, 1, 1}));
    if (images.Use(digests[2], {1, 1, 2})) return Fail(Code::kInternal, "a third mount beside two in use");
    images.Release({1, 1, 0});
    TRY(images.Use(digests[2], {1, 1, 2}));
    if (LoopDevicesOf(dir) != 2) return Fail(Code::kInternal, "the mount that nobody used is still there");
    return {};
  });
  EXPECT_EQ(alone.Wait().value().exit_code(), 0) << ReadFile(dir + "/log").value_or("");
}

TEST_F(RealBroker, AdmitsOnlyWhatTheDigestNames) {
  std::string path = dir + "/other";
  ASSERT_TRUE(WriteFileAtomically(path, "some bytes", 0644));
  ASSERT_EQ(::chown(path.c_str(), kAgent, kAgent), 0);
  EXPECT_EQ(AdmitFile(path, DigestOf("other bytes")).code(), Code::kDataLoss);
  EXPECT_EQ(AdmitFile(path, "sha256:../x").code(), Code::kInvalidArgument);
  EXPECT_EQ(AdmitFile(path, DigestOf("some bytes")).code(), Code::kOk);
  EXPECT_EQ(AdmitFile(path, DigestOf("some bytes")).code(), Code::kOk) << "twice is fine";
  auto list =
      Decode<ImageList>(agent->Ask(EncodeFrame(BrokerFrame::kListImages, PlainRequest{1})).value().payload,
                        "images")
          .value();
  ASSERT_EQ(list.images.size(), 2u);
  const StoredImage& stored = list.images[list.images[0].digest == DigestOf("some bytes") ? 0 : 1];
  EXPECT_EQ(stored.bytes, 10u);
  EXPECT_GT(stored.used_ms, 0);
  EXPECT_EQ(agent->Ask(EncodeFrame(BrokerFrame::kRemoveImage, ImageRequest{1, DigestOf("some bytes")}))
                .value()
                .code(),
            Code::kOk);
}

TEST_F(RealBroker, RefusesAnImageThatSomebodyCanStillWrite) {
  std::string path = dir + "/other";
  ASSERT_TRUE(WriteFileAtomically(path, "some bytes", 0644));
  ASSERT_EQ(::chown(path.c_str(), kAgent, kAgent), 0);
  UniqueFd writer = Open(path, O_RDWR).value();
  Reply reply = AdmitFile(path, DigestOf("some bytes"));
  EXPECT_EQ(reply.code(), Code::kFailedPrecondition) << reply.message();
  writer.reset();
  EXPECT_EQ(AdmitFile(path, DigestOf("some bytes")).code(), Code::kOk);
}

TEST_F(RealBroker, NeverChangesAFileThatIsNotTheAgents) {
  std::string path = dir + "/roots";
  ASSERT_TRUE(WriteFileAtomically(path, "some bytes", 0755));
  EXPECT_EQ(AdmitFile(path, DigestOf("some bytes")).code(), Code::kOk);
  struct stat info;
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0755u);
  EXPECT_EQ(info.st_nlink, 1u);
}

TEST_F(RealBroker, KeepsAnImageThatAStepUses) {
  StepId step{1, 1, 0};
  ASSERT_EQ(Start(Credential(step)).kind, BrokerFrame::kStarted);
  auto remove = [&] {
    return agent->Ask(EncodeFrame(BrokerFrame::kRemoveImage, ImageRequest{1, digest})).value().code();
  };
  EXPECT_EQ(remove(), Code::kFailedPrecondition);
  EXPECT_EQ(Ask(BrokerFrame::kKillStep, step), Code::kOk);
  EXPECT_EQ(remove(), Code::kOk);
  EXPECT_EQ(LoopDevicesOf(dir), 0);
}

TEST_F(RealBroker, ImportsInAnEmptyRoom) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the importer's limit on address space leaves no room for the sanitizer's shadow";
#endif
  auto import = [&](std::string_view input) {
    std::string path = dir + "/in";
    EXPECT_TRUE(WriteFileAtomically(path, input, 0644));
    UniqueFd file = Open(path, O_RDONLY).value();
    return agent->Ask(EncodeFrame(BrokerFrame::kImportImage, ImportRequest{5}), {file.get()}).value();
  };
  Reply copied = import("copy this");
  ASSERT_EQ(copied.kind, BrokerFrame::kImported) << copied.message();
  auto image = Decode<ImportedImage>(copied.payload, "imported").value();
  EXPECT_EQ(image.digest, DigestOf("copy this"));
  EXPECT_EQ(image.bytes, 9u);
  ASSERT_EQ(copied.fds.size(), 2u);
  EXPECT_EQ(::fcntl(copied.fds[0].get(), F_GETFL) & O_ACCMODE, O_RDONLY);

  Reply looked = import("look");
  ASSERT_EQ(looked.kind, BrokerFrame::kImported) << looked.message();
  EXPECT_EQ(ReadAll(looked.fds[0].get(), 4096).value(),
            "pid 1 uid 20003 /etc/passwd absent /proc/self absent /dev/null absent /tmp absent /root absent "
            "/home absent write no addresses 0 root gone fd0 fd1 fd2 fd3 fd4 fd5");

  Reply failed = import("fail");
  EXPECT_EQ(failed.code(), Code::kInvalidArgument);
  EXPECT_EQ(failed.message(), "partition 1 runs past the end of the file");
  EXPECT_NE(import("die").message().find("signal"), std::string::npos);
  auto list =
      Decode<ImageList>(agent->Ask(EncodeFrame(BrokerFrame::kListImages, PlainRequest{1})).value().payload,
                        "images")
          .value();
  EXPECT_EQ(list.images.size(), 3u) << "a failed import leaves nothing";
}

}  // namespace
}  // namespace slipway
