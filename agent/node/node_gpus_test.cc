// SPDX-License-Identifier: Apache-2.0
#include "agent/node/node_gpus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hooks/gpu/testdata/hosts.h"

namespace slipway {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class NodeGpusTest : public testing::Test {
 protected:
  void SetUp() override {
    PutTwoA100(host_);
    plan_.spec.ranks = {{0, 1}};
    plan_.spec.nodes = {"n1"};
  }
  void Find() { devices_ = *FindNodeDevices({.host_root = host_.root()}); }
  Result<> Add(const std::vector<std::string>& ids, std::uint32_t per_task = 0) {
    v1::LaunchStep launch;
    for (const std::string& id : ids) launch.add_gpu_ids(id);
    launch.set_gpus_per_task(per_task);
    launch.set_image_libc(libc_);
    return AddNodeDevices(launch, devices_, {host_.root() + "/etc/cdi"}, plan_, notes_);
  }
  std::vector<std::string> Targets() {
    std::vector<std::string> targets;
    for (const Mount& mount : plan_.spec.mounts) targets.push_back(mount.target);
    return targets;
  }
  FakeHost host_;
  NodeDevices devices_;
  LaunchPlan plan_;
  std::string libc_;
  std::vector<std::string> notes_;
};

TEST_F(NodeGpusTest, TheControllerIsToldWhatThereIs) {
  Find();
  v1::Node facts;
  AddGpuUnits(devices_, facts);
  ASSERT_EQ(facts.gpu_units_size(), 2);
  EXPECT_EQ(facts.gpu_units(1).id(), "GPU-2");
  EXPECT_EQ(facts.gpu_units(1).type(), "a100");
  EXPECT_EQ(facts.gpu_units(1).numa_node(), 1);
}

TEST_F(NodeGpusTest, AJobWithoutGpusGetsNone) {
  Find();
  ASSERT_TRUE(Add({}));
  EXPECT_THAT(Targets(), IsEmpty());
  EXPECT_THAT(plan_.spec.env, IsEmpty());
}

TEST_F(NodeGpusTest, AJobGetsItsOwnGpuAndNotTheOther) {
  Find();
  ASSERT_TRUE(Add({"GPU-2"}));
  EXPECT_THAT(Targets(), Contains("/dev/nvidia1"));
  EXPECT_THAT(Targets(), Not(Contains("/dev/nvidia0")));
  EXPECT_THAT(Targets(), Contains("/.singularity.d/libs/libcuda.so.1"));
  EXPECT_THAT(plan_.spec.env, Contains("CUDA_VISIBLE_DEVICES=GPU-2"));
  EXPECT_THAT(plan_.spec.env, Contains("SLIPWAYENV_APPEND_LD_LIBRARY_PATH=/.singularity.d/libs"));
}

TEST_F(NodeGpusTest, WithGpusPerTaskEachRankHasItsOwn) {
  Find();
  ASSERT_TRUE(Add({"GPU-1", "GPU-2"}, 1));
  ASSERT_EQ(plan_.spec.task_devices.size(), 2U);
  EXPECT_THAT(plan_.spec.task_devices[1].env, ElementsAre("CUDA_VISIBLE_DEVICES=GPU-2"));
  EXPECT_THAT(plan_.spec.task_devices[1].nodes, Contains(host_.root() + "/dev/nvidia1"));
  EXPECT_THAT(plan_.spec.task_devices[1].nodes, Not(Contains(host_.root() + "/dev/nvidia0")));
  EXPECT_THAT(plan_.spec.env, Not(Contains(HasSubstr("CUDA_VISIBLE_DEVICES"))));
}

// Devices that every host has, in the places of a recorded host's.
TEST_F(NodeGpusTest, TheKernelLetsEachRankOpenItsOwnGpuAndAllOfThemWhatEveryGpuNeeds) {
  Find();
  host_.Link("/dev/nvidia0", "/dev/null");
  host_.Link("/dev/nvidia1", "/dev/zero");
  host_.Link("/dev/nvidiactl", "/dev/full");
  ASSERT_TRUE(Add({"GPU-1", "GPU-2"}, 1));
  using Rules = std::vector<DeviceRule>;
  // nvidiactl is in both; nvidia-uvm is a file here and no device.
  EXPECT_EQ(plan_.devices.of_tasks,
            (std::vector<Rules>{{{'c', 1, 7}, {'c', 1, 3}}, {{'c', 1, 7}, {'c', 1, 5}}}));
  EXPECT_EQ(plan_.devices.of_step, Rules());
}

TEST_F(NodeGpusTest, WithoutGpusPerTaskAllRanksMayOpenAllGpusOfTheJobAndNoOther) {
  Find();
  host_.Link("/dev/nvidia0", "/dev/null");
  host_.Link("/dev/nvidia1", "/dev/zero");
  ASSERT_TRUE(Add({"GPU-2"}));
  EXPECT_THAT(plan_.devices.of_tasks, IsEmpty());
  EXPECT_EQ(plan_.devices.of_step, (std::vector<DeviceRule>{{'c', 1, 5}}));
}

TEST_F(NodeGpusTest, WhereGpusDoNotGoIntoTheRanksAllRanksMayOpenAll) {
  plan_.spec.ranks = {{0, 1, 2}};
  Find();
  host_.Link("/dev/nvidia0", "/dev/null");
  host_.Link("/dev/nvidia1", "/dev/zero");
  ASSERT_TRUE(Add({"GPU-1", "GPU-2"}, 1));
  EXPECT_THAT(plan_.devices.of_tasks, IsEmpty());
  EXPECT_EQ(plan_.devices.of_step, (std::vector<DeviceRule>{{'c', 1, 3}, {'c', 1, 5}}));
}

TEST_F(NodeGpusTest, ARankGetsTheGpuOnItsSideOfTheMachine) {
  Find();  // GPU-1 is on NUMA node 0, GPU-2 on 1
  devices_.numa_of_cpu = {{0, 0}, {1, 0}, {8, 1}, {9, 1}};
  plan_.spec.rank_cpus = {{8, 9}, {0, 1}};
  ASSERT_TRUE(Add({"GPU-1", "GPU-2"}, 1));
  ASSERT_EQ(plan_.spec.task_devices.size(), 2U);
  EXPECT_THAT(plan_.spec.task_devices[0].env, ElementsAre("CUDA_VISIBLE_DEVICES=GPU-2"));
  EXPECT_THAT(plan_.spec.task_devices[1].env, ElementsAre("CUDA_VISIBLE_DEVICES=GPU-1"));
}

TEST_F(NodeGpusTest, ARankWhoseSideHasNoGpuLeftGetsOneOfTheOther) {
  Find();
  devices_.numa_of_cpu = {{8, 1}, {9, 1}};
  plan_.spec.rank_cpus = {{8}, {9}};
  ASSERT_TRUE(Add({"GPU-1", "GPU-2"}, 1));
  EXPECT_THAT(plan_.spec.task_devices[0].env, ElementsAre("CUDA_VISIBLE_DEVICES=GPU-2"));
  EXPECT_THAT(plan_.spec.task_devices[1].env, ElementsAre("CUDA_VISIBLE_DEVICES=GPU-1"));
}

TEST_F(NodeGpusTest, OneThatIsGoneAndADriverThatChangedAreNamed) {
  Find();
  EXPECT_THAT(Add({"GPU-7"}).error().message, HasSubstr("GPU GPU-7 is not on this node any more"));
  PutNvidiaModule(host_, "550.90.07");
  EXPECT_THAT(Add({"GPU-1"}).error().message, HasSubstr("looks anew once nothing runs here"));
}

TEST_F(NodeGpusTest, OneThatFellOffTheBusIsRefusedAndTheOtherIsNot) {
  Find();
  host_.File("/sys/bus/pci/devices/0000:47:00.0/config", std::string(64, '\xff'));
  EXPECT_THAT(Add({"GPU-2"}).error().message, HasSubstr("GPU GPU-2 (0000:47:00.0) has fallen off the bus"));
  EXPECT_TRUE(Add({"GPU-1"}));
}

TEST_F(NodeGpusTest, FilesThatMovedAreFoundAgain) {
  Find();
  host_.Remove(kLibraryFolder);
  PutNvidiaLibraries(host_, "550.54.14", "/usr/lib64");
  host_.File("/etc/ld.so.cache", "written anew");
  ASSERT_TRUE(Add({"GPU-1"}));
  bool moved = false;
  for (const Mount& mount : plan_.spec.mounts)
    moved = moved || mount.source == host_.root() + "/usr/lib64/libcuda.so.550.54.14";
  EXPECT_TRUE(moved);
}

TEST_F(NodeGpusTest, AnImageThatIsTooOldIsRefused) {
  Find();
  libc_ = "glibc 2.12";
  EXPECT_THAT(Add({"GPU-1"}).error().message, HasSubstr("needs GLIBC_2.17 and the image has glibc 2.12"));
}

TEST_F(NodeGpusTest, ACdiFileOfTheSiteWins) {
  host_.File("/etc/cdi/nvidia.json",
             R"({"cdiVersion": "0.6.0", "kind": "nvidia.com/gpu", "devices": [{"name": "1",
                 "containerEdits": {"deviceNodes": [{"path": "/dev/site", "hostPath": "/dev/null"}]}}]})");
  Find();
  ASSERT_TRUE(Add({"GPU-2"}));
  EXPECT_THAT(Targets(), ElementsAre("/dev/site"));
  EXPECT_THAT(Add({"GPU-1"}).error().message, HasSubstr("and not of 0 or GPU-1"));
}

TEST_F(NodeGpusTest, FabricsAreEveryJobsUnlessTheSettingsSayNone) {
  host_.Devices({"/dev/xpmem"});
  Find();
  ASSERT_TRUE(Add({}));
  EXPECT_THAT(Targets(), ElementsAre("/dev/xpmem"));
  auto none = FindNodeDevices({.gpus = false, .fabrics = false, .host_root = host_.root()});
  ASSERT_TRUE(none);
  EXPECT_TRUE(none->units.empty());
  EXPECT_TRUE(none->fabrics.devices.empty());
}

}  // namespace
}  // namespace slipway
