// SPDX-License-Identifier: Apache-2.0
// What the broker starts, as whom, and whom it refuses.
#include <grp.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/ptrace.h>

#include "launcher/broker/testdata/real_broker.h"

namespace slipway {
namespace {

TEST_F(RealBroker, StartsStepdAndTheContainerAsTheUser) {
  StepId step{1, 1, 0};
  Reply started = Start(Credential(step));
  ASSERT_EQ(started.kind, BrokerFrame::kStarted) << started.message();
  EXPECT_EQ(Line(step, "stepd ids "), "20001 20001 20001 gid 20001 groups 27 20001");
  EXPECT_EQ(Line(step, "stepd root "), "is gone");
  EXPECT_EQ(Line(step, "stepd no_new_privs "), "1");
  EXPECT_EQ(Line(step, "stepd fds"), " 0 1 2 3 4 5 6");
  EXPECT_EQ(Line(step, "stepd env "), "1 PATH=/usr/bin:/bin");
  EXPECT_NE(Line(step, "stepd pid ").find("session own"), std::string::npos);
  EXPECT_EQ(Line(step, "init ids "), "20001 20001 20001 gid 20001 dumpable 0");
  EXPECT_EQ(Line(step, "init fds "), "1");
  EXPECT_EQ(Line(step, "init streams "), Cat("/dev/null ", Folder(step), "/stepd.log cwd /"));
  EXPECT_EQ(Line(step, "init file "), "from the image");
  EXPECT_EQ(Line(step, "init escape "), "EINVAL");
  EXPECT_NE(Line(step, "init user "), Link("/proc/self/ns/user"));
  struct stat info;
  ASSERT_EQ(::stat(Folder(step).c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 0u);
  ASSERT_EQ(::stat((Folder(step) + "/status").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, kUser);
}

TEST_F(RealBroker, TheImagesFlagsAreLockedInEveryStepOfAJob) {
  for (std::uint32_t number : {0, 1, 2}) {
    StepId step{1, 1, number};
    LaunchCredential credential = Credential(step);
    credential.changes_image = number == 2;  // a mount of its own
    Reply started = Start(credential);
    ASSERT_EQ(started.kind, BrokerFrame::kStarted) << started.message();
    EXPECT_EQ(Line(step, "init attack"), kLocked) << "step " << number;
  }
}

TEST_F(RealBroker, StepsOfAJobShareUserAndIpcNamespacesAndJobsDoNot) {
  for (StepId step : {StepId{1, 1, 0}, {1, 1, 1}, {2, 1, 0}})
    ASSERT_EQ(Start(Credential(step)).kind, BrokerFrame::kStarted);
  for (const char* kind : {"init user ", "init ipc "}) {
    EXPECT_EQ(Line({1, 1, 0}, kind), Line({1, 1, 1}, kind));
    EXPECT_NE(Line({1, 1, 0}, kind), Line({2, 1, 0}, kind));
  }
  EXPECT_NE(Line({1, 1, 0}, "init mnt "), Line({1, 1, 1}, "init mnt "));
}

TEST_F(RealBroker, TheUsersOtherProcessesCannotEnterTraceOrRead) {
  StepId step{1, 1, 0};
  ASSERT_EQ(Start(Credential(step)).kind, BrokerFrame::kStarted);
  pid_t init = std::stoi(Line(step, "init pid "));
  Process intruder = Clone3({}).value();
  if (!intruder) {
    bool ok = ::setgroups(0, nullptr) == 0 && ::setresgid(kUser, kUser, kUser) == 0 &&
              ::setresuid(kUser, kUser, kUser) == 0;
    ::prctl(PR_SET_DUMPABLE, 1);
    auto target = Process::Of(init);
    if (!ok || !target) ::_exit(100);
    if (::setns(target->pidfd(), CLONE_NEWUSER) == 0) ::_exit(1);
    if (::setns(target->pidfd(), CLONE_NEWNS) == 0) ::_exit(2);
    if (::ptrace(PTRACE_SEIZE, init, nullptr, nullptr) == 0) ::_exit(3);
    if (::open(Cat("/proc/", init, "/environ").c_str(), O_RDONLY) >= 0) ::_exit(4);
    if (::open(Cat("/proc/", init, "/ns/user").c_str(), O_RDONLY) >= 0) ::_exit(5);
    if (::open(Cat("/proc/", init, "/mem").c_str(), O_RDWR) >= 0) ::_exit(6);
    ::_exit(0);
  }
  EXPECT_EQ(intruder.Wait().value().exit_code(), 0);
}

TEST_F(RealBroker, RefusesAForgedCredential) {
  SigningKey other = SigningKey::FromPem(MakeEd25519KeyPair().value().private_key).value();
  EXPECT_EQ(StartSigned(SignCredential(Credential({1, 1, 0}), other)).code(), Code::kPermissionDenied);
  EXPECT_TRUE(Steps().empty());
}
TEST_F(RealBroker, RefusesAnAlteredCredential) {
  SignedCredential credential = SignCredential(Credential({1, 1, 0}), *key);
  for (std::size_t i = 0; i < credential.body.size(); i += 7) {
    SignedCredential altered = credential;
    altered.body[i] ^= 1;
    EXPECT_EQ(StartSigned(altered).code(), Code::kPermissionDenied) << i;
  }
}
TEST_F(RealBroker, RefusesAnotherNodesCredential) {
  LaunchCredential credential = Credential({1, 1, 0});
  credential.node = "n2";
  EXPECT_EQ(Start(credential).code(), Code::kPermissionDenied);
}
TEST_F(RealBroker, RefusesAnotherClustersCredential) {
  LaunchCredential credential = Credential({1, 1, 0});
  credential.cluster = "c2";
  EXPECT_EQ(Start(credential).code(), Code::kPermissionDenied);
}
TEST_F(RealBroker, RefusesJobsOfRoot) {
  LaunchCredential credential = Credential({1, 1, 0});
  credential.uid = 0;
  EXPECT_EQ(Start(credential).code(), Code::kPermissionDenied);
}
TEST_F(RealBroker, RefusesAReplayedStepAlsoAfterARestart) {
  SignedCredential credential = SignCredential(Credential({1, 1, 0}), *key);
  ASSERT_EQ(StartSigned(credential, "exit 0").kind, BrokerFrame::kStarted);
  EXPECT_EQ(StartSigned(credential).code(), Code::kPermissionDenied);
  End(broker, SIGKILL);
  StartBroker();
  EXPECT_EQ(StartSigned(credential).code(), Code::kPermissionDenied);
}
TEST_F(RealBroker, RefusesAnOldEpochAlsoAfterARestart) {
  LaunchCredential credential = Credential({1, 1, 0});
  credential.epoch = 5;
  ASSERT_EQ(Start(credential).kind, BrokerFrame::kStarted);
  credential.epoch = 4;
  credential.step.step = 1;
  EXPECT_EQ(Start(credential).code(), Code::kPermissionDenied);
  End(broker, SIGKILL);
  StartBroker();
  EXPECT_EQ(Start(credential).code(), Code::kPermissionDenied);
}
TEST_F(RealBroker, RefusesAnImageThatIsNotInTheStore) {
  LaunchCredential credential = Credential({1, 1, 0});
  credential.image_digest = DigestOf("nothing");
  EXPECT_EQ(Start(credential).code(), Code::kNotFound);
  credential.image_digest = digest;
  EXPECT_EQ(Start(credential).kind, BrokerFrame::kStarted) << "it may come back with the image";
}
TEST_F(RealBroker, RefusesASpecThatCouldStillChange) {
  UniqueFd memfd(::memfd_create("spec", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  auto reply = agent->Ask(
      EncodeFrame(BrokerFrame::kStartStep, StartStep{7, SignCredential(Credential({1, 1, 0}), *key)}),
      {memfd.get()});
  EXPECT_EQ(reply.value().code(), Code::kPermissionDenied);
}

TEST_F(RealBroker, OnlyTheAgentMayAsk) {
  EXPECT_EQ(Client::Connect(conf.socket(), kStranger).error().sys_errno, EACCES);
  // The socket's mode is the first fence, the peer's identity the second.
  ASSERT_EQ(::chmod(conf.socket().c_str(), 0666), 0);
  for (uid_t uid : {kStranger, kUser}) {
    Client stranger = Client::Connect(conf.socket(), uid).value();
    auto told = stranger.Next();
    ASSERT_TRUE(told);
    EXPECT_EQ(told->code(), Code::kPermissionDenied);
    EXPECT_EQ(stranger.Next().error().code, Code::kUnavailable);
  }
}

TEST_F(RealBroker, CutsOffAPeerThatDoesNotSpeakTheProtocol) {
  for (const std::string& bytes :
       {std::string("x"), EncodeFrame(BrokerFrame::kListSteps, PlainRequest{1}),
        EncodeFrame(BrokerFrame::kHello, BrokerHello{99}), std::string(70'000, 'z')}) {
    Client client = Client::Connect(conf.socket(), kAgent).value();
    EXPECT_NE(client.Ask(bytes).value().code(), Code::kOk);
    EXPECT_FALSE(client.Next());
  }
  EXPECT_TRUE(Steps().empty());
}

TEST_F(RealBroker, SurvivesWhatIsNoRequest) {
  std::uint64_t seed = 42;
  auto next = [&seed] {
    return static_cast<char>((seed = seed * 6364136223846793005u + 1442695040888963407u) >> 56);
  };
  UniqueFd null_fd = Open("/dev/null", O_RDONLY).value();
  for (int i = 0; i < 300; ++i) {
    Client client = Client::Connect(conf.socket(), kAgent).value();
    ASSERT_TRUE(client.Ask(EncodeFrame(BrokerFrame::kHello, BrokerHello{})));
    std::string bytes = EncodeFrame(static_cast<BrokerFrame>(1 + i % 12), StepRequest{});
    bytes.resize(static_cast<std::size_t>(2 + static_cast<unsigned char>(next()) % 60));
    for (std::size_t at = 2; at < bytes.size(); ++at) bytes[at] = i % 2 == 0 ? next() : '\xff';
    ASSERT_TRUE(client.Post(bytes, std::vector<int>(static_cast<std::size_t>(i % 3), null_fd.get())));
  }
  EXPECT_TRUE(Steps().empty());
}

}  // namespace
}  // namespace slipway
