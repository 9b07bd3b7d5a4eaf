// SPDX-License-Identifier: Apache-2.0
// slipway-broker and slipway-holder, the programs, with the real container code: a signed credential and a
// LaunchSpec become tasks in a container, as root for another user and rootless. Needs root (to be both).
#include <gmock/gmock.h>

#include <sys/stat.h>

#include "launcher/main/testdata/program_fixture.h"
#include "launcher/main/testdata/signed_sif.h"
#include "launcher/spec/image_signers.h"
#include "launcher/spec/launch_spec.h"

namespace slipway {
namespace {

using ::testing::HasSubstr;

struct BrokerProgram : Programs {
  virtual ImageSource Image() { return {}; }
  // A shell script as the one task; its output goes to the status file.
  std::string Spec(const std::string& script) {
    LaunchSpec spec;
    spec.image = Image();
    spec.argv = {"/bin/sh", "-c", script};
    spec.env = {"PATH=/bin", "LD_LIBRARY_PATH=/lib/x86_64-linux-gnu"};
    spec.image_environment = false;
    spec.cwd = "/";
    spec.mounts = {{Mount::kProc, "", "/proc"}, {Mount::kDev, "", "/dev"}};
    spec.fd_count = spec.image.kind == ImageKind::kSquashfuse ? 2 : 1;
    std::int32_t out = static_cast<std::int32_t>(spec.fd_count) - 1;
    spec.tasks = {{.rank = 0, .stdout_fd = out, .stderr_fd = out}};
    return EncodeLaunchSpec(spec);
  }
};

TEST_F(BrokerProgram, RunsATaskInAContainerAsTheUser) {
  StepId step{1, 1, 0};
  Reply started =
      Start(Credential(step),
            Spec("echo uid $(id -u) gid $(id -g); cat /hello; readlink /proc/self/ns/user; exit 7"));
  ASSERT_EQ(started.kind, BrokerFrame::kStarted) << started.message();
  EXPECT_EQ(Line(step, "uid "), "20001 gid 20001");
  EXPECT_EQ(Line(step, "from the "), "image");
  EXPECT_NE("user:" + Line(step, "user:"), Link("/proc/self/ns/user"));
  EXPECT_EQ(Line(step, "task exited "), std::to_string(7 << 8));
  Tell(step, "exit 0");
  EXPECT_TRUE(agent->AwaitGone(step));
}

TEST_F(BrokerProgram, StepsOfAJobShareTheirUserNamespaceAlsoAcrossARestart) {
  std::string spec = Spec("readlink /proc/self/ns/user; exec sleep 100");
  ASSERT_EQ(Start(Credential({1, 1, 0}), spec).kind, BrokerFrame::kStarted);
  std::string user = Line({1, 1, 0}, "user:");
  End(broker, SIGKILL);
  StartBroker();
  ASSERT_EQ(Start(Credential({1, 1, 1}), spec).kind, BrokerFrame::kStarted);
  EXPECT_EQ(Line({1, 1, 1}, "user:"), user);
  EXPECT_EQ(Steps().size(), 2u);
  EXPECT_EQ(Ask(BrokerFrame::kKillStep, {1, 1, 0}), Code::kOk);
  EXPECT_EQ(Ask(BrokerFrame::kKillStep, {1, 1, 1}), Code::kOk);
}

TEST_F(BrokerProgram, IsReadyAgainAfterSIGKILLWhileATaskRuns) {
  StepId step{1, 1, 0};
  ASSERT_EQ(Start(Credential(step), Spec("while ! cat /proc/self/nothing 2>/dev/null; do sleep 0.05; [ -e "
                                         "/proc/self ] && break; done; exit 5"))
                .kind,
            BrokerFrame::kStarted);
  End(broker, SIGKILL);
  EXPECT_EQ(Line(step, "task exited "), std::to_string(5 << 8)) << "the task did not notice";
  StartBroker();
  Tell(step, "exit 0");
  EXPECT_TRUE(agent->AwaitGone(step));
}

struct BrokerWithItsImporter : BrokerProgram {
  const char* ImportProgram() override { return SLIPWAY_IMPORT; }
  Reply Import(const std::string& path, bool as_is = false) {
    UniqueFd file = Open(path, O_RDONLY).value();
    return agent->Ask(EncodeFrame(BrokerFrame::kImportImage, ImportRequest{5, as_is}), {file.get()}).value();
  }
};

TEST_F(BrokerWithItsImporter, RunsWhatSlipwayImportMadeOfAForeignImage) {
  Reply reply = Import(image_file);
  ASSERT_EQ(reply.kind, BrokerFrame::kImported) << reply.message();
  auto image = Decode<ImportedImage>(reply.payload, "imported").value();
  EXPECT_NE(image.digest, digest) << "what is mounted is our own writer's";
  LaunchCredential credential = Credential({1, 1, 0});
  credential.image_digest = image.digest;
  ASSERT_EQ(Start(credential, Spec("cat /hello; exit 3")).kind, BrokerFrame::kStarted);
  EXPECT_EQ(Line({1, 1, 0}, "from the "), "image");
  EXPECT_EQ(Line({1, 1, 0}, "task exited "), std::to_string(3 << 8));
  Tell({1, 1, 0}, "exit 0");
  EXPECT_TRUE(agent->AwaitGone({1, 1, 0}));
}

TEST_F(BrokerWithItsImporter, SaysInOneLineWhyAnImageIsRefusedAndKeepsNothing) {
  ASSERT_TRUE(WriteFileAtomically(dir + "/bad", std::string(100'000, 'x'), 0644));
  ASSERT_EQ(::truncate(image_file.c_str(), 20'000), 0);
  for (const std::string& path : {dir + "/bad", image_file, conf.controller_key}) {
    Reply reply = Import(path);
    EXPECT_NE(reply.code(), Code::kOk) << path;
    EXPECT_FALSE(reply.message().empty());
    EXPECT_EQ(reply.message().find('\n'), std::string::npos) << reply.message();
  }
  auto list = Decode<ImageList>(
      agent->Ask(EncodeFrame(BrokerFrame::kListImages, PlainRequest{1})).value().payload, "images");
  EXPECT_EQ(list.value().images.size(), 1u);
}

struct BrokerWithTightLimits : BrokerWithItsImporter {
  std::string MoreConf() override { return Limit(); }
  virtual std::string Limit() { return "import_entries_max = 3\n"; }
};
TEST_F(BrokerWithTightLimits, NamesTheSettingThatRefusesAnImage) {
  EXPECT_THAT(Import(image_file).message(),
              HasSubstr("more than 3 files and directories (import_entries_max)"));
}
struct BrokerWithFewBytes : BrokerWithTightLimits {
  std::string Limit() override { return "import_bytes_max = 1k\n"; }
};
TEST_F(BrokerWithFewBytes, NamesTheSettingThatRefusesAnImage) {
  EXPECT_THAT(Import(image_file).message(),
              HasSubstr("more than 1024 bytes of file data (import_bytes_max)"));
}
struct BrokerWithNoTime : BrokerWithTightLimits {
  std::string Limit() override { return "import_seconds = 0\n"; }
};
TEST_F(BrokerWithNoTime, NamesTheSettingThatRefusesAnImage) {
  EXPECT_THAT(Import(image_file).message(), HasSubstr("import_seconds"));
}

// A SIF around the fixture's squashfs, signed with a key that the broker's conf names.
struct BrokerWithKeys : BrokerWithItsImporter {
  std::string MoreConf() override { return Cat("image_keys = ", dir, "/image-keys\n"); }
  ImportedImage Imported(const std::string& path) {
    Reply reply = Import(path);
    EXPECT_EQ(reply.kind, BrokerFrame::kImported) << reply.message();
    return Decode<ImportedImage>(reply.payload, "imported").value_or(ImportedImage{});
  }
};

TEST_F(BrokerWithKeys, KeepsBesideTheImageWhoOfTheSiteSignedIt) {
  std::string sif = SifAround(dir, image_file), site = NewKeyPair(dir, "site"),
              stranger = NewKeyPair(dir, "stranger");
  ImportedImage image = Imported(sif);
  EXPECT_TRUE(SignedBy(conf.image_dir, image.digest)->empty()) << "no keys, no signers";
  ASSERT_TRUE(WriteFileAtomically(dir + "/image-keys", *ReadFile(site + ".pub"), 0644));
  SignSif(sif, stranger);
  EXPECT_TRUE(Imported(sif).signers.empty());
  SignSif(sif, site);
  ImportedImage again = Imported(sif);
  EXPECT_EQ(again.digest, image.digest) << "signatures are of the file, the blob is the same";
  ASSERT_EQ(again.signers.size(), 1u);
  EXPECT_TRUE(IsDigest(again.signers[0].key));
  EXPECT_EQ(*SignedBy(conf.image_dir, image.digest), std::vector<std::string>{again.signers[0].key});
  struct stat info;
  ASSERT_EQ(::stat(Cat(conf.image_dir, "/", SignersFile(image.digest)).c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 0u);
  EXPECT_EQ(info.st_mode & 0777u, 0444u);
  EXPECT_EQ(Imported(image_file).signers, again.signers) << "the same bytes, handed in without a signature";
  EXPECT_EQ(agent->Ask(EncodeFrame(BrokerFrame::kRemoveImage, ImageRequest{6, image.digest})).value().code(),
            Code::kOk);
  EXPECT_TRUE(SignedBy(conf.image_dir, image.digest)->empty());
}

TEST_F(BrokerWithKeys, WhatAKeyOfTheSiteSignedMayBeMountedAsItIsAndNothingElse) {
  std::string sif = SifAround(dir, image_file), site = NewKeyPair(dir, "site"),
              stranger = NewKeyPair(dir, "stranger");
  auto refusal = [&](const std::string& path) {
    Reply reply = Import(path, true);
    EXPECT_EQ(reply.kind, BrokerFrame::kError) << path;
    EXPECT_EQ(reply.message().find('\n'), std::string::npos);
    return reply.message();
  };
  auto images = [&] {
    return Decode<ImageList>(
               agent->Ask(EncodeFrame(BrokerFrame::kListImages, PlainRequest{1})).value().payload, "images")
        .value()
        .images.size();
  };
  std::size_t before = images();
  EXPECT_THAT(refusal(sif), HasSubstr("image-keys")) << "the site has none";
  ASSERT_TRUE(WriteFileAtomically(dir + "/image-keys", *ReadFile(site + ".pub"), 0644));
  EXPECT_THAT(refusal(sif), HasSubstr("it is not signed; without --as-is it is packed anew"));
  EXPECT_THAT(refusal(image_file), HasSubstr("no SIF"));
  SignSif(sif, stranger);
  EXPECT_THAT(refusal(sif), HasSubstr("--as-is needs a signature by a key of this site"));
  EXPECT_EQ(images(), before) << "a refusal keeps nothing";

  SignSif(sif, site);
  Reply reply = Import(sif, true);
  ASSERT_EQ(reply.kind, BrokerFrame::kImported) << reply.message();
  auto image = Decode<ImportedImage>(reply.payload, "imported").value();
  // The signed partition, to the byte; the end is padded to what a loop device maps.
  std::string signed_bytes = *ReadFile(image_file, 64 << 20), stored = *ReadAll(reply.fds[0].get(), 64 << 20);
  EXPECT_EQ(stored.size() % 4096, 0u);
  EXPECT_EQ(stored.substr(0, signed_bytes.size()), signed_bytes);
  EXPECT_EQ(stored.find_first_not_of('\0', signed_bytes.size()), std::string::npos);
  ASSERT_EQ(image.signers.size(), 1u);
  EXPECT_EQ(*SignedBy(conf.image_dir, image.digest), std::vector<std::string>{image.signers[0].key});
  LaunchCredential credential = Credential({1, 1, 0});
  credential.image_digest = image.digest;
  ASSERT_EQ(Start(credential, Spec("cat /hello; exit 3")).kind, BrokerFrame::kStarted);
  EXPECT_EQ(Line({1, 1, 0}, "from the "), "image");
  Tell({1, 1, 0}, "exit 0");
  EXPECT_TRUE(agent->AwaitGone({1, 1, 0}));

  // One bit of what was signed is another image. The first is digested once, by the broker for its name; the
  // second, to which padding comes, by the importer, too.
  auto damage = [](const std::string& path) {
    UniqueFd file = Open(path, O_RDWR).value();
    std::size_t at = ReadFile(path, 64 << 20)->find("hsqs") + 100;
    ASSERT_EQ(::pwrite(file.get(), "\x5a", 1, static_cast<off_t>(at)), 1);
  };
  before = images();
  damage(sif);
  EXPECT_THAT(refusal(sif),
              HasSubstr(Cat("what was signed is ", image.digest, ", and the image's bytes are ")));
  EXPECT_EQ(images(), before);
  std::string odd = dir + "/odd";
  ASSERT_TRUE(WriteFileAtomically(odd, signed_bytes + "x", 0644));
  std::string odd_sif = SifAround(dir, odd);
  SignSif(odd_sif, site);
  EXPECT_EQ(Import(odd_sif, true).kind, BrokerFrame::kImported);
  damage(odd_sif);
  EXPECT_THAT(refusal(odd_sif), HasSubstr("bytes are not those that were signed"));
}

TEST_F(BrokerWithKeys, WhatSomebodyMayStillChangeIsNotVerified) {
  std::string sif = SifAround(dir, image_file), site = NewKeyPair(dir, "site");
  ASSERT_TRUE(WriteFileAtomically(dir + "/image-keys", *ReadFile(site + ".pub"), 0644));
  SignSif(sif, site);
  UniqueFd writer = Open(sif, O_RDWR).value();
  EXPECT_NE(Import(sif).message().find("still open for writing"), std::string::npos);
}

TEST_F(BrokerWithKeys, KeysThatAnybodyCouldHaveWrittenCountForNothing) {
  std::string sif = SifAround(dir, image_file), site = NewKeyPair(dir, "site");
  ASSERT_TRUE(WriteFileAtomically(dir + "/image-keys", *ReadFile(site + ".pub"), 0666));
  ASSERT_EQ(::chmod((dir + "/image-keys").c_str(), 0666), 0);
  EXPECT_EQ(Import(sif).code(), Code::kPermissionDenied);
}

struct RootlessWithItsImporter : BrokerWithItsImporter {
  bool Rootless() override { return true; }
};
TEST_F(RootlessWithItsImporter, ImportsToo) { EXPECT_EQ(Import(image_file).kind, BrokerFrame::kImported); }

struct RootlessBrokerProgram : BrokerProgram {
  bool Rootless() override { return true; }
  ImageSource Image() override {
    return {.kind = ImageKind::kSquashfuse,
            .path = Cat(welcome.image_dir, "/sha256-", digest.substr(7)),
            .fd = 0};
  }
  LaunchCredential Mine(StepId step) {
    LaunchCredential credential = Credential(step);
    credential.groups = {kUser};
    return credential;
  }
};

TEST_F(RootlessBrokerProgram, RunsATaskThroughSquashfuse) {
  struct stat fuse;
  if (::stat("/dev/fuse", &fuse) < 0 || (fuse.st_mode & 06) != 06)
    GTEST_SKIP() << "this node's /dev/fuse is not for users";
  StepId step{1, 1, 0};
  Reply started = Start(Mine(step), Spec("echo uid $(id -u) gid $(id -g); cat /hello; exit 7"));
  ASSERT_EQ(started.kind, BrokerFrame::kStarted) << started.message();
  EXPECT_EQ(Line(step, "uid "), "20001 gid 20001");
  EXPECT_EQ(Line(step, "from the "), "image");
  EXPECT_EQ(Line(step, "task exited "), std::to_string(7 << 8));
  Tell(step, "exit 0");
  EXPECT_TRUE(agent->AwaitGone(step));
}

struct RootlessFromADirectory : RootlessBrokerProgram {
  ImageSource Image() override { return {.kind = ImageKind::kDirectory, .path = dir + "/root"}; }
};

TEST_F(RootlessFromADirectory, RunsATaskAsTheUser) {
  StepId step{1, 1, 0};
  ASSERT_EQ(Start(Mine(step), Spec("echo uid $(id -u) gid $(id -g); cat /hello; exit 7")).kind,
            BrokerFrame::kStarted);
  EXPECT_EQ(Line(step, "uid "), "20001 gid 20001");
  EXPECT_EQ(Line(step, "from the "), "image");
  EXPECT_EQ(Line(step, "task exited "), std::to_string(7 << 8));
  Tell(step, "exit 0");
  EXPECT_TRUE(agent->AwaitGone(step));
}

TEST_F(RootlessBrokerProgram, ChecksCredentialsAndImportsLikeTheOther) {
  LaunchCredential other = Mine({1, 1, 0});
  other.uid = kStranger;
  EXPECT_EQ(Start(other).code(), Code::kPermissionDenied);
  ASSERT_EQ(Start(Mine({1, 1, 0}), "exit 0").kind, BrokerFrame::kStarted);
  EXPECT_EQ(Start(Mine({1, 1, 0})).code(), Code::kPermissionDenied) << "a replay";
  EXPECT_TRUE(agent->AwaitGone({1, 1, 0}));
  EXPECT_EQ(::access(Image().path.c_str(), R_OK), 0)
      << "stepd opens it by the path that the welcome leads to";
  ASSERT_TRUE(WriteFileAtomically(dir + "/in", "look", 0644));
  Reply looked = agent
                     ->Ask(EncodeFrame(BrokerFrame::kImportImage, ImportRequest{5}),
                           {Open(dir + "/in", O_RDONLY).value().get()})
                     .value();
  ASSERT_EQ(looked.kind, BrokerFrame::kImported) << looked.message();
  EXPECT_NE(ReadAll(looked.fds[0].get(), 4096).value().find("/etc/passwd absent"), std::string::npos);
}

}  // namespace
}  // namespace slipway
