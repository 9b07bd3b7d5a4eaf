// SPDX-License-Identifier: Apache-2.0
#include "agent/health/host_check.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/os/socket.h"

namespace slipway {
namespace {

// A host's tree of files, as CheckHost reads them.
class HostTree : public testing::Test {
 protected:
  void SetUp() override {
    root_ = MakeTempDirectory("/tmp", "slipway-host-").value();
    Write("/proc/sys/user/max_user_namespaces", "30000\n");
    Write("/proc/filesystems", "nodev\toverlay\n\tsquashfs\nnodev\tproc\n");
    Write("/proc/self/mountinfo", "30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    Write("/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory hugetlb pids\n");
    Write("/proc/sys/kernel/pid_max", "4194304\n");
    Write("/etc/passwd",
          "root:x:0:0::/:/bin/sh\nslipway:x:999:999::/:/bin/sh\nslipway-import:x:998:998::/:/bin/sh\n");
    Write("/dev/fuse", "");
    Write("/dev/loop-control", "");
    Write("/var/lib/agent/x", "");
    EXPECT_EQ(::chmod((root_ + "/dev/fuse").c_str(), 0666), 0);
    EXPECT_TRUE(MakeDirectories(root_ + "/run/slipway", 0755));
    socket_ = ListenUnix(root_ + "/run/slipway/broker.sock", SOCK_SEQPACKET, 0600).value();
  }
  void TearDown() override { EXPECT_TRUE(RemoveTree(root_)); }
  void Write(const std::string& path, const std::string& text) {
    std::string file = root_ + path;
    ASSERT_TRUE(MakeDirectories(file.substr(0, file.rfind('/'))));
    ASSERT_TRUE(WriteFileAtomically(file, text));
  }
  // All but what is good and the clock, which is the test host's own.
  std::string Complaints() {
    std::string text;
    for (const HostFinding& finding : CheckHost({root_, "/var/lib/agent", "/run/slipway/broker.sock"})) {
      if (finding.kind == HostFinding::kGood || finding.what.starts_with("clock")) continue;
      if (::geteuid() != 0 && finding.what.starts_with("run folder")) continue;  // it is not root's here
      EXPECT_FALSE(finding.mend.empty()) << finding.what;
      text += finding.what + "\n";
    }
    return text;
  }
  std::string root_;
  UniqueFd socket_;
};

TEST_F(HostTree, AHostThatIsReadyHasNoComplaints) { EXPECT_EQ(Complaints(), ""); }

TEST_F(HostTree, AFileSystemWhoseModuleWaitsForItsFirstMountIsThere) {
  Write("/proc/filesystems", "nodev\tproc\n");
  Write("/proc/sys/kernel/osrelease", "6.1.0-56\n");
  Write("/lib/modules/6.1.0-56/kernel/fs/squashfs/squashfs.ko", "");
  EXPECT_EQ(Complaints(), "overlay: the kernel does not have it\n");
  Write("/lib/modules/6.1.0-56/kernel/fs/overlayfs/overlay.ko.xz", "");
  EXPECT_EQ(Complaints(), "");
}

TEST_F(HostTree, WeightsThatNoDiskKnowsAreSaid) {
  Write("/sys/fs/cgroup/io.cost.qos", "");
  EXPECT_EQ(Complaints(),
            "io.weight: the kernel shares out no disk by weight; where the site sets it, it means nothing\n");
  Write("/sys/fs/cgroup/io.cost.qos", "254:0 enable=1 ctrl=auto rpct=0.00\n");
  EXPECT_EQ(Complaints(), "");
}

TEST_F(HostTree, WhereThereIsNvidiasDriverTheKernelsLogIsToBeReadOrHandedOver) {
  Write("/proc/driver/nvidia/version", "NVRM version: …\n");
  EXPECT_EQ(Complaints(), "kernel log: cannot be read; Xid errors of GPUs are not noticed\n");
  ASSERT_EQ(::symlink("/dev/null", (root_ + "/run/slipway/kernel-log").c_str()), 0);
  EXPECT_EQ(Complaints(), "kernel log: cannot be read; Xid errors of GPUs are not noticed\n");
  ASSERT_EQ(::unlink((root_ + "/run/slipway/kernel-log").c_str()), 0);
  ASSERT_EQ(::symlink("/dev/kmsg", (root_ + "/run/slipway/kernel-log").c_str()), 0);
  EXPECT_EQ(Complaints(), "");
  ASSERT_EQ(::unlink((root_ + "/run/slipway/kernel-log").c_str()), 0);
  Write("/dev/kmsg", "");
  EXPECT_EQ(Complaints(), "") << "it may be opened";
}

TEST_F(HostTree, WhatIsMissingIsNamedEachWithItsCure) {
  Write("/proc/sys/user/max_user_namespaces", "0\n");
  Write("/proc/sys/kernel/unprivileged_userns_clone", "0\n");
  Write("/proc/filesystems", "nodev\toverlay\n");
  Write("/sys/fs/cgroup/cgroup.controllers", "pids\n");
  Write("/proc/sys/kernel/pid_max", "4096\n");
  Write("/etc/passwd", "slipway:x:999:999::/:/bin/sh\n");
  ASSERT_EQ(::chmod((root_ + "/dev/fuse").c_str(), 0600), 0);
  ASSERT_EQ(::unlink((root_ + "/dev/loop-control").c_str()), 0);
  ASSERT_EQ(::unlink((root_ + "/run/slipway/broker.sock").c_str()), 0);
  std::string text = Complaints();
  for (const char* part :
       {"user namespaces: none", "only root may make them", "squashfs: the kernel does not have it",
        "without memory, cpu, cpuset, io;", "kernel.pid_max: 4096", "account slipway-import: not there",
        "/dev/fuse: users may not", "loop devices: /dev/loop-control is not there", "is no socket"})
    EXPECT_NE(text.find(part), std::string::npos) << part << " not in:\n" << text;
}

TEST_F(HostTree, WithoutCgroupsItSaysWhatThatMeans) {
  Write("/proc/self/mountinfo", "");
  EXPECT_EQ(Complaints(),
            "cgroups: no version 2 hierarchy; steps are ended process by process and no limit holds\n");
}

TEST(HostCheck, ShowsTheBadFirstAndHowToMendIt) {
  std::vector<HostFinding> findings = {
      {HostFinding::kGood, "a", ""}, {HostFinding::kWarning, "b", "do"}, {HostFinding::kBad, "c", "do more"}};
  EXPECT_EQ(Show(findings), "BAD   c\n      mend: do more\nWARN  b\n      mend: do\nok    a\n");
  EXPECT_FALSE(AllGood(findings));
  findings.pop_back();
  EXPECT_TRUE(AllGood(findings)) << "a warning is no reason not to be a node";
}

}  // namespace
}  // namespace slipway
