// SPDX-License-Identifier: Apache-2.0
#include "hooks/gpu/support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hooks/cdi/devices.h"
#include "hooks/cdi/write_cdi.h"
#include "hooks/gpu/nvml.h"
#include "hooks/gpu/testdata/hosts.h"

namespace slipway {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::IsSupersetOf;
using testing::Not;
using testing::UnorderedElementsAre;

std::vector<std::string> TargetsOf(const ContainerEdits& edits) {
  std::vector<std::string> targets;
  for (const Mount& mount : edits.mounts) targets.push_back(mount.target);
  return targets;
}
std::vector<std::string> NodesOf(const ContainerEdits& edits) {
  std::vector<std::string> nodes;
  for (const DeviceNode& node : edits.devices) nodes.push_back(node.path);
  return nodes;
}

class SupportTest : public testing::Test {
 protected:
  GpuSupport Support() { return FindGpuSupport(host_.tree(), nullptr); }
  Result<ContainerEdits> Edits(const std::string& name, bool name_them = true) {
    support_ = Support();
    units_ = UnitsOf(support_.inventory);
    auto units = TRY(UnitsNamed(units_, GpuVendor::kNvidia, name));
    return EditsOfUnits(support_, units, image_, name_them, notes_);
  }
  FakeHost host_;
  GpuSupport support_;
  std::vector<GpuUnit> units_;
  ImageLibraries image_;
  std::vector<std::string> notes_;
};

TEST_F(SupportTest, ADriversLibrariesAreBoundUnderTheirSonames) {
  PutTwoA100(host_);
  host_.Files(
      {{"/run/nvidia-persistenced/socket", ""}, {"/lib/firmware/nvidia/550.54.14/gsp_ga10x.bin", ""}});
  auto edits = Edits("all", false);
  ASSERT_TRUE(edits) << edits.error().message;
  EXPECT_THAT(TargetsOf(*edits),
              UnorderedElementsAre(
                  "/.singularity.d/libs/libcuda.so.1", "/.singularity.d/libs/libcuda.so",
                  "/.singularity.d/libs/libnvidia-ml.so.1", "/.singularity.d/libs/libnvidia-nvvm.so.4",
                  "/.singularity.d/libs/libnvidia-gpucomp.so.550.54.14", "/usr/bin/nvidia-smi",
                  "/run/nvidia-persistenced/socket", "/lib/firmware/nvidia/550.54.14"));
  EXPECT_THAT(edits->library_folders, ElementsAre("/.singularity.d/libs"));
  EXPECT_THAT(edits->env, IsEmpty());
  for (const Mount& mount : edits->mounts) {
    EXPECT_TRUE(mount.source.starts_with(host_.root())) << mount.source;
    EXPECT_EQ(mount.read_only, !mount.target.ends_with("socket")) << mount.target;
  }
}

TEST_F(SupportTest, ADriverThatNoLoadersCacheKnowsIsFoundInUsrLocalNvidia) {
  PutNvidiaModule(host_, "580.65.06", true);
  PutNvidiaCard(host_, {});
  PutNvidiaLibraries(host_, "580.65.06", "/usr/local/nvidia/lib64");
  host_.Files({{"/usr/bin/nvidia-smi", "#!/bin/sh\nexec /usr/local/nvidia/bin/nvidia-smi\n"},
               {"/usr/local/nvidia/bin/nvidia-smi",
                "\x7f"
                "ELF"},
               {"/usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json", "{}"}});
  auto edits = Edits("all", false);
  ASSERT_TRUE(edits) << edits.error().message;
  EXPECT_THAT(TargetsOf(*edits), IsSupersetOf({"/.singularity.d/libs/libcuda.so.1", "/usr/bin/nvidia-smi",
                                               "/usr/share/vulkan/icd.d/nvidia_icd.json"}));
  // The script of that name would look for the program where the container has none.
  EXPECT_THAT(edits->mounts,
              Contains(testing::AllOf(
                  testing::Field(&Mount::target, "/usr/bin/nvidia-smi"),
                  testing::Field(&Mount::source, host_.root() + "/usr/local/nvidia/bin/nvidia-smi"))));
  EXPECT_EQ(NvmlLibraryOf(host_.tree()), host_.root() + "/usr/local/nvidia/lib64/libnvidia-ml.so.1");
}

TEST_F(SupportTest, ATaskGetsTheNodesOfItsOwnGpuAndTheVariableFollows) {
  PutTwoA100(host_);
  auto edits = Edits("1");
  ASSERT_TRUE(edits) << edits.error().message;
  EXPECT_THAT(NodesOf(*edits),
              ElementsAre("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia1"));
  EXPECT_THAT(edits->env, ElementsAre("CUDA_VISIBLE_DEVICES=GPU-2"));
  EXPECT_THAT(NodesOf(*Edits("GPU-1")), Contains("/dev/nvidia0"));
  EXPECT_THAT(Edits("7").error().message,
              HasSubstr("nvidia.com/gpu=7: this node has no such device; it has 0, 1"));
}

TEST_F(SupportTest, LibrariesOfOtherVersionsAndMachinesStayOut) {
  PutTwoA100(host_);
  PutNvidiaLibraries(host_, "535.183.01", "/usr/lib64");
  host_.Library(std::string(kLibraryFolder) + "/libnvidia-tls.so.550.54.14",
                {.soname = "libnvidia-tls.so", .machine = EM_386});
  auto targets = TargetsOf(*Edits("all"));
  EXPECT_THAT(targets, Not(Contains(HasSubstr("535"))));
  EXPECT_THAT(targets, Not(Contains(HasSubstr("tls"))));
}

TEST_F(SupportTest, ADriverChangedWithoutARebootIsNamed) {
  PutTwoA100(host_);
  PutNvidiaModule(host_, "550.90.07");
  auto edits = Edits("all");
  ASSERT_FALSE(edits);
  EXPECT_EQ(edits.error().code, Code::kFailedPrecondition);
  EXPECT_THAT(edits.error().message, HasSubstr("the kernel runs NVIDIA's driver 550.90.07"));
  EXPECT_THAT(edits.error().message, HasSubstr("libcuda.so.550.54.14"));
  EXPECT_THAT(WhyNone(support_, GpuVendor::kNvidia), HasSubstr("without a reboot"));
}

TEST_F(SupportTest, AHostWithoutLibrariesIsToldToInstallThem) {
  PutNvidiaModule(host_, "550.54.14");
  PutNvidiaCard(host_, {});
  EXPECT_THAT(Edits("all").error().message, HasSubstr("install the driver's libraries of that version"));
}

TEST_F(SupportTest, AnImageWhoseCLibraryIsTooOldIsRefusedWithBothVersions) {
  PutTwoA100(host_);
  image_.libc = "glibc 2.12";
  auto edits = Edits("all");
  ASSERT_FALSE(edits);
  EXPECT_THAT(edits.error().message, HasSubstr("libcuda.so.1 (NVIDIA driver 550.54.14) needs GLIBC_2.17"));
  EXPECT_THAT(edits.error().message, HasSubstr("the image has glibc 2.12"));
  image_.libc = "musl";
  EXPECT_THAT(Edits("all").error().message, HasSubstr("the image has musl"));
}

TEST_F(SupportTest, WhatIsNotEssentialIsLeftOutOfAnOldImageWithALine) {
  PutTwoA100(host_);
  image_.libc = "glibc 2.17";
  auto edits = Edits("all");
  ASSERT_TRUE(edits) << edits.error().message;
  EXPECT_THAT(TargetsOf(*edits), Not(Contains(HasSubstr("nvvm"))));
  EXPECT_THAT(notes_, ElementsAre(HasSubstr("up to GLIBC_2.27: libnvidia-nvvm.so.4")));
}

TEST_F(SupportTest, AnImagesNewerCompatLibraryComesFirst) {
  PutTwoA100(host_);
  image_.cuda_compat = "560.28.03";
  EXPECT_THAT(Edits("all")->library_folders, ElementsAre("/usr/local/cuda/compat", "/.singularity.d/libs"));
  image_.cuda_compat = "535.54.03";
  EXPECT_THAT(Edits("all")->library_folders, ElementsAre("/.singularity.d/libs"));
}

TEST_F(SupportTest, MigUnitsGetTheirCapabilityNodesOnly) {
  PutMig(host_);
  auto nodes = NodesOf(*Edits("0:0"));
  EXPECT_THAT(nodes, IsSupersetOf(
                         {"/dev/nvidia0", "/dev/nvidia-caps/nvidia-cap66", "/dev/nvidia-caps/nvidia-cap67"}));
  EXPECT_THAT(nodes, Not(Contains("/dev/nvidia-caps/nvidia-cap84")));
}

TEST_F(SupportTest, AmdsNeedNoLibrariesOfTheHost) {
  PutAmd(host_);
  GpuSupport support = Support();
  auto units = UnitsOf(support.inventory);
  auto edits = EditsOfUnits(support, {&units[0]}, {}, true, notes_);
  ASSERT_TRUE(edits) << edits.error().message;
  EXPECT_THAT(NodesOf(*edits), ElementsAre("/dev/kfd", "/dev/dri/renderD128"));
  EXPECT_THAT(edits->env, ElementsAre("ROCR_VISIBLE_DEVICES=GPU-123456789abcdef0"));
  EXPECT_THAT(notes_, ElementsAre(HasSubstr("the image must bring its own")));
  host_.Library("/opt/rocm/lib/libhsa-runtime64.so.1.13", {.soname = "libhsa-runtime64.so.1"});
  support = Support();
  edits = EditsOfUnits(support, {&units[0]}, {}, true, notes_);
  EXPECT_THAT(TargetsOf(*edits), ElementsAre("/.singularity.d/libs/libhsa-runtime64.so.1"));
}

TEST_F(SupportTest, WithoutAnyTheReasonIsSaid) {
  EXPECT_THAT(WhyNone(Support(), GpuVendor::kAmd), HasSubstr("no AMD GPU that can be used (no driver"));
  PutTwoA100(host_);
  host_.Remove("/dev/nvidia-uvm");
  EXPECT_THAT(WhyNone(Support(), GpuVendor::kNvidia), HasSubstr("nvidia-modprobe"));
}

TEST_F(SupportTest, TheCdiFileThatIsWrittenGivesTheSameEditsWhenItIsRead) {
  PutTwoA100(host_);
  auto spec = CdiOf(Support(), GpuVendor::kNvidia);
  ASSERT_TRUE(spec) << spec.error().message;
  std::string json = CdiJson(*spec);
  auto read = ParseCdi(json, false);
  ASSERT_TRUE(read) << read.error().message << json;
  ASSERT_EQ(read->devices.size(), 5U);
  EXPECT_EQ(read->devices[4].name, "all");
  EXPECT_EQ(read->devices[1].name, "GPU-1");
  auto direct = *Edits("1", false);
  ContainerEdits from_file = read->edits;
  ASSERT_TRUE(MergeEdits(from_file, read->devices[2].edits));
  EXPECT_EQ(NodesOf(from_file), NodesOf(direct));
  EXPECT_EQ(TargetsOf(from_file), TargetsOf(direct));
  EXPECT_EQ(from_file.library_folders, direct.library_folders);
  EXPECT_EQ(from_file.env, direct.env);
}

class CountingNvml : public NvmlSource {
 public:
  Result<NvmlAnswer> Ask() override {
    ++asked;
    return answer;
  }
  int asked = 0;
  Result<NvmlAnswer> answer = NvmlAnswer{};
};

TEST_F(SupportTest, TheDriverIsAskedOnceUntilSomethingChanges) {
  PutTwoA100(host_);
  std::string cache = host_.root() + "/home/.cache/slipway/gpu";
  CountingNvml nvml;
  GpuSupport first = CachedGpuSupport(host_.tree(), &nvml, cache);
  GpuSupport second = CachedGpuSupport(host_.tree(), &nvml, cache);
  EXPECT_EQ(nvml.asked, 1);
  EXPECT_EQ(Encode(second), Encode(first));
  PutNvidiaModule(host_, "550.90.07");
  CachedGpuSupport(host_.tree(), &nvml, cache);
  EXPECT_EQ(nvml.asked, 2);
  host_.File("/home/.cache/slipway/gpu", "damaged");
  EXPECT_EQ(CachedGpuSupport(host_.tree(), &nvml, cache).inventory.gpus.size(), 2U);
  EXPECT_EQ(nvml.asked, 3);
}

TEST_F(SupportTest, AnAnswerThatDidNotComeIsNotKept) {
  PutTwoA100(host_);
  std::string cache = host_.root() + "/cache/gpu";
  CountingNvml nvml;
  nvml.answer = Fail(Code::kDeadlineExceeded, "the driver does not answer");
  CachedGpuSupport(host_.tree(), &nvml, cache);
  CachedGpuSupport(host_.tree(), &nvml, cache);
  EXPECT_EQ(nvml.asked, 2);
}

}  // namespace
}  // namespace slipway
