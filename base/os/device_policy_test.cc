// SPDX-License-Identifier: Apache-2.0
// On the kernel itself, in a cgroup of the test's own.
#include "base/os/device_policy.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "base/os/cgroup.h"
#include "base/os/fd.h"
#include "base/os/process.h"

namespace slipway {
namespace {

struct DevicePolicy : testing::Test {
  std::string path;
  void SetUp() override {
    auto mount = CgroupMount(), own = OwnCgroup();
    if (!mount || !own) GTEST_SKIP() << "no cgroup v2 here";
    path = Cat(*mount, *own == "/" ? "" : *own, "/slipway-devices-", ::getpid());
    if (!MakeDirectories(path)) GTEST_SKIP() << path << " cannot be made";
    UniqueFd folder = Open(path, O_RDONLY | O_DIRECTORY).value();
    if (auto attached = DevicePolicies().Attach(folder.get(), UsualDevices()); !attached)
      GTEST_SKIP() << attached.error().message;
  }
  void TearDown() override {
    if (!path.empty()) ::rmdir(path.c_str());
  }
  // The error with which a process of the cgroup `at` opens `device`; 0: none.
  static int Opens(const std::string& at, const char* device, int flags) {
    UniqueFd folder = Open(at, O_RDONLY | O_DIRECTORY).value();
    Process child = Clone3({.cgroup_fd = folder.get()}).value();
    if (!child) ::_exit(::open(device, flags | O_NONBLOCK) < 0 ? errno : 0);
    return child.Wait().value().exit_code();
  }
};

TEST_F(DevicePolicy, TheUsualDevicesOpenAndOthersDoNot) {
  for (const char* device :
       {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/ptmx"})
    EXPECT_EQ(Opens(path, device, O_RDWR), 0) << device;
  ASSERT_EQ(::access("/dev/kmsg", F_OK), 0);
  EXPECT_EQ(Opens(path, "/dev/kmsg", O_RDONLY), EPERM);
  EXPECT_EQ(Opens(path.substr(0, path.rfind('/')), "/dev/kmsg", O_RDONLY), 0) << "outside";
}

TEST_F(DevicePolicy, AChildIsBoundByItsOwnAndByWhatStandsAboveIt) {
  std::string below = path + "/one";
  ASSERT_TRUE(MakeDirectories(below));
  UniqueFd folder = Open(below, O_RDONLY | O_DIRECTORY).value();
  ASSERT_TRUE(
      DevicePolicies().Attach(folder.get(), {DeviceAt("/dev/null").value(), DeviceAt("/dev/kmsg").value()}));
  EXPECT_EQ(Opens(below, "/dev/null", O_RDWR), 0);
  EXPECT_EQ(Opens(below, "/dev/zero", O_RDONLY), EPERM);
  EXPECT_EQ(Opens(below, "/dev/kmsg", O_RDONLY), EPERM);
  ::rmdir(below.c_str());
}

TEST_F(DevicePolicy, RulesAreLoadedOnceHoweverManyCgroupsTheyBindAndTheKeptOnesAreBounded) {
  DevicePolicies policies;
  for (const char* name : {"/one", "/two"}) {
    std::string below = path + name;
    ASSERT_TRUE(MakeDirectories(below));
    UniqueFd folder = Open(below, O_RDONLY | O_DIRECTORY).value();
    ASSERT_TRUE(policies.Attach(folder.get(), {{'c', 1, 3}}));
    EXPECT_EQ(policies.kept(), 1U);
    EXPECT_EQ(Opens(below, "/dev/null", O_RDWR), 0);
    EXPECT_EQ(Opens(below, "/dev/zero", O_RDONLY), EPERM);
  }
  for (std::uint32_t minor = 0; minor < 2 * DevicePolicies::kKeptMax; ++minor)
    EXPECT_FALSE(policies.Attach(-1, {{'c', 200, minor}}));
  EXPECT_LE(policies.kept(), DevicePolicies::kKeptMax);
  EXPECT_EQ(Opens(path + "/one", "/dev/zero", O_RDONLY), EPERM) << "it holds what was let go here";
  for (const char* name : {"/one", "/two"}) ::rmdir((path + name).c_str());
}

TEST(DeviceRules, KnowANodeFromAFileAndBoundWhatIsAsked) {
  EXPECT_EQ(DeviceAt("/dev/null").value(), (DeviceRule{'c', 1, 3}));
  EXPECT_EQ(DeviceAt("/etc").error().code, Code::kInvalidArgument);
  EXPECT_EQ(DeviceAt("/dev/nothing-of-this-name").error().code, Code::kNotFound);
  EXPECT_EQ(DevicePolicies().Attach(-1, std::vector<DeviceRule>(kDeviceRulesMax + 1)).error().code,
            Code::kInvalidArgument);
  EXPECT_EQ(DevicePolicies().Attach(-1, {{'x', 1, 1}}).error().code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace slipway
