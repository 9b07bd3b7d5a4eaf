// SPDX-License-Identifier: Apache-2.0
#include "hooks/gpu/discover.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "hooks/gpu/nvml.h"
#include "hooks/gpu/testdata/hosts.h"

namespace slipway {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

GpuInventory FilesSay(const FakeHost& host) { return DiscoverGpus(host.tree(), nullptr); }

TEST(DiscoverGpus, AHostWithoutAnyHasNoneAndNoComplaint) {
  FakeHost host;
  GpuInventory found = FilesSay(host);
  EXPECT_TRUE(found.gpus.empty());
  EXPECT_TRUE(found.drivers.empty());
  EXPECT_TRUE(found.notes.empty());
}

TEST(DiscoverGpus, NvidiasAreFoundByTheDriversFilesAlone) {
  FakeHost host;
  PutTwoA100(host);
  host.Files({{"/sys/bus/pci/devices/0000:47:00.0/drm/renderD129/dev", ""}, {"/dev/dri/renderD129", ""}});
  GpuInventory found = FilesSay(host);
  ASSERT_EQ(found.gpus.size(), 2U);
  const Gpu& second = found.gpus[1];
  EXPECT_EQ(second.index, 1U);
  EXPECT_EQ(second.model, "NVIDIA A100-SXM4-40GB");
  EXPECT_EQ(second.uuid, "GPU-2");
  EXPECT_EQ(second.pci, "0000:47:00.0");
  EXPECT_EQ(second.numa_node, 1);
  EXPECT_EQ(second.fault, "");
  EXPECT_THAT(second.device_nodes, ElementsAre("/dev/nvidia1", "/dev/dri/renderD129"));
  ASSERT_EQ(found.drivers.size(), 1U);
  EXPECT_EQ(found.drivers[0].version, "550.54.14");
  EXPECT_THAT(found.drivers[0].device_nodes,
              ElementsAre("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools"));
  auto units = UnitsOf(found);
  ASSERT_EQ(units.size(), 2U);
  EXPECT_EQ(units[1].type, "a100");
  EXPECT_EQ(units[1].name, "1");
}

TEST(DiscoverGpus, DriversOfSeveralKindsSayTheirVersions) {
  for (auto [version, open_module] : {std::pair("470.256.02", false), std::pair("535.183.01", false),
                                      std::pair("570.86.15", true), std::pair("580.65.06", true)}) {
    FakeHost host;
    PutNvidiaModule(host, version, open_module);
    PutNvidiaCard(host, {});
    EXPECT_EQ(FilesSay(host).drivers.at(0).version, version);
  }
}

TEST(DiscoverGpus, TheNodesNumberIsTheMinorAndNotThePlaceOnTheBus) {
  FakeHost host;
  PutNvidiaModule(host, "550.54.14");
  PutNvidiaCard(host, {.pci = "0000:07:00.0", .minor = 5});
  EXPECT_THAT(FilesSay(host).gpus.at(0).device_nodes, ElementsAre("/dev/nvidia5"));
}

TEST(DiscoverGpus, AUuidOfQuestionMarksIsNotOne) {
  FakeHost host;
  PutNvidiaModule(host, "550.54.14");
  PutNvidiaCard(host, {.uuid = "GPU-" + std::string(8, '?') + "-" + std::string(12, '?')});
  EXPECT_EQ(FilesSay(host).gpus.at(0).uuid, "");
}

TEST(DiscoverGpus, MigInstancesAreUnitsWithTheirCapabilities) {
  FakeHost host;
  PutMig(host);
  GpuInventory found = FilesSay(host);
  ASSERT_EQ(found.gpus.at(0).slices.size(), 2U);
  EXPECT_EQ(found.gpus[0].slices[0].gpu_instance, 7U);
  auto units = UnitsOf(found);
  ASSERT_EQ(units.size(), 3U);
  EXPECT_EQ(units[1].name, "0:1");
  EXPECT_EQ(units[1].type, "a100_mig");
  EXPECT_THAT(units[1].device_nodes,
              ElementsAre("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia0",
                          "/dev/nvidia-caps/nvidia-cap84", "/dev/nvidia-caps/nvidia-cap85"));
  EXPECT_EQ(units[2].name, "1");
  EXPECT_EQ(units[2].type, "a100");
}

TEST(DiscoverGpus, WhatNvmlKnowsBeyondTheFilesIsTaken) {
  FakeHost host;
  PutNvidiaModule(host, "550.54.14");
  PutNvidiaCard(host, {.pci = "0000:01:00.0", .uuid = "GPU-?"});
  PutNvidiaCard(host, {.pci = "0000:02:00.0", .minor = 1});
  PutNvidiaCard(host, {.pci = "0000:03:00.0", .minor = 2});
  PutNvidiaCard(host, {.pci = "0000:04:00.0", .minor = 3});
  host.Files({{"/proc/driver/nvidia/capabilities/gpu1/mig/gi9/access", "DeviceFileMinor: 84\n"},
              {"/proc/driver/nvidia/capabilities/gpu1/mig/gi9/ci0/access", "DeviceFileMinor: 85\n"}});
  host.Devices({"/dev/nvidia-caps/nvidia-cap84", "/dev/nvidia-caps/nvidia-cap85"});
  auto nvml = MakeNvml(FAKE_NVML);
  NvmlInChild child(*nvml, std::chrono::seconds(20));
  GpuInventory found = DiscoverGpus(host.tree(), &child);
  EXPECT_THAT(found.notes, IsEmpty());
  EXPECT_EQ(found.drivers.at(0).cuda, "12.4");
  ASSERT_EQ(found.gpus.size(), 4U);
  EXPECT_EQ(found.gpus[0].uuid, "GPU-1");
  EXPECT_EQ(found.gpus[0].memory_bytes, 40ULL << 30);
  ASSERT_EQ(found.gpus[0].links.size(), 1U);
  EXPECT_EQ(found.gpus[0].links[0].peer, 1U);
  EXPECT_EQ(found.gpus[0].links[0].count, 4U);
  EXPECT_THAT(found.gpus[2].fault, HasSubstr("lost"));
  EXPECT_THAT(found.gpus[3].fault, HasSubstr("uncorrectable memory errors: 3"));
  auto units = UnitsOf(found);
  ASSERT_EQ(units.size(), 2U);
  EXPECT_EQ(units[1].type, "a100_1g.5gb");
  EXPECT_EQ(units[1].visible, "MIG-5");
  EXPECT_EQ(units[1].memory_bytes, 5ULL << 30);
}

TEST(DiscoverGpus, WithoutNvmlTheFilesSufficeAndItIsSaid) {
  FakeHost host;
  PutTwoA100(host);
  auto nvml = MakeNvml("/nowhere/libnvidia-ml.so.1");
  GpuInventory found = DiscoverGpus(host.tree(), nvml.get());
  EXPECT_EQ(UnitsOf(found).size(), 2U);
  EXPECT_THAT(found.notes, ElementsAre(HasSubstr("libnvidia-ml.so.1")));
}

class HangingNvml : public NvmlSource {
 public:
  Result<NvmlAnswer> Ask() override {
    for (;;) ::pause();
  }
};
class CrashingNvml : public NvmlSource {
 public:
  Result<NvmlAnswer> Ask() override { ::_exit(1); }
};

TEST(DiscoverGpus, ADriverThatHangsOrCrashesHidesNothing) {
  FakeHost host;
  PutTwoA100(host);
  HangingNvml hanging;
  NvmlInChild patient(hanging, std::chrono::milliseconds(50));
  GpuInventory found = DiscoverGpus(host.tree(), &patient);
  EXPECT_EQ(UnitsOf(found).size(), 2U);
  EXPECT_THAT(found.notes, ElementsAre(HasSubstr("does not answer")));
  CrashingNvml crashing;
  NvmlInChild child(crashing, std::chrono::seconds(20));
  EXPECT_THAT(DiscoverGpus(host.tree(), &child).notes, ElementsAre(HasSubstr("ended the process")));
}

TEST(DiscoverGpus, OneThatFellOffTheBusIsShownWithTheReason) {
  FakeHost host;
  PutTwoA100(host);
  host.File("/sys/bus/pci/devices/0000:47:00.0/config", std::string(64, '\xff'));
  GpuInventory found = FilesSay(host);
  ASSERT_EQ(found.gpus.size(), 2U);
  EXPECT_THAT(found.gpus[1].fault, HasSubstr("fallen off the bus"));
  EXPECT_EQ(UnitsOf(found).size(), 1U);
  host.Remove("/sys/bus/pci/devices/0000:47:00.0");
  EXPECT_THAT(FilesSay(host).gpus[1].fault, HasSubstr("fallen off the bus"));
}

TEST(DiscoverGpus, AHalfInstalledDriverIsNamedWithTheCure) {
  FakeHost host;
  PutTwoA100(host);
  host.Remove("/dev/nvidia1");
  EXPECT_THAT(FilesSay(host).gpus[1].fault, HasSubstr("/dev/nvidia1 is missing: nvidia-modprobe"));
  host.Remove("/dev/nvidia-uvm");
  GpuInventory found = FilesSay(host);
  EXPECT_THAT(found.drivers[0].fault, HasSubstr("/dev/nvidia-uvm is missing: as root, nvidia-modprobe"));
  EXPECT_TRUE(UnitsOf(found).empty());
}

TEST(DiscoverGpus, HardwareWithoutItsModuleIsNoted) {
  FakeHost host;
  host.Files({{"/sys/bus/pci/devices/0000:07:00.0/vendor", "0x10de\n"},
              {"/sys/bus/pci/devices/0000:07:00.0/class", "0x030200\n"}});
  EXPECT_THAT(FilesSay(host).notes, ElementsAre(HasSubstr("kernel module is not loaded")));
}

TEST(DiscoverGpus, AmdsComeFromTheTopologyOfTheComputeDriver) {
  FakeHost host;
  PutAmd(host);
  GpuInventory found = FilesSay(host);
  ASSERT_EQ(found.gpus.size(), 2U);
  EXPECT_EQ(found.gpus[0].model, "AMD Instinct MI250X");
  EXPECT_EQ(found.gpus[0].uuid, "GPU-123456789abcdef0");
  EXPECT_EQ(found.gpus[0].pci, "0000:c1:00.0");
  EXPECT_EQ(found.gpus[0].numa_node, 3);
  EXPECT_EQ(found.gpus[0].memory_bytes, 68702699520U);
  ASSERT_EQ(found.gpus[0].links.size(), 1U);
  EXPECT_EQ(found.gpus[0].links[0].kind, "XGMI");
  EXPECT_EQ(found.gpus[0].links[0].peer, 1U);
  EXPECT_EQ(found.drivers[0].version, "6.3.6");
  auto units = UnitsOf(found);
  EXPECT_EQ(units.at(0).type, "mi250x");
  EXPECT_THAT(units[1].device_nodes, ElementsAre("/dev/kfd", "/dev/dri/renderD129"));
  host.Remove("/dev/kfd");
  EXPECT_THAT(FilesSay(host).drivers[0].fault, HasSubstr("/dev/kfd is missing"));
}

TEST(DiscoverGpus, IntelsAreRenderNodesAndTheProcessorsOwnIsNotGivenAway) {
  FakeHost host;
  PutIntel(host, "0000:18:00.0", 129, "0x0bd5");
  PutIntel(host, "0000:00:02.0", 128, "0x4680", "i915");
  GpuInventory found = FilesSay(host);
  ASSERT_EQ(found.gpus.size(), 2U);
  EXPECT_TRUE(found.gpus[0].integrated);
  EXPECT_EQ(found.gpus[1].model, "Intel Data Center GPU Max 1550");
  EXPECT_EQ(found.gpus[1].numa_node, 1);
  auto units = UnitsOf(found);
  ASSERT_EQ(units.size(), 1U);
  EXPECT_EQ(units[0].type, "max_1550");
  EXPECT_THAT(units[0].device_nodes, ElementsAre("/dev/dri/renderD129"));
}

TEST(GpuTypes, ModelsBecomeShortNames) {
  for (auto [model, type] :
       {std::pair("NVIDIA A100-SXM4-40GB", "a100"), std::pair("NVIDIA H100 80GB HBM3", "h100"),
        std::pair("NVIDIA H100 PCIe", "h100"), std::pair("Tesla V100-SXM2-16GB", "v100"),
        std::pair("NVIDIA GH200 480GB", "gh200"), std::pair("NVIDIA GeForce RTX 3090", "rtx_3090"),
        std::pair("NVIDIA RTX A6000", "rtx_a6000"), std::pair("AMD Instinct MI300A", "mi300a"),
        std::pair("", "gpu"), std::pair("NVIDIA", "gpu")})
    EXPECT_EQ(TypeOfModel(model), type);
}

TEST(GpuUnits, TheVariablesFollowTheUnits) {
  GpuUnit a{.visible = "GPU-1"}, b{.visible = "GPU-2"}, nameless{}, amd{.vendor = GpuVendor::kAmd};
  EXPECT_THAT(VisibleOf({&a, &b}), ElementsAre("CUDA_VISIBLE_DEVICES=GPU-1,GPU-2"));
  EXPECT_THAT(VisibleOf({&a, &nameless}), ElementsAre("CUDA_VISIBLE_DEVICES=0,1"));
  EXPECT_THAT(VisibleOf({&amd}), ElementsAre("ROCR_VISIBLE_DEVICES=0"));
  EXPECT_THAT(VisibleOf({}), IsEmpty());
}

TEST(GpuFingerprint, ChangesWithTheDriverAndTheMigInstancesAndOnlyThen) {
  FakeHost host;
  PutMig(host);
  std::string before = GpuFingerprint(host.tree());
  EXPECT_EQ(GpuFingerprint(host.tree()), before);
  host.Remove("/proc/driver/nvidia/capabilities/gpu0/mig/gi9/ci0");
  std::string fewer = GpuFingerprint(host.tree());
  EXPECT_NE(fewer, before);
  std::string hardware = HardwareFingerprint(host.tree());
  host.File("/etc/ld.so.cache", "written anew");
  EXPECT_NE(GpuFingerprint(host.tree()), fewer);
  EXPECT_EQ(HardwareFingerprint(host.tree()), hardware);
  PutNvidiaModule(host, "550.90.07");
  EXPECT_NE(HardwareFingerprint(host.tree()), hardware);
}

}  // namespace
}  // namespace slipway
