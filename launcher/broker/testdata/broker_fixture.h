// SPDX-License-Identifier: Apache-2.0
// A holder and a broker of the test's own in a temporary folder, with a key, an image, a fake stepd and a
// client: for the tests of the library (broker_test.cc) and of the programs (launcher/main). Needs root.
#pragma once

#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <chrono>
#include <cstring>
#include <fstream>
#include <optional>
#include "base/os/mount.h"
#include "base/os/process.h"
#include "base/os/socket.h"
#include "launcher/broker/broker.h"
#include "launcher/broker/cgroups.h"
#include "launcher/broker/holder.h"
#include "launcher/broker/record.h"
#include "launcher/spec/broker_protocol.h"

namespace slipway {

inline constexpr std::uint32_t kAgent = 20000, kUser = 20001, kStranger = 20002, kImporter = 20003;
inline constexpr auto kPatience = std::chrono::seconds(20);

inline std::string Link(const std::string& path) {
  char text[256];
  ssize_t n = ::readlink(path.c_str(), text, sizeof text);
  return n < 0 ? "?" : std::string(text, static_cast<std::size_t>(n));
}

// ---- a client of the broker

struct Reply {
  BrokerFrame kind{};
  std::string payload;
  std::vector<UniqueFd> fds;
  Code code() const {
    if (kind != BrokerFrame::kError) return Code::kOk;
    return static_cast<Code>(Decode<BrokerError>(payload, "error").value().code);
  }
  std::string message() const {
    return kind == BrokerFrame::kError ? Decode<BrokerError>(payload, "error").value().message : "";
  }
};

class Client {
 public:
  // As that user: SO_PEERCRED notes the effective ids of the moment.
  static Result<Client> Connect(const std::string& path, uid_t uid) {
    if (::seteuid(uid) < 0) return ErrnoFail("seteuid");
    auto socket = ConnectUnix(path, SOCK_SEQPACKET);
    CHECK(::seteuid(0) == 0);
    Client client;
    client.socket_ = TRY(std::move(socket));
    return client;
  }
  Result<> Post(const std::string& frame, const std::vector<int>& fds = {}) {
    return SendMessage(socket_.get(), frame, fds);
  }
  // The next frame of `wanted` (0: any); events met on the way are kept.
  Result<Reply> Next() {
    pollfd watched{socket_.get(), POLLIN, 0};
    if (::poll(&watched, 1, 20'000) <= 0) return Fail(Code::kDeadlineExceeded, "no frame within 20 s");
    Message message = TRY(ReceiveMessage(socket_.get()));
    auto frame = TRY(SplitFrame<BrokerFrame>(message.bytes));
    return Reply{frame.kind, std::string(frame.payload), std::move(message.fds)};
  }
  Result<Reply> Ask(const std::string& frame, const std::vector<int>& fds = {}) {
    TRY(Post(frame, fds));
    for (;;) {
      Reply reply = TRY(Next());
      if (reply.kind == BrokerFrame::kStepStuck) continue;
      if (reply.kind != BrokerFrame::kStepGone) return reply;
      gone_.push_back(Decode<StepGone>(reply.payload, "gone").value());
    }
  }
  Result<StepGone> AwaitGone(const StepId& step) {
    for (;;) {
      for (auto at = gone_.begin(); at != gone_.end(); ++at) {
        if (at->step == step) {
          StepGone gone = *at;
          gone_.erase(at);
          return gone;
        }
      }
      Reply reply = TRY(Next());
      if (reply.kind == BrokerFrame::kStepGone)
        gone_.push_back(Decode<StepGone>(reply.payload, "gone").value());
    }
  }
  int fd() const { return socket_.get(); }

 private:
  UniqueFd socket_;
  std::vector<StepGone> gone_;
};

struct BrokerFixture : testing::Test {
  std::string dir;
  BrokerConf conf;
  std::string conf_text;
  std::optional<SigningKey> key;
  Process holder, broker;
  std::optional<Client> agent;
  BrokerWelcome welcome;
  std::string digest, image_file, image_text = "from the image";

  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: makes namespaces, mounts and processes of other users";
    dir = MakeTempDirectory("/tmp", "slipway-broker-").value();
    ASSERT_EQ(::chmod(dir.c_str(), 0755), 0);
    for (auto [from, to] : {std::pair{BROKER_FAKE_stepd, "/stepd"},
                            {BROKER_FAKE_stepd, "/stepd-pmix"},
                            {ImportProgram(), "/import"}}) {
      ASSERT_TRUE(WriteFileAtomically(dir + to, ReadFile(from, 1 << 30).value(), 0755));
    }
    KeyPairPem pair = MakeEd25519KeyPair().value();
    key = SigningKey::FromPem(pair.private_key).value();
    ASSERT_TRUE(WriteFileAtomically(dir + "/key.pub", pair.public_key, 0644));
    std::uint32_t agent_uid = Rootless() ? kUser : kAgent;
    conf_text = Cat("node = n1\ncluster = c1\nagent_uid = ", agent_uid, "\nagent_gid = ", agent_uid,
                    "\nrun_dir = ", dir, "/run\nstate_dir = ", dir, "/state\ncontroller_key = ", dir,
                    "/key.pub\nstepd = ", dir, "/stepd\nimport = ", dir, "/import\nimport_uid = ", kImporter,
                    "\nimport_gid = ", kImporter, "\nrootless = ", Rootless() ? "yes\n" : "no\n", MoreConf());
    conf = ParseConf(conf_text).value();
    ASSERT_TRUE(WriteFileAtomically(dir + "/starter.conf", conf_text, 0644));
    for (const std::string& folder : {conf.run_dir, conf.state_dir}) {
      ASSERT_TRUE(MakeDirectories(folder));
      if (Rootless()) {
        ASSERT_EQ(::chown(folder.c_str(), kUser, kUser), 0);
      }
    }
    MakeImage();
    if (!Rootless()) StartHolder();
    StartBroker();
    ASSERT_TRUE(agent);
    ASSERT_EQ(AdmitFile(image_file, digest).code(), Code::kOk);
  }

  void TearDown() override {
    if (dir.empty()) return;
    if (agent) {
      for (const StepRecord& step : Steps()) {
        if (step.running) {
          agent->Ask(EncodeFrame(BrokerFrame::kKillStep, StepRequest{9, step.step})).value();
        }
        EXPECT_EQ(agent->Ask(EncodeFrame(BrokerFrame::kForgetStep, StepRequest{9, step.step})).value().code(),
                  Code::kOk);
        agent->Ask(EncodeFrame(BrokerFrame::kEndJob, StepRequest{9, step.step})).value();
      }
    }
    std::string cgroup = CgroupBase();
    End(broker, SIGTERM);
    End(holder, SIGTERM);
    EXPECT_TRUE(RemoveTree(dir));
    EXPECT_EQ(LoopDevicesOf(dir), 0);
    EXPECT_EQ(ReadFile("/proc/self/mountinfo").value().find(dir), std::string::npos);
    if (!cgroup.empty()) {
      EXPECT_EQ(::rmdir(cgroup.c_str()), 0) << cgroup << " is not empty";
    }
  }

  virtual void MakeImage() {
    std::string root = dir + "/root";
    ASSERT_TRUE(MakeDirectories(root));
    ASSERT_TRUE(WriteFileAtomically(root + "/hello", image_text, 0644));
    image_file = dir + "/image.sqsh";
    auto made = RunAndCapture({.argv = {"mksquashfs", root, image_file, "-noappend", "-quiet", "-no-progress",
                                        "-processors", "1"}});
    ASSERT_TRUE(made && made->status.exit_code() == 0);
    digest = DigestOfFile(Open(image_file, O_RDONLY).value().get()).value();
  }

  static int LoopDevicesOf(const std::string& folder) {
    int count = 0;
    for (int i = 0; i < 256; ++i) {
      auto backing = ReadFile(Cat("/sys/block/loop", i, "/loop/backing_file"));
      if (backing && backing->starts_with(folder)) ++count;
    }
    return count;
  }

  std::string CgroupBase() {
    CgroupTree tree = CgroupTree::Open(conf);
    if (!tree.usable()) return "";
    auto made = tree.Make({99, 1, 0}, {});
    if (!made) return "";
    RemoveStepCgroup(made->path);
    return made->path.substr(0, made->path.find("/99.1"));
  }

  static void End(Process& process, int signal_number) {
    if (!process) return;
    ASSERT_TRUE(process.Signal(signal_number));
    ASSERT_TRUE(process.Wait());
    process = Process();
  }

  template <class Body>
  Process ForkInto(Body body) {
    Process child = Clone3({}).value();
    if (child) return child;
    int log = ::open((dir + "/log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(log, 2);
    if (Rootless() && (::setgroups(0, nullptr) < 0 || ::setresgid(kUser, kUser, kUser) < 0 ||
                       ::setresuid(kUser, kUser, kUser) < 0 || ::prctl(PR_SET_DUMPABLE, 1) < 0)) {
      ::_exit(9);
    }
    auto ran = body();
    if (!ran) [[maybe_unused]]
      auto written = WriteAll(2, ran.error().message + "\n");
    ::_exit(ran ? 0 : 1);
  }

  void StartHolder() {
    holder = ForkInto([this] { return BeHolder(); });
    ASSERT_TRUE(Eventually([&] { return HolderClient::Connect(conf.holder_socket).has_value(); }));
  }

  // What the broker's and the holder's processes run.
  virtual const char* ImportProgram() { return BROKER_FAKE_import; }
  virtual std::string MoreConf() { return {}; }
  virtual bool Rootless() { return false; }
  virtual Result<> BeBroker() = 0;
  virtual Result<> BeHolder() { return RunHolder(conf); }

  void StartBroker() {
    agent.reset();
    ::unlink(conf.socket().c_str());
    broker = ForkInto([this] { return BeBroker(); });
    auto connect = [&] {
      auto client = Client::Connect(conf.socket(), Rootless() ? kUser : kAgent);
      if (client) agent = std::move(*client);
      return client.has_value();
    };
    ASSERT_TRUE(Eventually(connect)) << ReadFile(dir + "/log").value_or("");
    auto greeting = agent->Ask(EncodeFrame(BrokerFrame::kHello, BrokerHello{}));
    ASSERT_TRUE(greeting);
    ASSERT_EQ(greeting->kind, BrokerFrame::kWelcome);
    welcome = Decode<BrokerWelcome>(greeting->payload, "welcome").value();
  }

  template <class Condition>
  static bool Eventually(Condition condition) {
    auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      ::usleep(2000);
    }
    return true;
  }

  Reply AdmitFile(const std::string& path, const std::string& as) {
    UniqueFd file = Open(path, O_RDONLY).value();
    return agent->Ask(EncodeFrame(BrokerFrame::kAdmitImage, ImageRequest{1, as}), {file.get()}).value();
  }

  LaunchCredential Credential(StepId step) {
    return {.cluster = "c1",
            .node = "n1",
            .epoch = 1,
            .step = step,
            .uid = kUser,
            .gid = kUser,
            .groups = {kUser, 27},
            .user = "u",
            .image_digest = digest};
  }
  Reply StartSigned(const SignedCredential& credential, std::string_view spec = "fake") {
    UniqueFd memfd = MakeSealedMemfd("spec", spec).value();
    return agent
        ->Ask(EncodeFrame(BrokerFrame::kStartStep, StartStep{7, credential, {}, room, 0, pmix}),
              {memfd.get()})
        .value();
  }
  JobRoom room;  // that the next starts ask for
  bool pmix = false;
  Reply Start(const LaunchCredential& credential, std::string_view spec = "fake") {
    return StartSigned(SignCredential(credential, *key), spec);
  }

  std::string Folder(StepId step) { return Cat(conf.steps_dir(), "/", ToString(step)); }
  // The rest of the status line that begins so; waits for it.
  std::string Line(StepId step, const std::string& prefix) {
    std::string found;
    bool there = Eventually([&] {
      std::ifstream lines(Folder(step) + "/status");
      for (std::string line; std::getline(lines, line);) {
        if (line.starts_with(prefix)) return found = line.substr(prefix.size()), true;
      }
      return false;
    });
    EXPECT_TRUE(there) << prefix << " not in: " << ReadFile(Folder(step) + "/status").value_or("")
                       << ReadFile(dir + "/log").value_or("");
    return found;
  }
  void Tell(StepId step, const std::string& line) {
    auto socket = ConnectUnix(Folder(step) + "/sock", SOCK_STREAM);
    ASSERT_TRUE(socket) << socket.error().message;
    ASSERT_TRUE(WriteAll(socket->get(), line));
  }
  std::vector<StepRecord> Steps() {
    auto reply = agent->Ask(EncodeFrame(BrokerFrame::kListSteps, PlainRequest{3})).value();
    return Decode<StepList>(reply.payload, "steps").value().steps;
  }
  Code Ask(BrokerFrame kind, StepId step) {
    return agent->Ask(EncodeFrame(kind, StepRequest{4, step})).value().code();
  }
  // Whether every process of the test's users has gone, zombies of killed brokers included.
  static bool Lives(pid_t pid) {
    auto stat = ReadFile(Cat("/proc/", pid, "/stat"));
    return stat && stat->find(") Z ") == std::string::npos;
  }
};

}  // namespace slipway
