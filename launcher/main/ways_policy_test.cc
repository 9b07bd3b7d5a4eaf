// SPDX-License-Identifier: Apache-2.0
// What the admin's starter.conf allows of `slipway exec`, in every way, and what no way lets a user do.
#include <sys/prctl.h>

#include "launcher/main/testdata/signed_sif.h"
#include "launcher/main/testdata/ways_fixture.h"

namespace slipway {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::StartsWith;

TEST_F(Ways, AConfThatOthersCouldWriteIsRefused) {
  std::string path = dir + "/etc/slipway/starter.conf";
  ASSERT_EQ(::chmod(path.c_str(), 0666), 0);
  for (const char* way : {"setuid", "rootless"}) {
    Ended ended = Shell(way, dir + "/root", "exit 0");
    EXPECT_EQ(ended.code, 125) << way;
    EXPECT_THAT(ended.err, HasSubstr("can be written by others")) << way;
  }
  ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  ASSERT_EQ(::chown(path.c_str(), kUser, kUser), 0);
  EXPECT_THAT(Shell("setuid", digest, "exit 0").err, HasSubstr("belongs to user 20001"));
  ASSERT_EQ(::chown(path.c_str(), 0, 0), 0);
  WriteConf("allow_setiud = no\n");
  EXPECT_THAT(Shell("setuid", digest, "exit 0").err,
              ContainsRegex("line [0-9]+, column 1: unknown key 'allow_setiud'"));
}

TEST_F(Ways, EachWayCanBeForbiddenAndTheOtherIsTaken) {
  RestartBrokerWith("allow_exec = no\n");
  EXPECT_THAT(Shell("auto", digest, "exit 0", {"--explain"}).err, StartsWith("way: setuid"));
  RestartBrokerWith("allow_setuid = no\n");
  Ended setuid = Shell("setuid", digest, "exit 0");
  EXPECT_EQ(setuid.code, 125);
  EXPECT_THAT(setuid.err, HasSubstr("allow_setuid = no"));
  EXPECT_EQ(Shell("auto", digest, "exit 4").code, 4);
  EXPECT_EQ(Shell("rootless", dir + "/root", "exit 5").code, 5)
      << "the setuid copy drops and goes the rootless way";
}

TEST_F(Ways, LimitsOnImagesHoldInEveryWayAndAreNotWalkedRound) {
  RestartBrokerWith(Cat("limit_paths = ", dir, "/home /nothing\n"));
  for (const char* way : {"brokered", "setuid", "rootless", "auto"}) {
    Ended ended = Shell(way, dir + "/root", "exit 0");
    EXPECT_EQ(ended.code, 125) << way;
    EXPECT_THAT(ended.err, HasSubstr("limit_paths")) << way;
    EXPECT_EQ(Split(ended.err, '\n').size(), 2u) << ended.err;
  }
  EXPECT_EQ(Shell("auto", digest, "exit 3").code, 3);
  Ended import = Shell("auto", dir + "/own.sqsh", "exit 0", {"--import"});
  EXPECT_EQ(import.code, 125);
  EXPECT_THAT(import.err, HasSubstr("only root puts images into the store"));
  RestartBrokerWith("signed_by = 0123456789ABCDEF\n");
  for (const char* way : kPrivileged)
    EXPECT_THAT(Shell(way, digest, "exit 0").err, HasSubstr("no such signature was verified")) << way;
}

TEST_F(Ways, SignedByLetsInWhatOneOfItsKeysHasSigned) {
  std::string key = NewKeyPair(dir, "site"), sif = SifAround(dir, image_file);
  std::string id = DigestOf(
      RunAndCapture({.argv = {"openssl", "pkey", "-pubin", "-in", key + ".pub", "-outform", "DER"}})->out);
  ASSERT_TRUE(WriteFileAtomically(dir + "/image-keys", *ReadFile(key + ".pub"), 0644));
  ASSERT_EQ(::chmod(sif.c_str(), 0644), 0);
  ASSERT_TRUE(WriteFileAtomically(dir + "/bin/slipway-broker", *ReadFile(SLIPWAY_BROKER, 64 << 20), 0755));
  RestartBrokerWith(Cat("image_keys = ", dir, "/image-keys\nsigned_by = ", id, "\n"));
  for (const char* way : kPrivileged)
    EXPECT_THAT(Shell(way, sif, "exit 0", {"--import"}).err, HasSubstr("no such signature was verified"))
        << way;
  SignSif(sif, key);
  for (const char* way : kPrivileged) EXPECT_EQ(Shell(way, sif, "exit 6", {"--import"}).code, 6) << way;
  EXPECT_THAT(Shell("rootless", sif, "exit 0").err, HasSubstr("no such signature was verified"))
      << "his own file, which he may still change";
  RestartBrokerWith(Cat("signed_by = sha256:", std::string(64, 'a'), "\n"));
  for (const char* way : kPrivileged)
    EXPECT_THAT(Shell(way, digest, "exit 0").err, HasSubstr("no such signature was verified")) << way;
}

TEST_F(Ways, ImportAsIsTakesWhatAKeyOfTheSiteSignedAndRefusesTheRestInOneLine) {
  std::string key = NewKeyPair(dir, "site"), sif = SifAround(dir, image_file);
  ASSERT_TRUE(WriteFileAtomically(dir + "/image-keys", *ReadFile(key + ".pub"), 0644));
  ASSERT_EQ(::chmod(sif.c_str(), 0644), 0);
  ASSERT_TRUE(WriteFileAtomically(dir + "/bin/slipway-broker", *ReadFile(SLIPWAY_BROKER, 64 << 20), 0755));
  RestartBrokerWith(Cat("image_keys = ", dir, "/image-keys\n"));
  for (const char* way : kPrivileged) {
    Ended refused = Shell(way, sif, "exit 0", {"--import", "--as-is"});
    EXPECT_EQ(refused.code, 125) << way;
    EXPECT_THAT(refused.err, HasSubstr("--as-is needs a signature by a key of this site")) << way;
  }
  EXPECT_THAT(Shell("auto", sif, "exit 0", {"--as-is"}).err, HasSubstr("--import"));
  SignSif(sif, key);
  for (const char* way : kPrivileged) {
    Ended ran = Shell(way, sif, "cat /hello; exit 6", {"--import", "--as-is", "--explain"});
    EXPECT_EQ(ran.code, 6) << ran.err;
    EXPECT_THAT(ran.err, HasSubstr("mounted by the kernel")) << way;
  }
}

TEST_F(Ways, ForcedAndForbiddenBindsAreTheAdmins) {
  ASSERT_TRUE(MakeDirectories(dir + "/secret"));
  ASSERT_TRUE(WriteFileAtomically(dir + "/site", "of the site\n", 0644));
  RestartBrokerWith(
      Cat("bind = ", dir, "/site:/opt/site:ro\nforbid_bind = ", dir, "/secret\nallow_overlay = no\n"));
  for (const char* way : kEvery) {
    std::string image = way == std::string("rootless") ? dir + "/root" : digest;
    EXPECT_EQ(Exec(way, image, {"cat", "/opt/site"}, {"--no-home", "--contain"}).out, "of the site\n") << way;
    Ended secret = Exec(way, image, {"true"}, {"--no-home", "--contain", "-B", dir + "/secret:/x"});
    EXPECT_EQ(secret.code, 125) << way;
    EXPECT_THAT(secret.err, HasSubstr("forbid_bind")) << way;
    EXPECT_THAT(Exec(way, image, {"true"}, {"--contain", "--writable-tmpfs"}).err,
                HasSubstr("allow_overlay = no"))
        << way;
  }
}

TEST_F(Ways, ACallerInASandboxOrAnotherNamespaceIsNotLedOutOfIt) {
  Ended sandboxed = Shell("brokered", digest, "exit 0", {}, [] { ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); });
  EXPECT_EQ(sandboxed.code, 125);
  EXPECT_THAT(sandboxed.err, HasSubstr("sandbox"));
  Ended elsewhere = Shell("brokered", digest, "exit 0", {}, [] {
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) ::_exit(98);
  });
  EXPECT_THAT(elsewhere.code, testing::AnyOf(98, 125)) << elsewhere.err;
  EXPECT_EQ(Shell("brokered", digest, "exit 5").code, 5);
}

TEST_F(Ways, AUserHasABoundedNumberOfContainers) {
  RestartBrokerWith("exec_per_user = 2\n");
  std::vector<Running> running;
  for (int i = 0; i < 2; ++i) {
    running.push_back(
        Start({"exec", "--way", "brokered", digest, "/bin/sh", "-c", "echo up; exec /bin/sleep 100"}));
    ASSERT_EQ(ReadLine(running.back().out.get()), "up");
  }
  Ended third = Shell("brokered", digest, "exit 0");
  EXPECT_EQ(third.code, 125);
  EXPECT_THAT(third.err, HasSubstr("exec_per_user"));
  for (Running& one : running) {
    ASSERT_TRUE(one.process.Signal(SIGTERM));
    EXPECT_EQ(Finish(std::move(one)).code, 143);
  }
  EXPECT_EQ(Shell("brokered", digest, "exit 6").code, 6);
}

TEST_F(Ways, ImportPutsAUsersFileIntoTheStoreWithAndWithoutABroker) {
  ASSERT_TRUE(WriteFileAtomically(dir + "/bin/slipway-broker", *ReadFile(SLIPWAY_BROKER, 64 << 20), 0755));
  Ended brokered = Shell("brokered", dir + "/own.sqsh", "cat /hello; exit 3", {"--import", "--explain"});
  EXPECT_EQ(brokered.code, 3) << brokered.err;
  EXPECT_THAT(brokered.err, HasSubstr("mounted by the kernel"));
  StopHolder();
  ASSERT_TRUE(MakeDirectories(dir + "/root/more"));
  ASSERT_EQ(
      RunAndCapture({.argv = {"mksquashfs", dir + "/root", dir + "/more.sqsh", "-quiet", "-no-progress"}})
          ->status.exit_code(),
      0);
  Ended setuid = Shell("setuid", dir + "/more.sqsh", "cat /hello; exit 4", {"--import", "--explain"});
  EXPECT_EQ(setuid.code, 4) << setuid.err;
  EXPECT_THAT(setuid.err, HasSubstr("mounted by the kernel"));
  ASSERT_TRUE(WriteFileAtomically(dir + "/bad.sqsh", "hsqs" + std::string(5000, 'x'), 0644));
  EXPECT_EQ(Shell("setuid", dir + "/bad.sqsh", "exit 0", {"--import"}).code, 125);
}

TEST_F(Ways, RootReadsNoFileForAUserThatHeCouldNotReadHimself) {
  std::string path = dir + "/roots.sqsh";
  ASSERT_TRUE(WriteFileAtomically(path, *ReadFile(image_file, 64 << 20), 0600));
  UniqueFd unreadable = Open(path, O_PATH).value();
  Process user = Clone3({}).value();
  if (!user) {
    if (::setgroups(0, nullptr) < 0 || ::setresgid(kUser, kUser, kUser) < 0 ||
        ::setresuid(kUser, kUser, kUser) < 0)
      ::_exit(99);
    auto client = ConnectUnix(conf.exec_socket(), SOCK_SEQPACKET);
    if (!client || !SendMessage(client->get(), EncodeFrame(BrokerFrame::kImportImage, ImportRequest{1}),
                                {unreadable.get()}))
      ::_exit(98);
    auto answer = ReceiveMessage(client->get());
    auto frame = SplitFrame<BrokerFrame>(answer->bytes);
    auto error = Decode<BrokerError>(frame->payload, "error");
    ::_exit(frame->kind == BrokerFrame::kError && error &&
                    error->code == static_cast<int>(Code::kPermissionDenied)
                ? 0
                : 1);
  }
  EXPECT_EQ(user.Wait()->exit_code(), 0);
}

TEST_F(Ways, WhatIsNoRequestIsCutOff) {
  UniqueFd null_fd = Open("/dev/null", O_RDONLY).value();
  std::uint64_t seed = 7;
  for (int i = 0; i < 200; ++i) {
    UniqueFd client = ConnectUnix(conf.exec_socket(), SOCK_SEQPACKET).value();
    std::string bytes = EncodeFrame(i % 3 == 0 ? BrokerFrame::kExec : static_cast<BrokerFrame>(i % 64),
                                    ExecRequest{.digest = "x"});
    for (std::size_t at = i % 2 == 0 ? 2 : bytes.size(); at < bytes.size(); ++at)
      bytes[at] = static_cast<char>((seed = seed * 6364136223846793005u + 1442695040888963407u) >> 56);
    ASSERT_TRUE(
        SendMessage(client.get(), bytes, std::vector<int>(static_cast<std::size_t>(i % 3), null_fd.get())));
    auto answer = ReceiveMessage(client.get());
    ASSERT_TRUE(answer);
    EXPECT_EQ(SplitFrame<BrokerFrame>(answer->bytes)->kind, BrokerFrame::kError);
    EXPECT_FALSE(ReceiveMessage(client.get()));
  }
  EXPECT_EQ(Shell("brokered", digest, "exit 5").code, 5);
}
}  // namespace
}  // namespace slipway
