// SPDX-License-Identifier: Apache-2.0
// The broker as it runs, with, in the place of the container's code, an init that tries what it must not be
// able to do.
#include "launcher/broker/broker.h"

#include <grp.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/ptrace.h>

#include "base/loop/epoll_loop.h"
#include "launcher/broker/images.h"
#include "launcher/broker/testdata/broker_fixture.h"

namespace slipway {
namespace {

// ---- the container's stand-in

std::string Name(int error) { return error == 0 ? "OK" : strerrorname_np(error); }

std::string Attack(const std::string& image) {
  std::string report = "attack";
  auto note = [&](const char* what, int rc) { report += Cat(" ", what, "=", Name(rc < 0 ? errno : 0)); };
  for (auto [what, attribute] :
       {std::pair{"ro", MOUNT_ATTR_RDONLY}, {"nosuid", MOUNT_ATTR_NOSUID}, {"nodev", MOUNT_ATTR_NODEV}}) {
    mount_attr clear{};
    clear.attr_clr = static_cast<std::uint64_t>(attribute);
    note(what, ::mount_setattr(AT_FDCWD, image.c_str(), 0, &clear, sizeof clear));
  }
  note("remount", ::mount(nullptr, image.c_str(), nullptr, MS_REMOUNT | MS_BIND, nullptr));
  note("umount", ::umount2(image.c_str(), 0));
  note("detach", ::umount2(image.c_str(), MNT_DETACH));
  UniqueFd clone(::open_tree(AT_FDCWD, image.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  note("clone", clone.get());
  mount_attr clear{};
  clear.attr_clr = MOUNT_ATTR_NODEV;
  note("clone_nodev", ::mount_setattr(clone.get(), "", AT_EMPTY_PATH, &clear, sizeof clear));
  return report;
}

[[noreturn]] void FakeInit(int control, const std::string& image) {
  auto say = [&](const std::string& line) { [[maybe_unused]] auto sent = SendMessage(control, line); };
  uid_t r, e, s;
  ::getresuid(&r, &e, &s);
  say(Cat("ids ", r, " ", e, " ", s, " gid ", ::getgid(), " dumpable ", ::prctl(PR_GET_DUMPABLE)));
  say(Cat("user ", Link("/proc/self/ns/user")));
  say(Cat("ipc ", Link("/proc/self/ns/ipc")));
  say(Cat("mnt ", Link("/proc/self/ns/mnt")));
  say(Cat("pid ", ::getpid()));
  int fds = 0;
  for (int fd = 3; fd < 256; ++fd) fds += ::fcntl(fd, F_GETFD) >= 0;
  say(Cat("fds ", fds));
  say(Cat("streams ", Link("/proc/self/fd/0"), " ", Link("/proc/self/fd/2"), " cwd ",
          Link("/proc/self/cwd")));
  say(Cat("file ", ReadFile(image + "/hello").value_or("unreadable")));
  say(Attack(image));
  say(Cat("escape ", Name(::setresuid(-1, 0, -1) < 0 ? errno : 0)));
  for (;;) {
    auto message = ReceiveMessage(control);
    if (!message) ::_exit(0);
    if (message->bytes == "fork" && ::fork() == 0) {
      for (;;) ::pause();
    }
    say("did " + message->bytes);
  }
}

struct RealBroker : BrokerFixture {
  Result<> BeBroker() override {
    return RunBroker(conf,
                     {.run_init = [](const Birth& birth) { FakeInit(birth.control_fd, birth.image_path); },
                      .run_rootless = [](const Birth&) { ::_exit(1); }});
  }
};

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

constexpr const char* kLocked =
    " ro=EPERM nosuid=EPERM nodev=EPERM remount=EPERM umount=EINVAL detach=EINVAL clone=OK clone_nodev=EPERM";

TEST_F(RealBroker, TheImagesFlagsAreLockedInEveryStepOfAJob) {
  for (std::uint32_t number : {0, 1, 2}) {
    StepId step{1, 1, number};
    Reply started = Start(Credential(step));
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

TEST_F(RealBroker, TellsWhenAStepHasGoneAndWithWhichStatus) {
  StepId step{1, 1, 0};
  ASSERT_EQ(Start(Credential(step)).kind, BrokerFrame::kStarted);
  Line(step, "init escape ");
  Tell(step, "exit 7");
  StepGone gone = agent->AwaitGone(step).value();
  EXPECT_EQ(gone.stepd_wait_status, 7 << 8);
  ASSERT_EQ(Steps().size(), 1u);
  EXPECT_FALSE(Steps()[0].running);
  EXPECT_EQ(Ask(BrokerFrame::kForgetStep, step), Code::kOk);
  EXPECT_TRUE(Steps().empty());
  EXPECT_NE(::access(Folder(step).c_str(), F_OK), 0);
}

TEST_F(RealBroker, KillLeavesNoProcessOfTheStep) {
  StepId step{1, 1, 0};
  ASSERT_EQ(Start(Credential(step)).kind, BrokerFrame::kStarted);
  pid_t init = std::stoi(Line(step, "init pid ")), stepd = std::stoi(Line(step, "stepd pid "));
  Tell(step, "tell fork");
  Line(step, "init did fork");
  EXPECT_EQ(Ask(BrokerFrame::kForgetStep, step), Code::kFailedPrecondition);
  EXPECT_EQ(Ask(BrokerFrame::kKillStep, step), Code::kOk);
  EXPECT_FALSE(Lives(init) || Lives(stepd));
  EXPECT_EQ(agent->AwaitGone(step).value().reason, "KILLED");
  EXPECT_EQ(Ask(BrokerFrame::kKillStep, step), Code::kOk) << "killing what has gone";
  EXPECT_EQ(Ask(BrokerFrame::kKillStep, {77, 1, 0}), Code::kOk) << "killing what never was";
}

TEST_F(RealBroker, AFailedStartLeavesNothing) {
  ASSERT_EQ(::rename((dir + "/stepd").c_str(), (dir + "/away").c_str()), 0);
  Reply reply = Start(Credential({1, 1, 0}));
  EXPECT_NE(reply.code(), Code::kOk);
  EXPECT_NE(reply.message().find("/stepd"), std::string::npos) << reply.message();
  EXPECT_TRUE(Steps().empty());
  EXPECT_NE(::access(Folder({1, 1, 0}).c_str(), F_OK), 0);
  ASSERT_EQ(::rename((dir + "/away").c_str(), (dir + "/stepd").c_str()), 0);
  EXPECT_EQ(Start(Credential({1, 1, 0})).code(), Code::kPermissionDenied) << "its mark stays";
  EXPECT_EQ(Start(Credential({1, 1, 1})).kind, BrokerFrame::kStarted);
}

TEST_F(RealBroker, AStepSurvivesTheBrokerAndItsEndIsSeen) {
  StepId step{1, 1, 0}, next{1, 1, 1};
  ASSERT_EQ(Start(Credential(step)).kind, BrokerFrame::kStarted);
  std::string user = Line(step, "init user ");
  End(broker, SIGKILL);
  StartBroker();
  ASSERT_EQ(Steps().size(), 1u);
  EXPECT_TRUE(Steps()[0].running);
  // The next broker finds the job's namespaces and the mounted image again.
  ASSERT_EQ(Start(Credential(next)).kind, BrokerFrame::kStarted);
  EXPECT_EQ(Line(next, "init user "), user);
  EXPECT_EQ(Line(next, "init attack"), kLocked);
  EXPECT_EQ(LoopDevicesOf(dir), 1);
  Tell(step, "exit 3");
  EXPECT_EQ(agent->AwaitGone(step).value().step, step);
}

TEST_F(RealBroker, ABrokerKilledAtAnyMomentOfAStartLeavesAllOrNothing) {
  int whole = 0;
  for (std::uint32_t i = 0; i < 24; ++i) {
    StepId step{1, 1, i};
    UniqueFd memfd = MakeSealedMemfd("spec", "fake").value();
    ASSERT_TRUE(agent->Post(
        EncodeFrame(BrokerFrame::kStartStep, StartStep{7, SignCredential(Credential(step), *key)}),
        {memfd.get()}));
    ::usleep(i * 250);
    End(broker, SIGKILL);
    StartBroker();
    std::optional<bool> running;
    for (const StepRecord& record : Steps()) {
      if (record.step == step) running = record.running;
    }
    if (running == std::optional(true)) {
      ++whole;
      Line(step, "init escape ");
      Tell(step, "exit 0");
      ASSERT_TRUE(agent->AwaitGone(step));
    } else if (!running) {
      EXPECT_NE(::access(Folder(step).c_str(), F_OK), 0) << i;
    }
  }
  RecordProperty("whole", whole);
}

TEST_F(RealBroker, ABrokerKilledWhileAStepIsEndedFindsItRunningOrEnded) {
  for (std::uint32_t i = 0; i < 12; ++i) {
    StepId step{1, 1, i};
    ASSERT_EQ(Start(Credential(step)).kind, BrokerFrame::kStarted);
    pid_t init = std::stoi(Line(step, "init pid ")), stepd = std::stoi(Line(step, "stepd pid "));
    ASSERT_TRUE(agent->Post(EncodeFrame(BrokerFrame::kKillStep, StepRequest{4, step})));
    ::usleep(i * 150);
    End(broker, SIGKILL);
    StartBroker();
    ASSERT_EQ(Ask(BrokerFrame::kKillStep, step), Code::kOk);
    EXPECT_FALSE(Lives(init) || Lives(stepd)) << i;
    ASSERT_EQ(Ask(BrokerFrame::kForgetStep, step), Code::kOk);
  }
}

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

TEST_F(RealBroker, IsTheOnlyOneOnItsState) {
  Process second = ForkInto([this] { return BeBroker(); });
  EXPECT_EQ(second.Wait().value().exit_code(), 1);
  EXPECT_EQ(Start(Credential({1, 1, 0})).kind, BrokerFrame::kStarted) << "the first is not disturbed";
}

TEST_F(RealBroker, DoesNotStartOverARecordThatItCannotRead) {
  StepId step{1, 1, 0};
  ASSERT_EQ(Start(Credential(step)).kind, BrokerFrame::kStarted);
  pid_t init = std::stoi(Line(step, "init pid "));
  End(broker, SIGKILL);
  std::string record = ReadFile(Folder(step) + "/record").value();
  ASSERT_TRUE(WriteFileAtomically(Folder(step) + "/record", "garbage", 0600));
  Process second = ForkInto([this] { return BeBroker(); });
  EXPECT_EQ(second.Wait().value().exit_code(), 1);
  EXPECT_TRUE(Lives(init)) << "the step goes on";
  ASSERT_TRUE(WriteFileAtomically(Folder(step) + "/record", record, 0600));
  StartBroker();
  EXPECT_TRUE(Steps().at(0).running);
}

TEST_F(RealBroker, TheTimeLimitHoldsThroughARestart) {
  StepId step{1, 1, 0};
  LaunchCredential credential = Credential(step);
  credential.limits.time_limit_s = 3600;
  ASSERT_EQ(Start(credential).kind, BrokerFrame::kStarted);
  End(broker, SIGKILL);
  RunRecord record = ReadRecord(Folder(step), 0).value();
  EXPECT_GT(record.deadline_boot_ms, BootMilliseconds() + 3'600'000);
  record.deadline_boot_ms = BootMilliseconds() + 300;
  ASSERT_TRUE(WriteRecord(Folder(step), record));
  StartBroker();
  EXPECT_EQ(agent->AwaitGone(step).value().reason, "TIMEOUT");
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
  EXPECT_EQ(list.digests.size(), 2u);
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
    return agent->Ask(EncodeFrame(BrokerFrame::kImportImage, PlainRequest{5}), {file.get()}).value();
  };
  Reply copied = import("copy this");
  ASSERT_EQ(copied.kind, BrokerFrame::kImported) << copied.message();
  auto image = Decode<ImportedImage>(copied.payload, "imported").value();
  EXPECT_EQ(image.digest, DigestOf("copy this"));
  EXPECT_EQ(image.source_digest, DigestOf("copy this"));
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
  EXPECT_EQ(list.digests.size(), 3u) << "a failed import leaves nothing";
}

TEST_F(RealBroker, TheHolderGivesBackWhatItWasGiven) {
  HolderClient client = HolderClient::Connect(conf.holder_socket).value();
  UniqueFd file = MakeSealedMemfd("x", "kept").value();
  ASSERT_TRUE(client.Put("k", {file.get()}));
  HolderClient other = HolderClient::Connect(conf.holder_socket).value();
  EXPECT_EQ(ReadSealedMemfd(other.Get("k").value().at(0).get(), 100).value(), "kept");
  ASSERT_TRUE(other.Drop("k"));
  EXPECT_EQ(client.Get("k").error().code, Code::kNotFound);
  EXPECT_FALSE(client.Drop("mounts")) << "the image mounts are the holder's own";
  EXPECT_FALSE(client.Put(std::string(65, 'x'), {file.get()}));
}

// A host without cgroup v2: said in the welcome, and survivable.
struct BrokerWithoutCgroups : RealBroker {
  Result<> BeHolder() override {
    if (::unshare(CLONE_NEWNS) < 0 || ::mount(nullptr, "/", nullptr, MS_PRIVATE | MS_REC, nullptr) < 0)
      return ErrnoFail("unshare");
    std::ifstream mounts("/proc/self/mounts");
    for (std::string source, point, type, rest;
         mounts >> source >> point >> type && std::getline(mounts, rest);) {
      if (type == "cgroup2" && ::umount2(point.c_str(), MNT_DETACH) < 0) return ErrnoFail("umount", point);
    }
    return RunHolder(conf);
  }
};

TEST_F(BrokerWithoutCgroups, SaysWhatItCannotHoldAndStillEndsAStep) {
  auto welcome = Decode<BrokerWelcome>(
      agent->Ask(EncodeFrame(BrokerFrame::kHello, BrokerHello{})).value().payload, "welcome");
  ASSERT_EQ(welcome.value().cannot.size(), 4u);
  EXPECT_NE(welcome->cannot[0].find("no cgroup v2 hierarchy"), std::string::npos) << welcome->cannot[0];
  StepId step{1, 1, 0}, other{1, 1, 1};
  ASSERT_EQ(Start(Credential(step)).kind, BrokerFrame::kStarted);
  ASSERT_EQ(Start(Credential(other)).kind, BrokerFrame::kStarted);
  pid_t init = std::stoi(Line(step, "init pid ")), stepd = std::stoi(Line(step, "stepd pid "));
  EXPECT_EQ(Ask(BrokerFrame::kKillStep, step), Code::kOk);
  EXPECT_FALSE(Lives(init) || Lives(stepd));
  End(broker, SIGKILL);
  StartBroker();
  Tell(other, "exit 0");
  EXPECT_TRUE(agent->AwaitGone(other));
}

}  // namespace
}  // namespace slipway
