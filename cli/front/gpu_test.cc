// SPDX-License-Identifier: Apache-2.0
// `slipway exec --nv` and its like on recorded hosts: real containers, stand-ins for devices and drivers.
#include "cli/front/testdata/front_fixture.h"
#include "hooks/gpu/testdata/hosts.h"

namespace slipway {
namespace {

class GpuFrontTest : public FrontTest {
 protected:
  static void SetUpTestSuite() {
    FrontTest::SetUpTestSuite();
    Copy(Cat(SLIPWAY_BIN_DIR, "/slipway-edits"), path_ + "/bin/slipway-edits");
  }
  void SetUp() override { ASSERT_EQ(::chmod(host_.root().c_str(), 0755), 0); }
  Ended On(std::vector<std::string> options, const std::vector<std::string>& command) {
    options.insert(options.begin(), "exec");
    options.push_back(path_ + "/root");
    options.insert(options.end(), command.begin(), command.end());
    return Slipway(options, {.env = {{"SLIPWAY_HOST_TREE", host_.root()},
                                     {"XDG_CACHE_HOME", MakeFolder("/cache-" + Name())}}});
  }
  static std::string Name() { return testing::UnitTest::GetInstance()->current_test_info()->name(); }
  FakeHost host_;
};

TEST_F(GpuFrontTest, NvGivesEveryGpuAndTheDriversFiles) {
  PutTwoA100(host_);
  Ended ended = On({"--nv"}, {"ls", "/dev/nvidia0", "/dev/nvidia1", "/dev/nvidiactl", "/dev/nvidia-uvm",
                              "/.singularity.d/libs/libcuda.so.1", "/.singularity.d/libs/libcuda.so",
                              "/usr/bin/nvidia-smi"});
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_THAT(On({"--nv"}, {"env"}).out, Not(HasSubstr("CUDA_VISIBLE_DEVICES")));
}

TEST_F(GpuFrontTest, TheImagesOwnLibraryPathComesFirst) {
  PutTwoA100(host_);
  EXPECT_THAT(On({"--nv"}, {"env"}).out, HasSubstr("LD_LIBRARY_PATH=/.singularity.d/libs\n"));
  EXPECT_THAT(On({"--nv", "--env", "LD_LIBRARY_PATH=/opt/own"}, {"env"}).out,
              HasSubstr("LD_LIBRARY_PATH=/opt/own:/.singularity.d/libs\n"));
}

TEST_F(GpuFrontTest, OneGpuIsHiddenFromWhoAskedForTheOther) {
  PutTwoA100(host_);
  Ended first = On({"--nv", "--gpus", "1"}, {"ls", "/dev"});
  EXPECT_THAT(first.out, AllOf(HasSubstr("nvidia0\n"), Not(HasSubstr("nvidia1\n")))) << first.err;
  Ended second = On({"--device", "nvidia.com/gpu=1"}, {"sh", "-c", "ls /dev; env"});
  EXPECT_THAT(second.out, AllOf(HasSubstr("nvidia1\n"), Not(HasSubstr("nvidia0\n")),
                                HasSubstr("CUDA_VISIBLE_DEVICES=GPU-2\n")))
      << second.err;
  Ended many = On({"--gpus", "3"}, {"true"});
  EXPECT_EQ(many.code, 125);
  EXPECT_THAT(many.err, HasSubstr("--gpus 3: this host has 2 that can be used"));
}

TEST_F(GpuFrontTest, AHostWithoutAnySaysSo) {
  Ended ended = On({"--nv"}, {"true"});
  EXPECT_EQ(ended.code, 125);
  EXPECT_THAT(ended.err,
              HasSubstr("--nv: this host has no NVIDIA GPU that can be used (no driver of NVIDIA's"));
  EXPECT_THAT(On({"--rocm"}, {"true"}).err, HasSubstr("--rocm: this host has no AMD GPU"));
  EXPECT_THAT(On({"--gpus", "all"}, {"true"}).err,
              HasSubstr("--gpus: this host has no GPU that can be used"));
  EXPECT_THAT(On({"--gpus", "some"}, {"true"}).err, HasSubstr("--gpus 'some': a number of GPUs, or all"));
}

TEST_F(GpuFrontTest, RocmGivesRenderNodes) {
  PutAmd(host_);
  Ended ended = On({"--rocm"}, {"ls", "/dev/kfd", "/dev/dri/renderD128", "/dev/dri/renderD129"});
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_THAT(ended.err, HasSubstr("the image must bring its own"));
}

TEST_F(GpuFrontTest, FabricsAreThereUnlessTheContainerIsContainedOrTheyAreNotWanted) {
  host_.File("/dev/xpmem");
  EXPECT_THAT(On({}, {"ls", "/dev"}).out, HasSubstr("xpmem"));
  EXPECT_THAT(On({"--fabrics", "none"}, {"ls", "/dev"}).out, Not(HasSubstr("xpmem")));
  EXPECT_THAT(On({"--contain"}, {"ls", "/dev"}).out, Not(HasSubstr("xpmem")));
  EXPECT_THAT(On({"--fabrics", "some"}, {"true"}).err, HasSubstr("--fabrics 'some': auto or none"));
}

TEST_F(GpuFrontTest, WhoEntersAnInstanceFindsItsDriver) {
  PutTwoA100(host_);
  Besides besides{
      .env = {{"SLIPWAY_HOST_TREE", host_.root()}, {"XDG_CACHE_HOME", MakeFolder("/cache-instance")}}};
  Ended started = Slipway({"instance", "start", "--nv", path_ + "/root", "gpu"}, besides);
  ASSERT_EQ(started.code, 0) << started.err;
  Ended inside = Slipway({"exec", "--env", "LD_LIBRARY_PATH=/own", "instance://gpu", "sh", "-c",
                          "ls /dev; echo $LD_LIBRARY_PATH"});
  EXPECT_THAT(inside.out, AllOf(HasSubstr("nvidia1\n"), HasSubstr("/own:/.singularity.d/libs\n")))
      << inside.err;
  EXPECT_EQ(Slipway({"instance", "stop", "gpu"}).code, 0);
}

// The image is made of this host's programs, so its C library is this host's.
TEST_F(GpuFrontTest, ADriverThatNeedsANewerCLibraryIsRefusedBeforeTheStart) {
  PutTwoA100(host_);
  std::string library = Cat(kLibraryFolder, "/libcuda.so.550.54.14");
  host_.Library(library, {.soname = "libcuda.so.1", .versions = {{"libc.so.6", "GLIBC_2.99"}}});
  Ended ended = On({"--nv"}, {"sh", "-c", "echo started"});
  EXPECT_EQ(ended.code, 125);
  EXPECT_EQ(ended.out, "");
  EXPECT_THAT(ended.err,
              HasSubstr("libcuda.so.1 (NVIDIA driver 550.54.14) needs GLIBC_2.99 and the image has glibc"));
  std::vector<std::string> packed = {"exec", "--nv", path_ + "/image.sif", "true"};
  Besides besides{.env = {{"SLIPWAY_HOST_TREE", host_.root()}, {"XDG_CACHE_HOME", MakeFolder("/cache-sif")}}};
  EXPECT_THAT(Slipway(packed, besides).err, HasSubstr("needs GLIBC_2.99 and the image has glibc"));
}

}  // namespace
}  // namespace slipway
