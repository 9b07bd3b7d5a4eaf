// SPDX-License-Identifier: Apache-2.0
// What holds a step: in the cgroups that this machine has, and in a folder that only looks like one.
#include <gmock/gmock.h>

#include "base/os/cgroup.h"
#include "launcher/broker/testdata/real_broker.h"

namespace slipway {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::StartsWith;

struct StepCgroups : RealBroker {
  void SetUp() override {
    RealBroker::SetUp();
    if (!IsSkipped() && CgroupBase().empty()) GTEST_SKIP() << "no cgroup v2 that we may use";
  }
  std::string PathOf(const StepId& step) { return ReadRecord(Folder(step), 0).value().cgroup; }
  // Its state letter in /proc.
  static char StateOf(pid_t pid) {
    std::string stat = ReadFile(Cat("/proc/", pid, "/stat")).value_or("");
    auto close = stat.rfind(')');
    return close == std::string::npos ? '?' : stat[close + 2];
  }
};

TEST_F(StepCgroups, AFrozenStepStandsStillAndGoesOn) {
  StepId step{1, 1, 0};
  ASSERT_EQ(Start(Credential(step)).kind, BrokerFrame::kStarted);
  Line(step, "init escape ");
  ASSERT_EQ(Ask(BrokerFrame::kFreezeStep, step), Code::kOk);
  std::string events = PathOf(step) + "/tasks/cgroup.events";
  EXPECT_TRUE(Eventually([&] { return ReadFile(events).value().find("frozen 1") != std::string::npos; }));
  Tell(step, "tell hello");  // stepd is not frozen and passes it on
  EXPECT_EQ(ReadFile(Folder(step) + "/status").value().find("init did hello"), std::string::npos);
  ASSERT_EQ(Ask(BrokerFrame::kThawStep, step), Code::kOk);
  Line(step, "init did hello");
}

TEST_F(StepCgroups, AFrozenStepCanBeKilled) {
  StepId step{1, 1, 0};
  ASSERT_EQ(Start(Credential(step)).kind, BrokerFrame::kStarted);
  pid_t init = std::stoi(Line(step, "init pid "));
  ASSERT_EQ(Ask(BrokerFrame::kFreezeStep, step), Code::kOk);
  EXPECT_EQ(Ask(BrokerFrame::kKillStep, step), Code::kOk);
  EXPECT_FALSE(Lives(init));
  EXPECT_EQ(Ask(BrokerFrame::kFreezeStep, step), Code::kFailedPrecondition) << "it has gone";
}

TEST_F(StepCgroups, DevicesAreAllowedByStepAndByTask) {
  CgroupTree tree = CgroupTree::Open(conf);
  for (const std::string& what : tree.cannot()) {
    if (what.starts_with("devices:")) GTEST_SKIP() << what;
  }
  DeviceRule kmsg = DeviceAt("/dev/kmsg").value(), mem = DeviceAt("/dev/zero").value();
  StepCgroup made = tree.Make({50, 1, 0}, {}, {{}, {{kmsg}, {mem}}}, kUser).value();
  auto opens = [](const UniqueFd& folder, const char* device) {
    Process child = Clone3({.cgroup_fd = folder.get()}).value();
    if (!child) ::_exit(::open(device, O_RDONLY | O_NONBLOCK) < 0 ? errno : 0);
    return child.Wait().value().exit_code();
  };
  EXPECT_EQ(opens(made.of_tasks[0], "/dev/kmsg"), 0);
  EXPECT_EQ(opens(made.of_tasks[1], "/dev/kmsg"), EPERM) << "another task's";
  EXPECT_EQ(opens(made.of_tasks[1], "/dev/null"), 0);
  EXPECT_EQ(opens(made.tasks, "/dev/kmsg"), 0) << "the step's, as one of its tasks has it";
  EXPECT_EQ(opens(made.stepd, "/dev/kmsg"), 0) << "stepd is ours";
  // The user moves what is his between his tasks, and no further.
  Process mover = Clone3({.cgroup_fd = made.of_tasks[0].get()}).value();
  if (!mover) {
    if (::setresgid(kUser, kUser, kUser) < 0 || ::setresuid(kUser, kUser, kUser) < 0) ::_exit(9);
    if (!WriteInto(made.path + "/tasks/1/cgroup.procs", "0")) ::_exit(8);
    for (const char* out : {"/stepd/cgroup.procs", "/cgroup.procs", "/../cgroup.procs"})
      if (WriteInto(made.path + out, "0")) ::_exit(7);
    ::_exit(0);
  }
  EXPECT_EQ(mover.Wait().value().exit_code(), 0);
  RemoveStepCgroup(made.path);
  EXPECT_NE(::access(made.path.c_str(), F_OK), 0);
}

TEST_F(StepCgroups, ALimitThatCannotBeHeldIsSaidAtTheGreetingAndStartsGoOn) {
  LaunchCredential credential = Credential({1, 1, 0});
  credential.limits.cgroup =
      CgroupSettingsOf({.cores = 1, .processes_max = 99, .memory_bytes = 1 << 30}).value();
  ASSERT_EQ(Start(credential).kind, BrokerFrame::kStarted);
  for (const CgroupSetting& setting : credential.limits.cgroup) {
    std::string file = Cat(
        setting.level == CgroupSetting::kTasks ? PathOf({1, 1, 0}) + "/tasks/" : PathOf({1, 1, 0}) + "/../",
        setting.file);
    auto held = ReadFile(file);
    std::string controller = setting.file.substr(0, setting.file.find('.'));
    if (held) {
      EXPECT_THAT(*held, StartsWith(setting.value)) << file;
    } else {
      EXPECT_TRUE(std::ranges::any_of(welcome.cannot, [&](auto& what) {
        return what.starts_with(controller + ":") || what.starts_with(setting.file + ":");
      })) << setting.file;
    }
  }
}

// A folder in the place of a cgroup: its control files are the test's.
struct FakeCgroup : testing::Test {
  std::string dir = MakeTempDirectory("/tmp", "slipway-cgroup-").value();
  void TearDown() override { EXPECT_TRUE(RemoveTree(dir)); }
};

TEST_F(FakeCgroup, EndingWhatAnotherProgramTookAwayIsNamedAndEnds) {
  std::string gone = dir + "/gone/1.1/0";
  auto killed = KillCgroup(gone);
  ASSERT_FALSE(killed);
  EXPECT_THAT(killed.error().message, HasSubstr(gone));
  EXPECT_FALSE(IsPopulated(gone));
  EndStepCgroup(gone);  // nothing hangs
  EXPECT_TRUE(KillCgroup("")) << "nobody's";
}

TEST_F(StepCgroups, AStartBelowACgroupThatWasTakenAwayIsRefusedByName) {
  CgroupTree tree = CgroupTree::Open(conf);
  std::string base = CgroupBase();
  ASSERT_EQ(::rmdir(base.c_str()), 0) << "as systemd does when the unit is stopped";
  auto made = tree.Make({60, 1, 0}, {}, {}, 0);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("another program has taken away the cgroup"));
  EXPECT_THAT(made.error().message, HasSubstr(base));
  Reply reply = Start(Credential({1, 1, 0}));
  EXPECT_THAT(reply.message(), HasSubstr("another program has taken away the cgroup"));
  CgroupTree::Open(conf);  // a broker that is restarted makes it anew
  EXPECT_EQ(Start(Credential({1, 1, 1})).kind, BrokerFrame::kStarted);
}

TEST_F(StepCgroups, AStepWhoseProcessesWereMovedAwayStillEnds) {
  StepId step{1, 1, 0};
  ASSERT_EQ(Start(Credential(step)).kind, BrokerFrame::kStarted);
  pid_t init = std::stoi(Line(step, "init pid ")), stepd = std::stoi(Line(step, "stepd pid "));
  std::string path = PathOf(step), base = path.substr(0, path.find("/1.1"));
  std::string elsewhere = base + "/elsewhere";
  ASSERT_TRUE(MakeDirectories(elsewhere));
  for (pid_t pid : {init, stepd}) ASSERT_TRUE(WriteInto(elsewhere + "/cgroup.procs", std::to_string(pid)));
  RemoveStepCgroup(path);
  ASSERT_NE(::access(path.c_str(), F_OK), 0);
  EXPECT_EQ(Ask(BrokerFrame::kKillStep, step), Code::kOk);
  EXPECT_FALSE(Lives(init) || Lives(stepd));
  EXPECT_THAT(ReadFile(dir + "/log").value(), HasSubstr(path)) << "a line names it";
  EXPECT_TRUE(Eventually([&] { return ::rmdir(elsewhere.c_str()) == 0; }));
}

}  // namespace
}  // namespace slipway
